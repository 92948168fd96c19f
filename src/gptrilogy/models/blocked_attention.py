"""Causal attention as batched matrix products over blocks of queries, with its own backward pass.

A block of queries multiplies only the keys up to its own end, so half the work of a full mask is never done, and
every product is large enough for the CPU's matrix unit. `attention.attend_reference` is the plain formula it equals.
"""

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def blocked_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0, block: int | None = None) -> Tensor:
    """Masked attention over query blocks; `dropout` falls on the probabilities, as in GPT-1.

    Shapes: q, k, v (B, H, T, D) -> (B, H, T, D).
    """
    size = block or (128 if q.shape[-2] <= 512 else 256)
    return cast("Tensor", _BlockedAttention.apply(q, k, v, dropout, size))


class _BlockedAttention(torch.autograd.Function):
    """Keeps each block's probabilities P for the backward pass.

    With y = P v: dP = dy v^T, and softmax gives dS = P * (dP - rowsum(P * dP)), where rowsum(P * dP) = rowsum(dy * y).
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, dropout: float, block: int) -> Tensor:
        B, H, T, D = q.shape
        q, k, v = (x.reshape(B * H, T, D) for x in (q, k, v))  # contiguous, one matrix a head
        y = torch.empty_like(q)
        kept: list[Tensor] = []
        with torch.autocast(q.device.type, enabled=False):
            for start in range(0, T, block):
                stop = min(start + block, T)
                mask = q.new_zeros(stop - start, stop)
                mask[:, start:] = q.new_full((stop - start, stop - start), -math.inf).triu(1)
                scores = torch.baddbmm(mask, q[:, start:stop], k[:, :stop].transpose(1, 2), alpha=1 / math.sqrt(D))
                P = scores.softmax(-1)  # (BH, block, stop)
                kept.append(P)
                if dropout:
                    keep = torch.empty_like(P).bernoulli_(1 - dropout).div_(1 - dropout)
                    kept.append(keep)
                    y[:, start:stop] = (P * keep) @ v[:, :stop]
                else:
                    y[:, start:stop] = P @ v[:, :stop]
        ctx.save_for_backward(q, k, v, y, *kept)
        ctx.block, ctx.dropout = block, dropout
        return y.view(B, H, T, D)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        q, k, v, y, *kept = cast("tuple[Tensor, ...]", ctx.saved_tensors)
        shape, (T, D) = grad_outputs[0].shape, q.shape[1:]
        dy = grad_outputs[0].reshape(q.shape)
        row_sums = (dy * y).sum(-1, keepdim=True)  # (BH, T, 1)
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        blocks = iter(kept)
        for start in range(0, T, ctx.block):
            stop = min(start + ctx.block, T)
            here, P = dy[:, start:stop], next(blocks)
            dP = here @ v[:, :stop].transpose(1, 2)  # (BH, block, stop)
            if ctx.dropout:
                keep = next(blocks)
                dP.mul_(keep)
                dv[:, :stop].baddbmm_((P * keep).transpose(1, 2), here)
            else:
                dv[:, :stop].baddbmm_(P.transpose(1, 2), here)
            dS = dP.sub_(row_sums[:, start:stop]).mul_(P).mul_(1 / math.sqrt(D))
            dq[:, start:stop] = dS @ k[:, :stop]
            dk[:, :stop].baddbmm_(dS.transpose(1, 2), q[:, start:stop])
        return dq.view(shape), dk.view(shape), dv.view(shape), None, None
