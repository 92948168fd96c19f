"""Signatures agree as often as sets overlap, and are the same everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.dedup.config import DedupConfig
from gptrilogy.corpus.dedup.minhash import NOTHING, PRIME, MinHash, bucket_keys, coefficients, signature_reference

CONFIG = DedupConfig(spare_hashes=0, n_hashes=6, bands=3, rows=2, seed=5)
HASHER = MinHash(CONFIG, n_features=1 << 12)
DOCUMENTS = st.lists(st.sets(st.integers(0, (1 << 12) - 1), max_size=8), max_size=8)


@given(DOCUMENTS)
def test_signatures_of_many_are_those_of_each_by_definition(documents: list[set[int]]) -> None:
    sets = [np.array(sorted(document), np.uint32) for document in documents]
    offsets = np.cumsum([0, *map(len, sets)])
    many = HASHER.many(np.concatenate([*sets, np.zeros(0, np.uint32)]), offsets)
    assert many.dtype == np.uint32
    assert many.tolist() == [signature_reference(indices, CONFIG) for indices in sets]
    assert many.tolist() == [HASHER.signature(indices).tolist() for indices in sets]


def test_a_document_without_features_is_above_every_hash() -> None:
    assert HASHER.signature(np.zeros(0, np.uint32)).tolist() == [NOTHING] * 6
    assert HASHER.signature(np.array([0], np.uint32)).max() < NOTHING


def test_a_feature_beyond_the_table_is_refused() -> None:
    with pytest.raises(AssertionError, match="feature 16 of 16"):
        MinHash(CONFIG, n_features=16).signature(np.array([3, 16], np.uint32))


def test_sparks_prime_is_one_and_its_hashes_are_permutations() -> None:
    assert all(PRIME % divisor for divisor in range(2, int(PRIME**0.5) + 1))
    a, b = coefficients(DedupConfig(spare_hashes=0, n_hashes=200))
    assert 1 <= a.min() < a.max() < PRIME
    assert 0 <= b.min() < b.max() < PRIME
    assert len(set(a.tolist())) == 200


def test_every_seed_draws_other_hashes_and_more_hashes_begin_with_the_same() -> None:
    ten, more, other = (
        DedupConfig(spare_hashes=0, n_hashes=10),
        DedupConfig(spare_hashes=0, n_hashes=30),
        DedupConfig(spare_hashes=0, n_hashes=10, seed=1),
    )
    assert np.array_equal(coefficients(ten), np.array(coefficients(more))[:, :10])
    assert not np.array_equal(coefficients(ten), coefficients(other))


def test_agreement_estimates_the_overlap() -> None:
    rng = np.random.default_rng(0)
    config = DedupConfig(spare_hashes=0, n_hashes=200)
    hasher = MinHash(config, n_features=1 << 12)
    for shared in (10, 50, 90):
        agreed = 0
        for _ in range(20):
            drawn = rng.choice(1 << 12, 200 - shared, replace=False).astype(np.uint32)
            left, right = hasher.signature(drawn[:100]), hasher.signature(drawn[100 - shared :])
            agreed += int((left == right).sum())
        expected = shared / (200 - shared)
        error = (expected * (1 - expected) / 4000) ** 0.5  # of 20 pairs times 200 hashes, were all independent
        assert agreed / 4000 == pytest.approx(expected, abs=5 * error)  # p of a false alarm about 1e-6


def test_keys_are_equal_where_a_whole_band_is() -> None:
    one = np.array([[1, 2, 3, 4, 5, 6]], np.uint32)
    keys = bucket_keys(np.concatenate([one, one, [[1, 2, 4, 3, 5, 7]]]).astype(np.uint32), CONFIG)
    assert keys.shape == (3, 3)
    assert (keys[0] == keys[1]).all()
    assert (keys[0] == keys[2]).tolist() == [True, False, False]
    assert (
        len(set(bucket_keys(np.full((1, 6), 9, np.uint32), CONFIG)[0].tolist())) == 3
    )  # each band has keys of its own


def test_keys_divide_evenly_into_slices() -> None:
    signatures = np.arange(6 * 16_000, dtype=np.uint32).reshape(-1, 6)
    counts = np.bincount((bucket_keys(signatures, CONFIG)[:, 0] % np.uint64(16)).astype(np.int64))
    assert ((counts - 1000) ** 2 / 1000).sum() < 50  # chi squared of 15 degrees of freedom: p = 1e-5
