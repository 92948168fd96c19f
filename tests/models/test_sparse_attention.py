"""The kernels of the sparse patterns against the masked formula: values, gradients, precision, dropout."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attention_inputs import PATTERNS, Attention, random_qkv, sparse_patterns, with_gradients
from gptrilogy.models.attention import attend, attend_reference, visible
from gptrilogy.models.patterns import Banded, Fixed, Pattern, Strided
from gptrilogy.models.sparse_attention import sparse_attention, summaries

LONG: list[Pattern] = [
    Banded(100),
    Banded(129),
    Strided(2),
    Strided(17),
    Strided(140),
    Fixed(16, 3, 4),
    Fixed(140, 8, 3),
]


def reference(pattern: Pattern) -> Attention:
    return lambda q, k, v: attend_reference(q, k, v, pattern)


def kernel(pattern: Pattern) -> Attention:
    return lambda q, k, v: sparse_attention(q, k, v, pattern)


def assert_equal_to_the_formula(pattern: Pattern, *qkv: Tensor, atol: float = 1e-5) -> None:
    expected = with_gradients(reference(pattern), *qkv)
    torch.testing.assert_close(with_gradients(kernel(pattern), *qkv), expected, rtol=1e-5, atol=atol)


# Every size.


@settings(max_examples=80)
@given(
    pattern=sparse_patterns(20),
    B=st.integers(1, 3),
    H=st.integers(3, 5),
    T=st.integers(1, 90),
    D=st.integers(1, 9),
)
def test_every_pattern_equals_the_formula(pattern: Pattern, B: int, H: int, T: int, D: int) -> None:
    assert_equal_to_the_formula(pattern, *random_qkv(B, H, T, D))


@pytest.mark.parametrize("pattern", LONG, ids=str)
@pytest.mark.parametrize("T", [127, 128, 129, 256, 280, 301])
def test_texts_of_several_blocks_equal_the_formula(pattern: Pattern, T: int) -> None:
    """Rows, columns and bands shorter and longer than a block of queries."""
    assert_equal_to_the_formula(pattern, *random_qkv(2, 4, T, 8), atol=2e-5)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_the_shortest_texts_equal_the_formula(pattern: Pattern) -> None:
    for T in range(1, 20):
        assert_equal_to_the_formula(pattern, *random_qkv(1, 3, T, 4))


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_attend_is_the_formula_within_reach_and_past_it(pattern: Pattern) -> None:
    for T in range(1, 20):
        qkv = random_qkv(2, 3, T, 4)
        found = with_gradients(lambda q, k, v: attend(q, k, v, pattern), *qkv)
        torch.testing.assert_close(found, with_gradients(reference(pattern), *qkv), rtol=1e-5, atol=1e-5)


# Every precision.


@pytest.mark.parametrize("pattern", [*PATTERNS, *LONG], ids=str)
@pytest.mark.parametrize("T", [1, 37, 150])
def test_bf16_is_near_the_formula(pattern: Pattern, T: int) -> None:
    qkv = random_qkv(2, 4, T, 16, dtype=torch.bfloat16)
    exact = with_gradients(reference(pattern), *(x.float() for x in qkv))
    for found, formula in zip(with_gradients(kernel(pattern), *qkv), exact, strict=True):
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found.float(), formula, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("pattern", [Banded(3), Strided(2), Strided(3), Fixed(3, 1, 2)], ids=str)
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_backward_pass_is_the_derivative(pattern: Pattern, dropout: float) -> None:
    """Under dropout too, of draws that are the same each time."""
    qkv = [x.requires_grad_() for x in random_qkv(1, 2, 8, 3, dtype=torch.float64)]

    def replayed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        torch.manual_seed(7)
        return sparse_attention(q, k, v, pattern, dropout)

    assert torch.autograd.gradcheck(replayed, qkv)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_float64_equals_the_formula_to_its_own_precision(pattern: Pattern) -> None:
    qkv = random_qkv(1, 3, 30, 8, dtype=torch.float64)
    expected = with_gradients(reference(pattern), *qkv)
    torch.testing.assert_close(with_gradients(kernel(pattern), *qkv), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize("scale", [30.0, 100.0])
def test_huge_scores_are_as_exact_as_those_of_the_formula(pattern: Pattern, scale: float) -> None:
    """Scores of 10^4 and more have no digits left behind the point, and one part of a softmax all of the weight."""
    q, k, v = random_qkv(2, 3, 60, 8)
    huge = q * scale, k * scale, v
    exact = with_gradients(reference(pattern), *(x.double() for x in huge))
    found = with_gradients(kernel(pattern), *huge)
    formula = with_gradients(reference(pattern), *huge)
    for ours, plain, truth in zip(found, formula, exact, strict=True):
        assert ours.isfinite().all()
        allowed = 1e-5 + 4 * (plain - truth).abs().max()
        assert (ours - truth).abs().max() <= allowed


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_scores_far_below_and_above_zero_weigh_alike(pattern: Pattern) -> None:
    """A softmax does not change when all its scores do; log-sums that lost their maximum would show here.

    Scores near 1,000 are rounded by up to 3e-5, their sums over 8 dimensions and the two parts by a few times that.
    """
    q, k, v = random_qkv(1, 3, 40, 8)
    q[..., 0] = 1.0
    for shift in (-3e3, 3e3):
        k[..., 0] = shift
        torch.testing.assert_close(
            sparse_attention(q, k, v, pattern), attend_reference(q, k, v, pattern), rtol=0, atol=5e-4
        )


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_views_of_one_projection_are_taken_as_they_are(pattern: Pattern) -> None:
    """q, k, v as the layer makes them: none contiguous, all of one tensor."""
    qkv = torch.randn(2, 33, 3, 3, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    upstream = torch.randn(2, 3, 33, 8, generator=torch.Generator().manual_seed(1)).transpose(1, 2).contiguous()
    found: list[tuple[Tensor, ...]] = []
    for attention in (kernel(pattern), reference(pattern)):
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # 3 x (B, H, T, D)
        y = attention(q, k, v)
        found.append((y, *torch.autograd.grad(y, qkv, upstream.transpose(1, 2))))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_autocast_changes_neither_precision_nor_result(pattern: Pattern) -> None:
    """The products are made in the precision of q, k and v, which the layer's projection has chosen."""
    for dtype in (torch.float32, torch.bfloat16):
        q, k, v = (x.requires_grad_() for x in random_qkv(1, 3, 40, 8, dtype=dtype))
        upstream = torch.ones(1, 3, 40, 8, dtype=dtype)
        plain = sparse_attention(q, k, v, pattern)
        with torch.autocast("cpu", torch.bfloat16):
            cast = sparse_attention(q, k, v, pattern)
        assert cast.dtype == dtype
        assert torch.equal(cast, plain)
        gradients = [torch.autograd.grad(y, (q, k, v), upstream) for y in (cast, plain)]
        assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


