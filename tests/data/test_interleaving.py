"""Which set each sample is of: exact shares at every moment, without replay, without a beat."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptrilogy.data.interleaving import Interleaving, places_reference

GPT3 = [0.6, 0.22, 0.08, 0.08, 0.03]
WEIGHTS = st.lists(st.floats(1e-4, 1e3), min_size=2, max_size=8)


def worst_deviation(weights: list[float], seed: int, count: int) -> float:
    """How far the number of any set's samples has been from its share, after any number of samples."""
    sets, _ = Interleaving(weights, seed=seed).places(0, count)
    shares = np.array(weights) / sum(weights)
    had = np.cumsum(sets[:, None] == np.arange(len(weights)), axis=0)  # (count, sets)
    return float(np.abs(had - np.arange(1, count + 1)[:, None] * shares).max())


@settings(max_examples=40)
@given(weights=WEIGHTS, seed=st.integers(), count=st.integers(1, 400))
def test_any_sample_is_where_counting_from_the_first_one_finds_it(weights: list[float], seed: int, count: int) -> None:
    sets, numbers = Interleaving(weights, seed=seed).places(0, count)
    assert list(zip(sets.tolist(), numbers.tolist(), strict=True)) == places_reference(weights, count, seed=seed)


@settings(max_examples=40)
@given(weights=WEIGHTS, seed=st.integers(), count=st.integers(0, 400))
def test_the_samples_of_each_set_are_counted_without_looking_at_them(
    weights: list[float], seed: int, count: int
) -> None:
    interleaving = Interleaving(weights, seed=seed)
    sets, _ = interleaving.places(0, count)
    assert interleaving.counts(count) == np.bincount(sets, minlength=len(weights)).tolist()


@settings(max_examples=30)
@given(weights=WEIGHTS, seed=st.integers(), first=st.integers(0, 10**15), count=st.integers(1, 60))
def test_a_sample_is_the_same_alone_and_among_others(weights: list[float], seed: int, first: int, count: int) -> None:
    interleaving = Interleaving(weights, seed=seed)
    together = np.stack(interleaving.places(first, count))
    alone = [np.stack(interleaving.places(sample, 1)) for sample in range(first, first + count)]
    assert np.array_equal(together, np.concatenate(alone, axis=1))


@given(weights=WEIGHTS, seed=st.integers(0, 9), first=st.integers(0, 10**12))
def test_every_set_counts_its_own_samples_without_a_gap(weights: list[float], seed: int, first: int) -> None:
    sets, numbers = Interleaving(weights, seed=seed).places(first, 300)
    for which in range(len(weights)):
        assert np.array_equal(np.diff(numbers[sets == which]), np.ones(max(0, (sets == which).sum() - 1)))


@pytest.mark.parametrize("seed", range(4))
def test_after_any_number_of_samples_gpt3s_sets_have_had_their_share_to_within_2(seed: int) -> None:
    assert worst_deviation(GPT3, seed, 40_000) < 2


@settings(max_examples=40)
@given(weights=WEIGHTS, seed=st.integers())
def test_no_weights_lead_further_from_the_shares_than_promised(weights: list[float], seed: int) -> None:
    assert worst_deviation(weights, seed, 2000) < 3.36


def test_after_more_samples_than_any_run_has_the_shares_are_still_exact() -> None:
    weights, first = [1 / 3, 0.1234567890123, 1e-5], 10**15
    sets, numbers = Interleaving(weights, seed=3).places(first, 120_000)
    for which in range(3):
        of_set = np.flatnonzero(sets == which)
        share = weights[which] / sum(weights)
        assert abs(int(numbers[of_set[0]]) - (first + int(of_set[0])) * share) < 4


@pytest.mark.parametrize("batch_size", [2, 4, 5, 8, 25, 64])
def test_no_position_of_a_batch_always_meets_the_same_set(batch_size: int) -> None:
    sets, _ = Interleaving([0.5, 0.25, 0.25], seed=0).places(0, 400 * batch_size)
    by_position = sets.reshape(400, batch_size).T
    for position in by_position:
        shares = np.array([Counter(position.tolist())[which] for which in range(3)]) / 400
        # Each is a mean of 400 draws that lean against each other: five standard errors of independent ones are wide.
        assert np.abs(shares - [0.5, 0.25, 0.25]).max() < 5 * np.sqrt(0.25 / 400)


def test_a_seed_makes_an_order_of_its_own_with_equal_counts() -> None:
    orders = [Interleaving(GPT3, seed=seed).places(0, 1010)[0] for seed in range(6)]
    assert len({tuple(order) for order in orders}) == 6
    assert {tuple(np.bincount(order)) for order in orders} == {(600, 220, 80, 80, 30)}


def test_the_order_is_the_same_for_ever() -> None:
    sets, numbers = Interleaving(GPT3, seed=1337).places(10**9, 12)
    assert sets.tolist() == [0, 1, 0, 1, 0, 0, 0, 4, 0, 2, 1, 0]
    assert numbers[sets == 0].tolist() == [*range(594059406, 594059412), 594059412]
    assert numbers[sets != 0].tolist() == [217821782, 217821783, 29702970, 79207921, 217821784]


def test_weights_mean_what_they_say_in_decimals() -> None:
    tenths, ones = Interleaving([0.1, 0.2, 0.7], seed=0), Interleaving([1, 2, 7], seed=0)
    for far in (0, 10**18):
        assert np.array_equal(np.stack(tenths.places(far, 100)), np.stack(ones.places(far, 100)))
