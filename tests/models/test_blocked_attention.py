import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gptrilogy.models.attention import attend_reference, visible
from gptrilogy.models.blocked_attention import UNSEEN, Runs, blocked_attention, causal_runs, run_attention
from gptrilogy.models.dropout import keep_scales

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
        keep[:, start:stop, :stop] = keep_scales(torch.empty(B * H, stop - start, stop), dropout)
    scores = (q @ k.transpose(-2, -1) / math.sqrt(D)).masked_fill(~visible(T, T), -math.inf)
    return (scores.softmax(-1) * keep.view(B, H, T, T)) @ v


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


# Runs: any that neither begin nor end before the one above.


@st.composite
def some_runs(draw: st.DrawFn) -> tuple[Runs, int]:
    """Runs of up to 40 queries over up to 90 keys, some of them empty, and the number of keys."""
    T, S = draw(st.integers(1, 40)), draw(st.integers(1, 90))
    keys = st.lists(st.integers(0, S), min_size=T, max_size=T)
    first, stop = sorted(draw(keys)), sorted(draw(keys))
    return Runs(torch.tensor(first), torch.tensor(stop)), S


def reference_of_runs(q: Tensor, k: Tensor, v: Tensor, runs: Runs) -> tuple[Tensor, Tensor]:
    """The formula and its log-sums over the keys of each run; NaN where there is none."""
    j = torch.arange(k.shape[-2])
    seen = (runs.first[:, None] <= j) & (j < runs.stop[:, None])
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~seen, -math.inf)
    return scores.softmax(-1) @ v, scores.logsumexp(-1, keepdim=True)


@settings(max_examples=80)
@given(runs_of=some_runs(), block=st.integers(1, 50))
def test_any_runs_equal_the_formula_and_their_log_sums_too(runs_of: tuple[Runs, int], block: int) -> None:
    runs, S = runs_of
    T = len(runs.stop)
    q, _, _ = random_qkv(2, 3, T, 5)
    _, k, v = random_qkv(2, 3, S, 5)
    full = (runs.first < runs.stop)[:, None]  # (T, 1)
    y, log_sums = run_attention(q, k, v, runs, block=block, joined=True)
    expected, expected_sums = reference_of_runs(q, k, v, runs)
    torch.testing.assert_close(y.where(full, 0.0), expected.where(full, 0.0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(log_sums.where(full, 0.0), expected_sums.where(full, 0.0), rtol=1e-5, atol=1e-5)
    assert (log_sums.masked_select(~full) <= UNSEEN / 2).all()

    seen_only = torch.where(full, 1.0, 0.0)  # an empty run has no weight beside another part, and so no gradient
    loss = ((y + 0.3 * log_sums.where(full, 0.0)) * seen_only).square().sum()
    q_full, runs_full = q[:, :, full[:, 0]], Runs(runs.first[full[:, 0]], runs.stop[full[:, 0]])
    y_full, sums_full = reference_of_runs(q_full, k, v, runs_full)
    expected_loss = (y_full + 0.3 * sums_full).square().sum()
    torch.testing.assert_close(
        torch.autograd.grad(loss, (q, k, v)),
        torch.autograd.grad(expected_loss, (q, k, v), materialize_grads=True, allow_unused=True),
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_block_in_which_no_query_has_a_key_gives_zeros_and_takes_no_gradient() -> None:
    q, k, v = random_qkv(1, 2, 12, 3)
    runs = Runs(torch.zeros(12, dtype=torch.long), torch.tensor([0] * 8 + [2] * 4))
    y, log_sums = run_attention(q, k, v, runs, block=4, joined=True)
    assert not y[:, :, :8].any()
    assert (log_sums[:, :, :8] == UNSEEN).all()
    dq, dk, dv = torch.autograd.grad(y.sum() + log_sums[:, :, 8:].sum(), (q, k, v))
    assert not dq[:, :, :8].any()
    assert not dk[:, :, 2:].any()
    assert not dv[:, :, 2:].any()


def test_a_query_without_keys_in_a_block_with_some_makes_nothing_infinite() -> None:
    q, k, v = random_qkv(1, 2, 6, 3)
    runs = Runs(torch.zeros(6, dtype=torch.long), torch.tensor([0, 0, 1, 1, 2, 2]))
    y, log_sums = run_attention(q, k, v, runs, joined=True)
    found = torch.autograd.grad(y.sum() + log_sums.sum(), (q, k, v))
    assert all(x.isfinite().all() for x in (y, log_sums, *found))
    assert (log_sums[:, :, :2] == UNSEEN).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_log_sums_are_made_when_asked_for_and_no_narrower_than_fp32(dtype: torch.dtype) -> None:
    qkv = random_qkv(1, 2, 6, 3, dtype=dtype)
    _, log_sums = run_attention(*qkv, causal_runs(6), joined=True)
    assert log_sums.shape == (1, 2, 6, 1)
    assert log_sums.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert run_attention(*qkv, causal_runs(6))[1].numel() == 0


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_backward_pass_of_the_log_sums_is_the_derivative(dropout: float) -> None:
    qkv = random_qkv(1, 2, 6, 3, dtype=torch.float64)

    def replayed(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        torch.manual_seed(7)
        return run_attention(q, k, v, causal_runs(6, 3), dropout, 4, joined=True)

    assert torch.autograd.gradcheck(replayed, qkv)
