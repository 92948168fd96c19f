"""Groups are what paths connect, and one document of each is kept by a rule that knows no order."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.dedup.components import connected_components, survivors

EDGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40)


def components_reference(edges: list[tuple[int, int]]) -> dict[int, int]:
    """The smallest document that each can be walked to from."""
    near: dict[int, set[int]] = {}
    for a, b in edges:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    labels: dict[int, int] = {}
    for start in sorted(near):
        ways = [start]
        while ways:
            node = ways.pop()
            if node not in labels:
                labels[node] = start
                ways += near[node]
    return dict(sorted(labels.items()))


@given(EDGES, st.randoms(use_true_random=False))
def test_labels_are_those_of_walking_whatever_the_order(edges: list[tuple[int, int]], rng: Random) -> None:
    expected = components_reference(edges)
    shuffled = [edge[::-1] if rng.random() < 0.5 else edge for edge in edges]
    rng.shuffle(shuffled)
    big = np.array(shuffled, np.uint64).reshape(-1, 2) + np.uint64(1 << 40)
    nodes, labels = connected_components(big)
    assert (nodes - np.uint64(1 << 40)).tolist() == list(expected)
    assert (labels - np.uint64(1 << 40)).tolist() == list(expected.values())


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_path_of_a_hundred_thousand_is_one_group(shuffled: bool) -> None:
    path = np.arange(100_000, dtype=np.uint64)
    if shuffled:
        path = np.random.default_rng(0).permutation(path)
    nodes, labels = connected_components(np.stack([path[:-1], path[1:]], axis=1))
    assert len(nodes) == 100_000
    assert not labels.any()


def test_no_edges_no_groups() -> None:
    nodes, labels = connected_components(np.zeros((0, 2), np.uint64))
    assert len(nodes) == len(labels) == 0


def test_the_longest_is_kept_then_the_smallest_hash() -> None:
    labels = np.array([1, 1, 1, 5, 5, 9], np.uint64)
    lengths = np.array([10, 30, 30, 7, 8, 1], np.uint32)
    hashes = np.array([0, 6, 5, 0, 9, 3], np.uint64)
    assert np.flatnonzero(survivors(labels, lengths, hashes)).tolist() == [2, 4, 5]


def test_who_gives_way_to_another_set_does_not_stand_for_the_others() -> None:
    labels = np.array([1, 1, 1, 5], np.uint64)
    lengths, hashes = np.array([10, 30, 20, 7]), np.arange(4, dtype=np.uint64)
    kept = survivors(labels, lengths, hashes, eligible=np.array([True, False, True, False]))
    assert np.flatnonzero(kept).tolist() == [2]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=30), st.randoms(use_true_random=False))
def test_one_of_each_group_is_kept_whatever_the_order(documents: list[tuple[int, int]], rng: Random) -> None:
    rows = [(label, length, number) for number, (label, length) in enumerate(documents)]
    expected = {min((row for row in rows if row[0] == label), key=lambda row: (-row[1], row[2])) for label, *_ in rows}
    rng.shuffle(rows)
    columns = np.array(rows, np.uint64).reshape(-1, 3).T
    kept = survivors(columns[0], columns[1].astype(np.int64), columns[2])
    assert {row for row, stays in zip(rows, kept, strict=True) if stays} == expected
    assert kept.sum() == len(expected)
