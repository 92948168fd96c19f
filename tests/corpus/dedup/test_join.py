"""The join finds all copies that there are by definition, in bounded memory, and of many equal ones at little cost."""

import tracemalloc
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gptrilogy.corpus.dedup import join as module
from gptrilogy.corpus.dedup.buckets import BucketRows
from gptrilogy.corpus.dedup.components import connected_components
from gptrilogy.corpus.dedup.config import DedupConfig
from gptrilogy.corpus.dedup.join import Edges, join_buckets, join_buckets_reference
from gptrilogy.corpus.dedup.minhash import MinHash, bucket_keys

CONFIG = DedupConfig(spare_hashes=0, n_hashes=10, bands=10, rows=1)
N_FEATURES = 1 << 12
HASHER = MinHash(CONFIG, n_features=N_FEATURES)
ONE_SET = np.ones((1, 1), np.bool_)

Documents: TypeAlias = Sequence[NDArray[np.uint32]]
Case: TypeAlias = tuple[Documents, list[int], NDArray[np.bool_]]  # with each document's set, and which gives way


def rows_of(documents: Documents, sets: Sequence[int] | None = None, *, one_bucket: bool = False) -> list[BucketRows]:
    """The rows of each band; a document's number is its place."""
    N = len(documents)
    offsets = np.cumsum([0, *map(len, documents)])
    signatures = HASHER.many(np.concatenate([*documents, np.zeros(0, np.uint32)]), offsets)
    source = np.zeros(N, np.uint8) if sets is None else np.array(sets, np.uint8)
    keys = np.zeros((N, 1), np.uint64) if one_bucket else bucket_keys(signatures, CONFIG)
    docs = np.arange(N, dtype=np.uint64)
    return [BucketRows(key, docs, np.diff(offsets).astype(np.uint32), signatures, source) for key in keys.T]


def reader(documents: Documents, log: list[int] | None = None) -> Callable[[NDArray[np.uint64]], Documents]:
    def read(docs: NDArray[np.uint64]) -> Documents:
        if log is not None:
            log.append(len(docs))
        return [documents[doc] for doc in docs.tolist()]

    return read


def groups(edges: Edges) -> list[tuple[int, int]]:
    nodes, labels = connected_components(edges.within)
    return list(zip(nodes.tolist(), labels.tolist(), strict=True))


def pairs(docs: NDArray[np.uint64]) -> set[tuple[int, ...]]:
    return {tuple(pair) for pair in docs.tolist()}


