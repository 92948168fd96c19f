"""Attention as batched matrix products over blocks of queries, with its own backward pass.

Every query sees one run of adjacent keys: all up to its own in causal attention, the newest few in a band, and in the
layouts of `sparse_attention` the parts of its patterns too. A block of queries multiplies only the keys that lie in one
of its runs, so the work that a full mask would throw away is never done, and every product is large enough for the
CPU's matrix unit. `attention.attend_reference` is the plain formula it equals.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gptrilogy.models.dropout import keep_scales

ALIGN = 64  # keys
UNSEEN = -1e30  # a score that no key has; finite in fp32 and bf16, so that a query with no key at all makes no NaN


class Runs(NamedTuple):
    """Query i sees the keys first[i] <= j < stop[i]; neither ever decreases.

    Shapes: first, stop (T,), on the CPU.
    """

    first: Tensor
    stop: Tensor


def causal_runs(T: int, width: int | None = None) -> Runs:
    """Each query's own key and those before it, or the newest `width` of them.

    >>> causal_runs(4, 2)
    Runs(first=tensor([0, 0, 1, 2]), stop=tensor([1, 2, 3, 4]))
    """
    stop = torch.arange(1, T + 1)
    return Runs(torch.zeros_like(stop) if width is None else (stop - width).clamp(min=0), stop)


def blocked_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0, block: int | None = None) -> Tensor:
    """Causal attention over query blocks; `dropout` falls on the probabilities, as in GPT-1.

    Shapes: q, k, v (B, H, T, D) -> (B, H, T, D).
    """
    T = q.shape[-2]
    return run_attention(q, k, v, causal_runs(T), dropout, block or (128 if T <= 512 else 256))[0]


def run_attention(
    q: Tensor, k: Tensor, v: Tensor, runs: Runs, dropout: float = 0.0, block: int | None = None, *, joined: bool = False
) -> tuple[Tensor, Tensor]:
    """Attention of each query to its run of keys; if `joined`, also the log of its softmax's denominator.

    By these logs parts of one softmax are put together. A query without keys has about `UNSEEN` there, so that beside
    any other part it weighs nothing; alone, its result means nothing.

    Shapes: q (B, H, T, D), k, v (B, H, S, D) -> (B, H, T, D), (B, H, T, 1) in fp32 or better.
    """
    size = block or (128 if q.dtype == torch.bfloat16 else 64)  # so that a dozen heads' scores stay in the cache
    return cast("tuple[Tensor, Tensor]", _RunAttention.apply(q, k, v, runs, dropout, size, joined))


class _RunAttention(torch.autograd.Function):
    """Keeps each block's probabilities P for the backward pass.

    With y = P v: dP = dy v^T, and softmax gives dS = P * (dP - rowsum(P * dP)). The gradient of the log-sum for a score
    is P too. A key's gradient is a sum over blocks of queries, kept in fp32 or better.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, runs: Runs, dropout: float, block: int, joined: bool
    ) -> tuple[Tensor, Tensor]:
        *heads, T, D = q.shape
        q, k, v = (x.reshape(-1, *x.shape[-2:]) for x in (q, k, v))  # one matrix a head
        y = q.new_zeros(q.shape)
        exact = torch.promote_types(q.dtype, torch.float32)
        log_sums = q.new_full((len(y), T if joined else 0, 1), UNSEEN, dtype=exact)
        learning = any(ctx.needs_input_grad)
        kept: list[Tensor] = []
        scratch = _Scratch(q)
        with torch.autocast(q.device.type, enabled=False):
            for part, keys, mask in _blocks(runs, block, q):
                scores = scratch.product(_of(q, part) / math.sqrt(D), _of(k, keys).mT).add_(mask)  # (BH, block, keys)
                P = scores.softmax(-1)
                if joined:  # the largest probability is exp(largest score - log-sum)
                    log_sums[:, part] = scores.amax(-1, True).to(exact) - P.amax(-1, True).to(exact).log()
                keep = keep_scales(P, dropout) if dropout else None
                if learning:
                    kept += [P] if keep is None else [P, keep]
                y[:, part] = (P if keep is None else P * keep) @ _of(v, keys)
        ctx.save_for_backward(q, k, v, *kept)
        ctx.runs, ctx.block, ctx.dropout = runs, block, dropout
        return y.view(*heads, T, D), log_sums.view(*heads, -1, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        q, k, v, *kept = cast("tuple[Tensor, ...]", ctx.saved_tensors)
        heads, D = grad_outputs[0].shape[:-2], q.shape[-1]
        dy, d_log_sums = (x.reshape(len(q), -1, x.shape[-1]) for x in grad_outputs)
        exact = torch.promote_types(q.dtype, torch.float32)
        dq, dk, dv = q.new_zeros(q.shape), k.new_zeros(k.shape, dtype=exact), v.new_zeros(v.shape, dtype=exact)
        tensors = iter(kept)
        dP_scratch, dS_scratch = _Scratch(q), _Scratch(q)
        with torch.autocast(q.device.type, enabled=False):
            for part, keys, _ in _blocks(ctx.runs, ctx.block, q):
                P, dy_here = next(tensors), _of(dy, part)
                dP = dP_scratch.product(dy_here, _of(v, keys).mT)  # (BH, block, keys)
                dropped = P
                if ctx.dropout:
                    keep = next(tensors)
                    dP.mul_(keep)
                    dropped = P * keep
                dv[:, keys] += dropped.mT @ dy_here
                dS = dS_scratch(P.shape)
                torch.ops.aten._softmax_backward_data.out(dP, P, -1, P.dtype, grad_input=dS)  # the formula, in one pass
                if d_log_sums.shape[1]:
                    dS.addcmul_(P, d_log_sums[:, part].to(P.dtype))
                dq[:, part] = (dS @ _of(k, keys)).div_(math.sqrt(D))
                dk[:, keys] += dS.mT @ (_of(q, part) / math.sqrt(D))
        return *(x.to(q.dtype).view(*heads, -1, D) for x in (dq, dk, dv)), None, None, None, None


class _Scratch:
    """Memory for one block's matrix, used again by the next: to touch new memory takes longer than to compute."""

    def __init__(self, like: Tensor) -> None:
        self._memory = like.new_empty(0)

    def __call__(self, shape: Sequence[int]) -> Tensor:
        n = math.prod(shape)
        if len(self._memory) < n:
            self._memory = self._memory.new_empty(n)
        return self._memory[:n].view(*shape)

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.bmm(a, b, out=self((*a.shape[:-1], b.shape[-1])))


def _of(x: Tensor, part: slice) -> Tensor:
    """Some positions of every head; in bf16 contiguous, or every product would make its own copy.

    Shapes: x (BH, T, D) -> (BH, part, D).
    """
    return x[:, part].contiguous() if x.dtype == torch.bfloat16 else x[:, part]


def _blocks(runs: Runs, size: int, like: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Each block of queries that sees any key: where it lies, where its keys lie, and what of these each query sees.

    The keys begin at a multiple of `ALIGN`: odd lengths cost the matrix unit a third of its speed.
    """
    first, stop = (cast("list[int]", x.tolist()) for x in runs)  # small tensors would cost as much as a product
    before: list[tuple[int, int]] = []
    mask = like.new_empty(0)
    for start in range(0, len(stop), size):
        part = slice(start, min(start + size, len(stop)))
        end = stop[part.stop - 1]
        if first[start] >= end:
            continue
        begin = first[start] // ALIGN * ALIGN
        seen = [(low - begin, high - begin) for low, high in zip(first[part], stop[part], strict=True)]
        if seen != before:  # as at the text's beginning; later blocks of a band are all alike
            edges, j = torch.tensor(seen), torch.arange(end - begin)  # (block, 2), (keys,)
            before, mask = seen, torch.where((edges[:, :1] <= j) & (j < edges[:, 1:]), 0.0, UNSEEN).to(like)
        yield part, slice(begin, end), mask
