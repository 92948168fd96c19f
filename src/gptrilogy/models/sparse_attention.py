"""The patterns of `patterns` without the work they leave out: parts of one softmax, each laid out so that it is dense.

Write the text in rows of `stride` tokens. A strided layer's local part is a band; its other keys, a multiple of the
stride back, are the query's own column. A fixed layer's local part is its row; its other keys are a few columns of the
rows above. Each part is causal or banded in its own layout, so that blocks of it are plain products; their softmaxes
are put together by their log-sums, as if there had been one.

Work for n tokens: O(n width) banded, O(n (stride + n / stride)) strided, O(n (stride + c n / stride)) fixed; the last
two are O(n sqrt n) with a stride near sqrt n.
"""

from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from gptrilogy.models.blocked_attention import Runs, causal_runs, run_attention
from gptrilogy.models.patterns import Banded, Dense, Fixed, Pattern, Strided

Part: TypeAlias = tuple[Tensor, Tensor]  # (B, H, T, D), and the log-sums (B, H, T, 1)


def sparse_attention(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, dropout: float = 0.0) -> Tensor:
    """softmax(q k^T / sqrt(D)) v over the keys that the pattern shows; `dropout` falls on the probabilities.

    Shapes: q, k, v (B, H, T, D) -> (B, H, T, D).
    """
    T = q.shape[-2]
    match pattern:
        case Banded(width):
            return run_attention(q, k, v, causal_runs(T, width), dropout)[0]
        case Strided(stride):
            local = run_attention(q, k, v, causal_runs(T, stride + 1), dropout, joined=True)
            return _joined(local, _columns(q, k, v, stride, dropout))
        case Fixed(stride):
            return _joined(_own_rows(q, k, v, stride, dropout), _summaries(q, k, v, pattern, dropout))
        case _:
            assert isinstance(pattern, Dense), f"no kernel for {pattern}"
            return run_attention(q, k, v, causal_runs(T), dropout)[0]


def summaries(x: Tensor, pattern: Fixed) -> Tensor:
    """What later blocks see of each block, the last one too: of every head the columns of its sub-block.

    Shapes: x (B, H, T, D) -> (B, H, ceil(T / stride) c, D).
    """
    rows = _rows(x, pattern.stride)  # (B, H, rows, stride, D)
    heads = torch.arange(x.shape[1], device=x.device)
    columns = pattern.first_residue(heads)[:, None] + torch.arange(pattern.summary, device=x.device)  # (H, c)
    picked = rows.transpose(1, 2)[:, :, heads[:, None], columns]  # (B, rows, H, c, D)
    return picked.transpose(1, 2).flatten(2, 3)


def _columns(q: Tensor, k: Tensor, v: Tensor, stride: int, dropout: float) -> Part:
    """Of each query the keys 2, 3, ... strides back: nearer ones are in its local part."""
    B, H, T, _ = q.shape
    q, k, v = (_rows(x, stride).transpose(2, 3).flatten(1, 2) for x in (q, k, v))  # (B, H stride, rows, D)
    row = torch.arange(q.shape[2])
    runs = Runs(torch.zeros_like(row), (row - 1).clamp(min=0))

    def in_order(x: Tensor) -> Tensor:
        return x.view(B, H, stride, *x.shape[2:]).transpose(2, 3).flatten(2, 3)[:, :, :T]

    y, log_sums = run_attention(q, k, v, runs, dropout, joined=True)
    return in_order(y), in_order(log_sums)


def _own_rows(q: Tensor, k: Tensor, v: Tensor, stride: int, dropout: float) -> Part:
    """Of each query the keys of its own block."""
    B, H, T, _ = q.shape
    q, k, v = (_rows(x, stride).flatten(1, 2) for x in (q, k, v))  # (B, H rows, stride, D)
    y, log_sums = run_attention(q, k, v, causal_runs(stride), dropout, joined=True)
    return y.view(B, H, -1, y.shape[-1])[:, :, :T], log_sums.view(B, H, -1, 1)[:, :, :T]


def _summaries(q: Tensor, k: Tensor, v: Tensor, pattern: Fixed, dropout: float) -> Part:
    """Of each query the summary columns of all earlier blocks."""
    stop = torch.arange(q.shape[2]) // pattern.stride * pattern.summary
    runs = Runs(torch.zeros_like(stop), stop)
    return run_attention(q, summaries(k, pattern), summaries(v, pattern), runs, dropout, joined=True)


def _rows(x: Tensor, stride: int) -> Tensor:
    """A text in rows of `stride` tokens, the last one filled with zeros.

    Shapes: x (B, H, T, D) -> (B, H, rows, stride, D).
    """
    B, H, T, D = x.shape
    return F.pad(x, (0, 0, 0, -T % stride)).view(B, H, -1, stride, D)


def _joined(one: Part, other: Part) -> Tensor:
    """One softmax from two: each part weighs as much as its denominator."""
    (y, log_sum), (y_other, log_sum_other) = one, other
    return torch.lerp(y_other, y, torch.sigmoid(log_sum - log_sum_other).to(y.dtype))
