import math

import pytest
import torch
from torch import Tensor

from gptrilogy.models.attention import attend_reference, visible
from gptrilogy.models.blocked_attention import blocked_attention

QKV = tuple[Tensor, Tensor, Tensor]


def random_qkv(*shape: int, dtype: torch.dtype = torch.float32) -> QKV:
    drawn = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    q, k, v = (x.clone().requires_grad_() for x in drawn)
    return q, k, v


def gradients(y: Tensor, qkv: QKV) -> tuple[Tensor, ...]:
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(9)).to(y.dtype)
    return torch.autograd.grad(y, qkv, upstream)


@pytest.mark.parametrize("T", [1, 2, 17, 64, 131])
@pytest.mark.parametrize("block", [1, 3, 16, 64, 1000, None])
def test_blocks_of_any_size_equal_the_formula(T: int, block: int | None) -> None:
    qkv = random_qkv(2, 3, T, 5)
    y, expected = blocked_attention(*qkv, block=block), attend_reference(*qkv)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradients(y, qkv), gradients(expected, qkv), rtol=1e-5, atol=1e-5)


def test_a_long_text_equals_the_formula() -> None:
    qkv = random_qkv(1, 1, 777, 8)
    y, expected = blocked_attention(*qkv), attend_reference(*qkv)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradients(y, qkv), gradients(expected, qkv), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(("T", "block"), [(1, None), (37, 8), (200, None)])
def test_bf16_is_near_the_formula(T: int, block: int | None) -> None:
    qkv = random_qkv(1, 2, T, 16, dtype=torch.bfloat16)
    q, k, v = (x.detach().float().requires_grad_() for x in qkv)
    y, expected = blocked_attention(*qkv, block=block), attend_reference(q, k, v)
    torch.testing.assert_close(y.float(), expected, rtol=2e-2, atol=2e-2)
    for ours, formula in zip(gradients(y, qkv), gradients(expected, (q, k, v)), strict=True):
        torch.testing.assert_close(ours.float(), formula, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("block", [2, 3, 8])
def test_the_backward_pass_is_the_derivative(block: int) -> None:
    qkv = random_qkv(1, 2, 5, 3, dtype=torch.float64)

    def in_blocks(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return blocked_attention(q, k, v, block=block)

    assert torch.autograd.gradcheck(in_blocks, qkv)


@pytest.mark.parametrize("block", [2, 8])
def test_the_backward_pass_is_the_derivative_under_dropout(block: int) -> None:
    qkv = random_qkv(1, 2, 5, 3, dtype=torch.float64)

    def replayed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        torch.manual_seed(7)
        return blocked_attention(q, k, v, 0.4, block)

    assert torch.autograd.gradcheck(replayed, qkv)


def dropped_reference(q: Tensor, k: Tensor, v: Tensor, dropout: float, block: int) -> Tensor:
    """The formula with dropped probabilities, over whole matrices; only the draws come block by block."""
    B, H, T, D = q.shape
    keep = torch.zeros(B * H, T, T)
    for start in range(0, T, block):
        stop = min(start + block, T)
        keep[:, start:stop, :stop] = torch.empty(B * H, stop - start, stop).bernoulli_(1 - dropout)
    scores = (q @ k.transpose(-2, -1) / math.sqrt(D)).masked_fill(~visible(T, T), -math.inf)
    return (scores.softmax(-1) * keep.view(B, H, T, T) / (1 - dropout)) @ v


@pytest.mark.parametrize(("T", "block"), [(1, 4), (13, 4), (16, 4), (13, 100)])
def test_dropout_falls_on_the_probabilities(T: int, block: int) -> None:
    qkv = random_qkv(2, 3, T, 5)
    torch.manual_seed(5)
    y = blocked_attention(*qkv, 0.3, block)
    torch.manual_seed(5)
    expected = dropped_reference(*qkv, 0.3, block)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradients(y, qkv), gradients(expected, qkv), rtol=1e-5, atol=1e-5)


def test_dropout_changes_nothing_on_average() -> None:
    """Over n draws each entry's mean is normal around the undropped value.

    Of 120 entries none is past 5 standard errors, except with p < 1e-4.
    """
    q, k, v = (x.detach() for x in random_qkv(1, 2, 12, 5))
    n = 4000
    torch.manual_seed(1)
    q_n, k_n, v_n = (x.expand(n, -1, -1, -1) for x in (q, k, v))
    draws = blocked_attention(q_n, k_n, v_n, 0.2, 5)  # (n, H, T, D)
    error = draws.mean(0) - attend_reference(q, k, v)[0]
    assert (error.abs() < 5 * draws.std(0) / math.sqrt(n)).all()
    assert draws.std(0).min() > 1e-3