# Dropout.


def seen_probabilities(q: Tensor, k: Tensor, pattern: Pattern) -> Tensor:
    """The formula with the unit vectors as values: each result is a row of probabilities. Shapes: (B, H, T, T)."""
    return attend_reference(q, k, torch.eye(q.shape[-2]).expand(*q.shape[:2], -1, -1), pattern)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_dropout_falls_on_the_probabilities(pattern: Pattern) -> None:
    """Of unit vectors as values: what is left of each probability is nothing, or all of it over 1 - dropout."""
    B, H, T, dropout = 40, 3, 30, 0.25
    q, k = (torch.randn(B, H, T, T, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    eye = torch.eye(T).expand(B, H, T, T)
    torch.manual_seed(3)
    found = sparse_attention(q, k, eye, pattern, dropout)
    kept = found > 0
    expected = seen_probabilities(q, k, pattern)
    torch.testing.assert_close(found, torch.where(kept, expected / (1 - dropout), 0.0), rtol=1e-4, atol=1e-6)
    of_seen = kept[visible(T, T, pattern, H).expand_as(kept)].float()
    assert abs(of_seen.mean() - (1 - dropout)) < 5 * math.sqrt(dropout * (1 - dropout) / len(of_seen))  # p < 1e-6


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_dropout_changes_nothing_on_average(pattern: Pattern) -> None:
    """Over n draws each entry's mean is normal around the undropped value.

    Of 150 entries none is past 5 standard errors, except with p < 1e-4.
    """
    n = 3000
    q, k, v = random_qkv(1, 3, 10, 5)
    torch.manual_seed(1)
    q_n, k_n, v_n = (x.expand(n, -1, -1, -1) for x in (q, k, v))
    draws = sparse_attention(q_n, k_n, v_n, pattern, 0.2)  # (n, H, T, D)
    error = draws.mean(0) - attend_reference(q, k, v, pattern)[0]
    assert (error.abs() < 5 * draws.std(0) / math.sqrt(n)).all()
    assert draws.std(0).min() > 1e-3


# What a key may touch.


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_a_key_changes_the_queries_that_see_it_and_no_other_by_a_bit(pattern: Pattern) -> None:
    T, H = 23, 3
    q, k, v = random_qkv(1, H, T, 4)
    before = sparse_attention(q, k, v, pattern)
    seen = visible(T, T, pattern, H)
    for key in range(T):
        k_new, v_new = k.clone(), v.clone()
        k_new[:, :, key], v_new[:, :, key] = 3.0, 1e3
        changed = (sparse_attention(q, k_new, v_new, pattern) != before).any(-1)[0]  # (H, T)
        assert torch.equal(changed, seen[:, :, key])


def test_summaries_are_the_columns_of_each_head_s_sub_block() -> None:
    positions = torch.arange(11.0)[:, None].expand(1, 4, 11, 1) + 1  # 0 is what the last row is filled with
    found = summaries(positions, Fixed(stride=5, summary=2, sub_blocks=2))[0, :, :, 0].tolist()
    assert found == 2 * [[4, 5, 9, 10, 0, 0], [2, 3, 7, 8, 0, 0]]
