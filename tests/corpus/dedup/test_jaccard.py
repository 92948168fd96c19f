"""The fast similarity of many pairs is that of sets."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.dedup.jaccard import jaccard, jaccard_reference

SETS = st.lists(st.sets(st.integers(0, 40), max_size=12), min_size=1, max_size=6)


@given(SETS, st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=20), st.booleans())
def test_pairs_in_any_order(documents: list[set[int]], pairs: list[tuple[int, int]], in_order: bool) -> None:
    features = [np.array(sorted(document), np.uint32) for document in documents]
    pairs = sorted(pairs) if in_order else pairs
    left, right = (np.array([pair[side] % len(features) for pair in pairs], np.int64) for side in (0, 1))
    expected = [jaccard_reference(features[i], features[j]) for i, j in zip(left, right, strict=True)]
    assert jaccard(features, left, right).tolist() == expected


def test_two_empty_sets_share_nothing() -> None:
    empty = np.zeros(0, np.uint32)
    assert jaccard([empty], np.array([0]), np.array([0])).tolist() == [0.0] == [jaccard_reference(empty, empty)]
