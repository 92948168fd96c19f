"""The patterns against the sets the paper prints, and against its criterion of which patterns are valid."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attention_inputs import PATTERNS as CASES
from attention_inputs import sparse_patterns
from gptrilogy.models.attention import visible
from gptrilogy.models.patterns import (
    PATTERNS,
    Banded,
    Dense,
    Fixed,
    Pattern,
    Sizes,
    Strided,
    mean_keys,
    tiled,
    unknown_pattern,
)

HEADS = 5  # more than any pattern here has sub-blocks

# What a query sees, written a second time: the sets of key positions of SP §4.3, and no arithmetic in common.


def keys_of(pattern: Pattern, i: int, head: int) -> set[int]:
    past = set(range(i + 1))
    match pattern:
        case Banded(width):
            return set(sorted(past)[-width:])
        case Strided(stride):
            local = set(range(max(0, i - stride), i + 1))
            column = set(range(i, -1, -stride))
            return local | column
        case Fixed(stride, c, sub_blocks):
            block = next(set(range(start, start + stride)) for start in range(0, i + 1, stride) if i < start + stride)
            residues = list(range(stride))
            for _ in range(head % sub_blocks):
                residues = residues[:-c]
            return past & (block | {j for j in past if j % stride in residues[-c:]})
        case _:
            return past


@settings(max_examples=150)
@given(pattern=st.one_of(st.just(Dense()), sparse_patterns()), query=st.integers(0, 60))
def test_a_query_sees_the_sets_of_the_paper(pattern: Pattern, query: int) -> None:
    for head in range(HEADS):
        expected = keys_of(pattern, query, head)
        assert {key for key in range(query + 5) if pattern.sees(query, key, head)} == expected
        assert pattern.n_keys(query) == len(expected)


@pytest.mark.parametrize("pattern", CASES, ids=str)
def test_tensors_are_told_the_same_as_numbers(pattern: Pattern) -> None:
    seen = visible(20, 20, pattern, HEADS)
    for head in range(HEADS):
        expected = [[bool(pattern.sees(i, j, head)) for j in range(20)] for i in range(20)]
        assert seen[head].tolist() == expected
    assert torch.equal(visible(3, 20, pattern, HEADS), seen[:, -3:])


# Where print and code differ by one.


def test_a_band_holds_so_many_keys_as_its_width_says() -> None:
    """The released code masks key + bandwidth <= query."""
    for i in range(12):
        unmasked = {j for j in range(i + 1) if not j + 4 <= i}
        assert {j for j in range(12) if Banded(4).sees(i, j, 0)} == unmasked
        assert len(unmasked) == min(i + 1, 4)


@pytest.mark.parametrize("stride", [1, 2, 3, 7])
def test_one_local_key_more_or_less_is_the_same_strided_pattern(stride: int) -> None:
    for i in range(30):
        column = {j for j in range(i + 1) if (i - j) % stride == 0}
        as_printed = set(range(max(0, i - stride), i + 1))
        as_in_code = {j for j in range(i + 1) if not j + stride <= i}
        assert len(as_printed) - len(as_in_code) == (1 if i >= stride else 0)
        assert as_printed | column == as_in_code | column == {j for j in range(30) if Strided(stride).sees(i, j, 0)}


def test_a_summary_has_as_many_columns_as_asked_for_and_not_one_more() -> None:
    """The printed {l - c, ..., l} is one too long: no remainder is l."""
    pattern = Fixed(stride=8, summary=3, sub_blocks=1)
    printed = {j for j in range(16) if j % 8 in range(8 - 3, 8 + 1)}
    assert {j for j in range(16) if pattern.sees(16, j, 0)} == printed == {5, 6, 7, 13, 14, 15}


@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 5))
def test_the_first_heads_read_distinct_columns_and_the_next_begin_again(c: int, sub_blocks: int, more: int) -> None:
    stride = c * sub_blocks + more
    pattern = Fixed(stride, c, sub_blocks)
    columns = [{j for j in range(stride) if pattern.sees(stride, j, head)} for head in range(2 * sub_blocks + 1)]
    assert [len(of_head) for of_head in columns] == [c] * len(columns)
    assert set.union(*columns[:sub_blocks]) == set(range(more, stride))  # so many that they cannot overlap
    assert all(columns[head] == columns[head % sub_blocks] for head in range(len(columns)))


# How far they reach.


@given(sparse_patterns())
def test_texts_within_reach_see_all_their_past_and_longer_ones_do_not(pattern: Pattern) -> None:
    n = pattern.reach
    causal = torch.ones(n, n, dtype=torch.bool).tril()
    assert torch.equal(visible(n, n, pattern, HEADS), causal.expand(HEADS, n, n))
    shows_all = pattern == Strided(1) or (isinstance(pattern, Fixed) and pattern.summary == pattern.stride)
    assert bool(visible(1, n + 1, pattern, HEADS).all()) == shows_all


def test_dense_attention_reaches_further_than_any_text() -> None:
    assert Dense().reach > 10**15


def paths(n: int, layers: Sequence[Tensor]) -> Tensor:
    """Whether what stands at a key can come to a query through these layers, the first one first; (n, n), bool."""
    reached = torch.eye(n, dtype=torch.bool)
    for seen in layers:
        reached = (seen.float() @ reached.float()) > 0
    return reached


def any_head(pattern: Pattern, n: int, n_head: int = HEADS) -> Tensor:
    return visible(n, n, pattern, n_head).any(0)


@settings(max_examples=60)
@given(pattern=sparse_patterns().filter(lambda pattern: not isinstance(pattern, Banded)), n=st.integers(1, 80))
def test_strided_and_fixed_are_valid_in_two_layers(pattern: Pattern, n: int) -> None:
    """SP §4.2 with p = 2: every key comes to every later query over at most p + 1 = 3 positions."""
    seen = any_head(pattern, n)
    assert torch.equal(paths(n, [seen, seen]), any_head(Dense(), n))


@given(pattern=sparse_patterns(), n=st.integers(1, 40))
def test_one_dense_layer_is_valid_alone_and_beside_any_other(pattern: Pattern, n: int) -> None:
    dense, other = any_head(Dense(), n), any_head(pattern, n)
    assert torch.equal(dense, torch.ones(n, n, dtype=torch.bool).tril())
    assert torch.equal(paths(n, [dense, other]), dense)
    assert torch.equal(paths(n, [other, dense]), dense)


@settings(max_examples=60)
@given(width=st.integers(2, 12), n=st.integers(2, 60))
def test_bands_alone_take_a_layer_for_every_width_less_one(width: int, n: int) -> None:
    seen, n_layer = any_head(Banded(width), n), math.ceil((n - 1) / (width - 1))
    assert torch.equal(paths(n, [seen] * n_layer), any_head(Dense(), n))
    assert not paths(n, [seen] * (n_layer - 1))[-1, 0]


def test_a_band_of_one_key_never_passes_anything_on() -> None:
    assert torch.equal(paths(9, [any_head(Banded(1), 9)] * 20), torch.eye(9, dtype=torch.bool))


def test_fixed_heads_are_valid_together_while_of_each_alone_only_the_first_is() -> None:
    """Columns that end before their block does can never pass the keys behind them on; head 0's end with it."""
    pattern, n = Fixed(6, 1, 3), 24
    of_head = visible(n, n, pattern, 3)
    everything = any_head(Dense(), n)
    assert torch.equal(paths(n, [of_head[0]] * 2), everything)
    for head in (1, 2):
        lost = everything & ~paths(n, [of_head[head]] * 20)
        keys = set(lost.nonzero()[:, 1].tolist())
        assert keys == {j for j in range(18) if j % 6 >= 6 - head}
        together = of_head[0] | of_head[head]
        assert torch.equal(paths(n, [together] * 2), everything)


