"""Dropout by 16 random bits a number, against what dropout means."""

import math

import pytest
import torch

from gptrilogy.models.dropout import SHARES, dropout, keep_scales

N = 400_003  # not a multiple of four


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 1 / 3])
def test_a_share_p_is_dropped_and_the_mean_stays(p: float) -> None:
    """Each count lies within five standard deviations, p < 1e-6."""
    scales = keep_scales(torch.empty(N), p)
    kept = scales > 0
    assert abs(kept.float().mean().item() - (1 - p)) < 5 * math.sqrt(p * (1 - p) / N) + 1 / SHARES
    assert scales.unique().tolist() == pytest.approx([0, 1 / (1 - p)], rel=2 / SHARES / (1 - p))
    exact = 1 - round(p * SHARES) / SHARES
    assert scales.max().item() * exact == pytest.approx(1, abs=1e-6)


def test_the_four_numbers_of_one_draw_are_independent() -> None:
    """Neighbours are dropped together as often as any two, within five standard deviations, p < 1e-6."""
    dropped = (keep_scales(torch.empty(N - 3), 0.5) == 0).view(-1, 4).double()
    for i in range(4):
        for j in range(i):
            both = (dropped[:, i] * dropped[:, j]).mean().item()
            assert abs(both - 0.25) < 5 * math.sqrt(0.25 * 0.75 / len(dropped))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_types_and_shapes_stay(dtype: torch.dtype) -> None:
    x = torch.ones(3, 5, 7, dtype=dtype)
    y = dropout(x, 0.5, training=True)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    assert set(y.flatten().tolist()) == {0.0, 2.0}


def test_the_gradient_passes_where_the_number_did() -> None:
    x = torch.rand(1000, requires_grad=True)
    y = dropout(x, 0.3, training=True)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient * x, y)


def test_nothing_is_dropped_in_evaluation_or_at_zero() -> None:
    x = torch.rand(10)
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0, training=True) is x


def test_a_seed_gives_the_same_numbers() -> None:
    first = keep_scales(torch.empty(100), 0.1)
    torch.manual_seed(0)
    assert torch.equal(keep_scales(torch.empty(100), 0.1), first)
