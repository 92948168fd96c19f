"""Where a cache keeps what: positions are written as keys, and what is read is compared with what a query sees."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attention_inputs import PATTERNS, sparse_patterns
from gptrilogy.models.cache import LayerCache
from gptrilogy.models.patterns import Banded, Dense, Fixed, Pattern, Strided
from gptrilogy.models.slots import slots_of

HEADS = 5
CPU = torch.device("cpu")
any_pattern = st.one_of(st.just(Dense()), sparse_patterns())
portions = st.lists(st.integers(1, 20), min_size=1, max_size=6)


def empty(pattern: Pattern, capacity: int) -> LayerCache:
    """A row without a position, its slots filled with one that there never is."""
    slots = slots_of(pattern, capacity)
    nowhere = torch.full((1, HEADS, slots.n, 1), -1.0)
    return LayerCache(nowhere.clone(), nowhere.clone(), slots, [0])


def write(cache: LayerCache, T: int) -> None:
    """Append T positions, each of which is its own key and value."""
    start = cache.lengths[0]
    positions = torch.arange(start, start + T).float()[:, None].expand(HEADS, T, 1)
    cache.append(0, positions, positions)


def filled(pattern: Pattern, capacity: int, lengths: Sequence[int]) -> LayerCache:
    cache = empty(pattern, capacity)
    for T in lengths:
        write(cache, T)
        cache.lengths[0] += T
    return cache


def of_each_head(positions: Tensor) -> list[list[int]]:
    """Sorted; a position that is there twice would be attended to twice. Shapes: (H, S, 1)."""
    return positions[..., 0].long().sort(-1).values.tolist()


def seen_by(pattern: Pattern, query: int) -> list[list[int]]:
    return [[key for key in range(query + 1) if pattern.sees(query, key, head)] for head in range(HEADS)]


@settings(max_examples=60)
@given(pattern=any_pattern, before=portions)
def test_a_new_token_reads_exactly_what_its_pattern_sees(pattern: Pattern, before: list[int]) -> None:
    """After a text in any portions, a token at a time for as long as two blocks and a bit."""
    n = sum(before)
    cache = filled(pattern, n + 30, before)
    for position in range(n, n + 30):
        write(cache, 1)
        keys, values = (torch.cat(parts, 1) for parts in zip(*cache.newest(0), strict=True))
        assert of_each_head(keys) == of_each_head(values) == seen_by(pattern, position)
        cache.lengths[0] += 1


@settings(max_examples=60)
@given(pattern=any_pattern, before=portions)
def test_what_is_held_is_where_it_is_said_to_be_and_all_that_is_still_needed(
    pattern: Pattern, before: list[int]
) -> None:
    n = sum(before)
    cache = filled(pattern, n + 7, before)
    keys, values, positions = cache.held(0)
    assert torch.equal(keys[..., 0].long(), positions.expand(HEADS, -1))
    assert torch.equal(values, keys)
    held = of_each_head(keys)
    for head in range(HEADS):
        assert len(set(held[head])) == len(held[head])
        later = range(n, n + 40)
        needed = {key for query in later for key in range(n) if pattern.sees(query, key, head)}
        assert needed <= set(held[head])


@settings(max_examples=60)
@given(pattern=any_pattern, before=portions)
def test_the_first_slots_hold_all_and_the_size_of_the_cache_moves_nothing(pattern: Pattern, before: list[int]) -> None:
    """That is what lets a row be copied from one cache into another."""
    n = sum(before)
    exact, large = filled(pattern, n, before), filled(pattern, n + 100, before)
    used = exact.slots.used(n)
    assert used == large.slots.used(n) <= exact.slots.n
    assert torch.equal(exact.keys, large.keys[:, :, : exact.slots.n])
    assert (large.keys[:, :, used:] == -1).all()
    for cache in (exact, large):
        slots, _ = cache.slots.held(n, HEADS, CPU)
        assert int(slots.max()) < used


@given(pattern=any_pattern, before=portions)
def test_portions_leave_what_one_portion_leaves(pattern: Pattern, before: list[int]) -> None:
    """To be read, that is: of a block's own keys a long portion writes only the last block's."""
    n = sum(before)
    one_by_one, at_once, in_portions = (filled(pattern, n, lengths) for lengths in ([1] * n, [n], before))
    keys, _, positions = one_by_one.held(0)
    for cache in (at_once, in_portions):
        assert torch.equal(cache.held(0)[0], keys)
        assert torch.equal(cache.held(0)[2], positions)


@pytest.mark.parametrize(
    ("pattern", "capacity", "n_slots"),
    [
        (Dense(), 100, 100),
        (Strided(8), 100, 100),
        (Banded(8), 100, 8),
        (Banded(8), 5, 5),
        (Fixed(8, 2, 3), 100, 8 + 13 * 2),
        (Fixed(8, 2, 3), 96, 8 + 12 * 2),
        (Fixed(8, 2, 3), 1, 8 + 2),
    ],
    ids=str,
)
def test_a_layer_has_no_more_slots_than_its_pattern_needs(pattern: Pattern, capacity: int, n_slots: int) -> None:
    assert slots_of(pattern, capacity).n == n_slots


@given(pattern=any_pattern, start=st.integers(0, 30), T=st.integers(1, 30))
def test_no_slot_is_written_twice_at_once(pattern: Pattern, start: int, T: int) -> None:
    """Which of two values stayed would be up to torch."""
    slots = slots_of(pattern, start + T)
    written = [
        (head, slot)
        for heads, places, _ in slots.written(start, T)
        for head in range(HEADS)[heads]
        for slot in (range(slots.n)[places] if isinstance(places, slice) else places)
    ]
    assert len(set(written)) == len(written)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_what_a_token_sees_lies_in_at_most_two_slices(pattern: Pattern) -> None:
    slots = slots_of(pattern, 60)
    assert {len(slots.read(position)) for position in range(60)} <= {1, 2}