# What does not fit.

FAULTS: list[tuple[Pattern, int, int, str]] = [
    (Banded(33), 32, 4, "band_width must be at most n_ctx, got 33 and 32; a narrower band, or attention = dense"),
    (
        Strided(33),
        32,
        4,
        "stride must be at most n_ctx, got 33 and 32; near the square root of n_ctx the work is least",
    ),
    (Fixed(33, 1, 1), 32, 4, "stride must be at most n_ctx, got 33 and 32; near the square root of n_ctx the work is "),
    (Fixed(8, 1, 5), 32, 4, "sub_blocks must be at most n_head, got 5 and 4; a head reads one, so the others would "),
    (Fixed(8, 3, 3), 32, 4, "sub_blocks x summary_width must be at most stride, got 3 x 3 and 8; fewer or narrower "),
]


@pytest.mark.parametrize(("pattern", "n_ctx", "n_head", "reason"), FAULTS, ids=lambda x: str(x)[:30])
def test_a_fault_names_the_value_the_limit_and_a_remedy(pattern: Pattern, n_ctx: int, n_head: int, reason: str) -> None:
    found = pattern.fault(n_ctx, n_head)
    assert found is not None
    assert found.startswith(reason)
    assert "\n" not in found


@pytest.mark.parametrize(
    "pattern", [Dense(), Banded(32), Strided(32), Fixed(32, 8, 4), Fixed(32, 32, 1), Fixed(1, 1, 1)], ids=str
)
def test_what_just_fits_has_no_fault(pattern: Pattern) -> None:
    assert pattern.fault(32, 4) is None


# Names and numbers.


def test_each_name_makes_its_pattern_from_its_own_sizes() -> None:
    sizes = Sizes(band_width=3, stride=20, summary_width=2, sub_blocks=4)
    assert tiled(list(PATTERNS), sizes, 4) == [Dense(), Banded(3), Strided(20), Fixed(20, 2, 4)]
    assert tiled(["banded"], sizes, 3) == [Banded(3)] * 3
    assert tiled(["dense", "banded", "strided"], sizes, 5) == [Dense(), Banded(3), Strided(20), Dense(), Banded(3)]


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    assert unknown_pattern(["dense", "banded"]) is None
    assert unknown_pattern(["dense", "bandd"]) == "unknown attention pattern bandd: did you mean banded?"
    assert unknown_pattern(["zzz"]) == "unknown attention pattern zzz: known: dense, banded, strided, fixed"


@given(pattern=sparse_patterns(), n_ctx=st.integers(1, 50))
def test_the_mean_counts_every_key_and_half_the_query_s_own(pattern: Pattern, n_ctx: int) -> None:
    counted = visible(n_ctx, n_ctx, pattern)[0].sum().item()
    assert mean_keys(pattern, n_ctx) == pytest.approx(counted / n_ctx - 0.5, rel=1e-12)
    assert mean_keys(Dense(), n_ctx) == n_ctx / 2
