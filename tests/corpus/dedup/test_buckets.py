"""Documents of shared buckets come together, and every pair that may be similar enough comes up once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.dedup.buckets import BucketRows, in_company, pairs_of_like_size

ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), max_size=25)


def bucket_rows(rows: list[tuple[int, int]]) -> BucketRows:
    bucket, size = np.array(rows, np.int64).reshape(-1, 2).T
    return BucketRows(
        bucket.astype(np.uint64),
        np.arange(len(rows), dtype=np.uint64)[::-1].copy(),
        size.astype(np.uint32),
        np.zeros((len(rows), 2), np.uint32),
        np.zeros(len(rows), np.uint8),
    )


@given(ROWS)
def test_who_is_alone_or_empty_is_left_out(rows: list[tuple[int, int]]) -> None:
    here = [(bucket, size) for bucket, size in rows if size]
    expected = sorted(row for row in here if sum(row[0] == other[0] for other in here) > 1)
    kept = in_company(bucket_rows(rows))
    assert list(zip(kept.bucket.tolist(), kept.size.tolist(), strict=True)) == expected


def test_the_order_is_the_documents_own() -> None:
    one = in_company(bucket_rows([(3, 5), (3, 5), (1, 2), (3, 4), (1, 2)]))
    assert one.doc.tolist() == [0, 2, 1, 3, 4]


@given(ROWS, st.sampled_from([0.01, 0.5, 0.7, 1.0]), st.integers(1, 9))
def test_every_pair_of_like_size_comes_up_once(rows: list[tuple[int, int]], threshold: float, at_once: int) -> None:
    sorted_rows = in_company(bucket_rows(rows))
    bucket, size = sorted_rows.bucket, sorted_rows.size
    seen: list[tuple[int, int]] = []
    for left, right in pairs_of_like_size(bucket, size, threshold, at_once=at_once):
        assert 1 <= len(left) <= at_once
        seen += zip(left.tolist(), right.tolist(), strict=True)
    possible = [(i, j) for j in range(len(size)) for i in range(j) if bucket[i] == bucket[j]]
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(possible)
    assert {(i, j) for i, j in possible if size[i] / size[j] >= threshold} <= set(seen)


@pytest.mark.parametrize("threshold", [1e-9, 0.7])
def test_buckets_stay_apart_at_any_threshold(threshold: float) -> None:
    bucket, size = np.array([1, 1, 2, 2], np.uint64), np.array([1 << 18, 1 << 18, 1, 1], np.uint32)
    pairs = [
        list(zip(*(column.tolist() for column in pair), strict=True))
        for pair in pairs_of_like_size(bucket, size, threshold)
    ]
    assert pairs == [[(0, 1), (2, 3)]]


def test_unlike_sizes_are_passed_over() -> None:
    bucket, size = np.zeros(1000, np.uint64), np.arange(1, 1001, dtype=np.uint32)
    n_pairs = sum(len(left) for left, _ in pairs_of_like_size(bucket, size, 0.7))
    n_possible = int((size[:, None] / size >= 0.7)[np.triu_indices(1000, 1)].sum())
    assert n_possible <= n_pairs < 1.02 * n_possible < 0.5 * 1000 * 999 / 2
