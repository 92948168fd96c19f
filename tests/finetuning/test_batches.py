"""Which examples a step sees, and in which groups they run."""

from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptrilogy.finetuning import batches
from gptrilogy.finetuning.batches import GROUP_COST_TOKENS, Batch, Item, chosen, in_groups

LIMIT = 200

items_of_any_length = st.lists(
    st.lists(st.integers(1, 60), min_size=1, max_size=4).map(
        lambda lengths: Item(tuple((7,) * length for length in lengths), 0.0)
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module", autouse=True)
def small_limit() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "GROUP_TOKENS", LIMIT)
        yield


@settings(max_examples=25)  # a draw among few examples takes milliseconds
@given(n=st.integers(1, 300), seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 1000))
def test_each_example_is_chosen_once_an_epoch(n: int, seed: int, epoch: int) -> None:
    assert sorted(chosen(n, epoch * n, n, seed=seed)) == [*range(n)]


@settings(max_examples=25)
@given(
    n=st.integers(10, 50),
    first=st.integers(0, 10**6),
    sizes=st.lists(st.integers(1, 9), max_size=4),
    seed=st.integers(0, 9),
)
def test_a_sample_is_a_function_of_seed_and_place_alone(n: int, first: int, sizes: list[int], seed: int) -> None:
    whole = chosen(n, first, sum(sizes), seed=seed)
    parts: list[int] = []
    for size in sizes:
        parts += chosen(n, first + len(parts), size, seed=seed)
    assert parts == whole


def test_epochs_and_seeds_have_different_orders() -> None:
    orders = [tuple(chosen(40, epoch * 40, 40, seed=seed)) for epoch in range(5) for seed in range(5)]
    assert len(set(orders)) == 25
    assert tuple(range(40)) not in orders


def test_a_step_across_an_epoch_reads_the_end_of_one_and_the_beginning_of_the_next() -> None:
    assert chosen(10, 8, 4, seed=3) == chosen(10, 0, 10, seed=3)[8:] + chosen(10, 10, 10, seed=3)[:2]


def cost(groups: Sequence[Sequence[Item]]) -> int:
    return sum(tokens(group) + GROUP_COST_TOKENS for group in groups)


def tokens(group: Sequence[Item]) -> int:
    """What a group fills once it is padded."""
    return sum(len(item.sequences) for item in group) * max(item.length for item in group)


def is_allowed(groups: Sequence[Sequence[Item]]) -> bool:
    return all(len(group) == 1 or tokens(group) <= LIMIT for group in groups)


@given(items=items_of_any_length, bucket=st.booleans())
def test_every_item_is_in_one_group_and_no_group_is_too_large(items: list[Item], bucket: bool) -> None:
    groups = list(in_groups(items, bucket=bucket))
    assert sorted(id(item) for group in groups for item in group) == sorted(map(id, items))
    assert is_allowed(groups)
    assert all(groups)
    if not bucket:
        assert [item for group in groups for item in group] == items
        assert not any(is_allowed([[*one, other[0]]]) for one, other in pairwise(groups))  # each is as full as can be


@given(items=items_of_any_length)
def test_no_other_cut_of_the_sorted_items_costs_less(items: list[Item]) -> None:
    found = cost(list(in_groups(items)))
    ordered = sorted(items, key=lambda item: item.length)
    n = len(ordered)
    ways = [
        [ordered[start:stop] for start, stop in pairwise((0, *cuts, n))]
        for size in range(n)
        for cuts in combinations(range(1, n), size)
    ]
    assert found == min(cost(groups) for groups in ways if is_allowed(groups))
    assert found <= cost([[item] for item in items])
    if is_allowed([items]):
        assert found <= cost([items])


def test_a_batch_is_padded_behind_the_extract_tokens() -> None:
    items = [Item(((5, 6, 7),), 1.0), Item(((5, 9), (5, 4, 3, 2)), 0.5)]
    batch = Batch.of(items, torch.device("cpu"))
    assert batch.ids.tolist() == [[5, 6, 7, 0], [5, 9, 0, 0], [5, 4, 3, 2]]
    assert batch.ends.tolist() == [2, 1, 3]
    assert batch.counts == (1, 2)
    assert batch.targets.tolist() == [1.0, 0.5]
    assert (batch.ids.dtype, batch.targets.dtype) == (torch.int64, torch.float32)


def test_the_length_of_an_item_is_that_of_its_longest_sequence() -> None:
    assert Item(((1, 2), (1, 2, 3), (1,)), 0.0).length == 3