@st.composite
def written(draw: st.DrawFn) -> Case:
    """Documents with copies and edited copies in up to three sets, some of which give way to others."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    documents: list[NDArray[np.uint32]] = []
    for _ in range(draw(st.integers(0, 20))):
        kind = rng.random()
        if documents and kind < 0.7:
            origin = documents[rng.integers(len(documents))]
            documents.append(origin[rng.random(len(origin)) >= rng.choice([0, 0, 0.1, 0.2, 0.4])])
        else:
            documents.append(np.unique(rng.integers(0, rng.choice([40, N_FEATURES]), 25)).astype(np.uint32))
    n_sets = draw(st.integers(1, 3))
    gives_way = np.tril(rng.random((n_sets, n_sets)) < 0.7)
    shuffled = rng.permutation(n_sets)
    return documents, rng.integers(0, n_sets, len(documents)).tolist(), gives_way[shuffled][:, shuffled]


@given(written())
def test_groups_and_who_gives_way_are_those_of_all_pairs(case: Case) -> None:
    documents, sets, gives_way = case
    for rows in (*rows_of(documents, sets)[:2], *rows_of(documents, sets, one_bucket=True)):
        found = join_buckets(rows, reader(documents), CONFIG, gives_way)
        every = join_buckets_reference(rows, reader(documents), CONFIG, gives_way)
        assert groups(found) == groups(every)
        assert pairs(found.within) <= pairs(every.within)
        assert pairs(found.across) <= pairs(every.across)
        assert found.across[:, 0].tolist() == sorted({goes for goes, _ in pairs(every.across)})
        known = dict(zip(map(tuple, every.within.tolist()), every.within_jaccard.tolist(), strict=True))
        assert [known[tuple(pair)] for pair in found.within.tolist()] == found.within_jaccard.tolist()


@given(written(), st.integers(0, 99))
def test_the_order_of_the_rows_changes_nothing(case: Case, seed: int) -> None:
    documents, sets, gives_way = case
    (rows,) = rows_of(documents, sets, one_bucket=True)
    shuffled = rows.take(np.random.default_rng(seed).permutation(len(documents)))
    one, other = (join_buckets(which, reader(documents), CONFIG, gives_way) for which in (rows, shuffled))
    for ours, theirs in zip(one, other, strict=True):
        assert np.array_equal(ours, theirs)


@given(written(), st.integers(1, 4))
def test_small_batches_find_the_same_groups(case: Case, at_once: int) -> None:
    documents, sets, gives_way = case
    (rows,) = rows_of(documents, sets, one_bucket=True)
    whole = join_buckets(rows, reader(documents), CONFIG, gives_way)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CANDIDATES_AT_ONCE", at_once)
        patch.setattr(module, "FEATURES_AT_ONCE", 10 * at_once)
        pieces = join_buckets(rows, reader(documents), CONFIG, gives_way)
    assert groups(pieces) == groups(whole)
    assert np.array_equal(pieces.across[:, 0], whole.across[:, 0])


def test_webtext_is_taken_out_of_common_crawl_and_connects_nobody_there() -> None:
    webtext = np.arange(0, 100, dtype=np.uint32)
    crawled = [np.arange(0, 85, dtype=np.uint32), np.arange(15, 100, dtype=np.uint32)]  # 0.85 to it, 0.7 to each other
    config, gives_way = CONFIG.replace(threshold=0.75), np.array([[True, True], [False, True]])
    (rows,) = rows_of([*crawled, webtext], [0, 0, 1], one_bucket=True)
    edges = join_buckets(rows, reader([*crawled, webtext]), config, gives_way)
    assert len(edges.within) == 0
    assert edges.across.tolist() == [[0, 2], [1, 2]]
    assert edges.across_jaccard.tolist() == [0.85, 0.85]


def test_equal_copies_all_give_way_where_copies_within_their_set_are_kept() -> None:
    documents = [np.arange(60, dtype=np.uint32)] * 4
    (rows,) = rows_of(documents, [0, 0, 0, 1], one_bucket=True)
    edges = join_buckets(rows, reader(documents), CONFIG, np.array([[False, True], [False, False]]))
    assert edges.across.tolist() == [[0, 3], [1, 3], [2, 3]]
    assert len(edges.within) == 0


def test_sets_that_give_way_to_each_other_are_refused() -> None:
    (rows,) = rows_of([], one_bucket=True)
    with pytest.raises(AssertionError, match="two sets give way mutually"):
        join_buckets(rows, reader([]), CONFIG, np.ones((2, 2), np.bool_))


def test_copies_begin_at_the_threshold() -> None:
    documents = [np.arange(70, dtype=np.uint32), np.arange(100, dtype=np.uint32), np.arange(69, dtype=np.uint32)]
    (rows,) = rows_of(documents, one_bucket=True)
    edges = join_buckets(rows, reader(documents), CONFIG.replace(prefilter_loss=0), ONE_SET)
    assert dict(zip(map(tuple, edges.within.tolist()), edges.within_jaccard, strict=True)) == {
        (0, 1): 0.7,
        (0, 2): 69 / 70,
    }


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_thousands_of_copies_cost_about_as_many_verifications(noise: float) -> None:
    rng = np.random.default_rng(0)
    origin = np.arange(0, 1200, 3, dtype=np.uint32)
    documents = [origin[rng.random(len(origin)) >= noise] for _ in range(3000)]
    (rows,) = rows_of(documents, one_bucket=True)
    read: list[int] = []
    edges = join_buckets(rows, reader(documents, read), CONFIG, ONE_SET)
    labels = connected_components(edges.within)[1]
    assert len(labels) == 3000
    assert not labels.any()
    assert edges.n_verified <= 2 * 3000
    assert edges.n_compared == (0 if noise == 0 else 3000 * 2999 // 2)  # one stands for all that are equal
    assert len(read) < 30


def test_a_bucket_of_strangers_takes_bounded_memory() -> None:
    rng = np.random.default_rng(0)
    documents = list(rng.integers(0, N_FEATURES, (3000, 20)).astype(np.uint32))
    documents = [np.unique(document) for document in documents]
    (rows,) = rows_of(documents, one_bucket=True)
    tracemalloc.start()
    edges = join_buckets(rows, reader(documents), CONFIG, ONE_SET)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert edges.n_compared > 4_000_000  # 4 million pairs at 10 bytes would be 40 MB, and at 50 bytes 200
    assert peak_bytes < 40e6
    assert len(edges.within) == 0
