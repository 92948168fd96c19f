"""Cross-entropy of the tied output layer, a few hundred positions at a time.

GPT-2's logits of one batch of 8 x 1,024 tokens are 1.6 GB in fp32, and their gradient as much again. Here only one
chunk of them exists at a time, and its gradient is formed on the spot.
"""

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gptrilogy.models import kernels

RARE_NATS = 60.0  # fp32 holds probabilities down to e^-87 at full precision
CHUNK_ELEMENTS = 1 << 25  # logits at once: 128 MB in fp32
ALIGN = 32  # logits: a row of 64 bytes at a time


def mean_loss_nats(hidden: Tensor, wte: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Weighted mean of -log softmax(hidden wte^T)[target].

    Shapes: hidden (N, C), wte (V, C), targets (N,), weights (N,) or None for all ones -> ().
    Units: nats a token.
    Source: GPT1 eq. 1-2, as a mean.
    """
    shares = torch.ones_like(targets, dtype=torch.float32) if weights is None else weights
    shares = shares.to(_at_least_fp32(hidden.dtype))
    shares = shares / shares.sum()
    return cast("Tensor", _ChunkedCrossEntropy.apply(hidden, wte, targets, shares))


def token_nats(hidden: Tensor, wte: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(hidden wte^T)[target] of each position, without a gradient.

    Shapes: hidden (N, C), wte (V, C), targets (N,) -> (N,), fp32.
    """
    with torch.no_grad():
        nats = [_nats(h @ wte.t(), t) for h, t in _chunks(hidden, targets, n_vocab=len(wte))]
    return torch.cat(nats)


def mean_loss_reference(hidden: Tensor, wte: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """`mean_loss_nats`, written as its formula over whole logits."""
    nats = F.cross_entropy((hidden @ wte.t()).float(), targets, reduction="none")
    return nats.mean() if weights is None else (nats * weights).sum() / weights.sum()


class _ChunkedCrossEntropy(torch.autograd.Function):
    """The gradient of -log softmax is (p - onehot) * share, so it is ready as soon as a chunk's logits are.

    The share is applied to the small factors of both products, never to a chunk of logits.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, wte: Tensor, targets: Tensor, shares: Tensor) -> Tensor:
        device = hidden.device.type
        needed = any(ctx.needs_input_grad[:2])
        if kernels.multiplies(hidden, wte):
            total, d_hidden, d_wte = _by_kernels(hidden, wte, targets, shares, needed=needed)
            ctx.save_for_backward(d_hidden, d_wte)
            return total
        autocast = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if autocast else hidden.dtype
        exact = _at_least_fp32(dtype)
        total = torch.zeros((), dtype=torch.float64, device=hidden.device)
        d_hidden = torch.empty_like(hidden) if needed else None
        d_wte = None
        with torch.autocast(device, enabled=False):
            weight = wte.to(dtype)
            start = 0
            for h, t, s in _chunks(hidden, targets, shares, n_vocab=len(wte)):
                h = h.to(dtype)  # noqa: PLW2901
                logits = h @ weight.t()  # (chunk, V)
                p = logits.softmax(-1, dtype=exact)
                total += (_target_nats(logits, p, t) * s).sum(dtype=torch.float64)
                if d_hidden is not None:
                    d_logits = p.scatter_add_(1, t[:, None], p.new_full((len(t), 1), -1.0)).to(dtype)
                    d_hidden[start : start + len(h)] = (d_logits @ weight) * s[:, None]
                    d_chunk = d_logits.t() @ (h * s[:, None]).to(dtype)  # (V, C)
                    d_wte = d_chunk.to(exact) if d_wte is None else d_wte.add_(d_chunk)
                start += len(h)
        ctx.save_for_backward(d_hidden, d_wte)
        return total.to(exact)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        d_hidden, d_wte = cast("tuple[Tensor, Tensor]", ctx.saved_tensors)
        upstream = grad_outputs[0]
        if upstream == 1:  # as without accumulation; the gradient of a large vocabulary is worth the question
            return d_hidden, d_wte, None, None
        return d_hidden * upstream, d_wte * upstream, None, None


def _by_kernels(
    hidden: Tensor, wte: Tensor, targets: Tensor, shares: Tensor, *, needed: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The loss and, if `needed`, both gradients: a chunk's logits are bf16 and become their gradient in place."""
    n_vocab = len(wte)
    rows = hidden.detach().to(torch.bfloat16).contiguous()
    scaled = (rows * shares[:, None]).to(torch.bfloat16)
    total = torch.zeros((), dtype=torch.float64)
    d_hidden = torch.empty_like(rows, dtype=torch.float32) if needed else None
    d_wte = torch.empty_like(wte) if needed else None
    room: Tensor | None = None
    start = 0
    for h, s, t in _chunks(rows, scaled, targets, n_vocab=n_vocab):
        room = rows.new_empty(len(h), n_vocab + -n_vocab % ALIGN) if room is None else room
        logits, here = room[: len(h), :n_vocab], slice(start, start + len(h))
        nats = kernels.product_and_cross_entropy(h, wte, t, logits)
        total += (nats * shares[here]).sum(dtype=torch.float64)
        if d_hidden is not None and d_wte is not None:
            kernels.product(logits, wte, d_hidden[here])
            kernels.product(logits, s, d_wte, turn_a=True, add=start > 0)
        start += len(h)
    if d_hidden is not None:
        d_hidden = d_hidden.mul_(shares[:, None]).to(hidden.dtype)
    return total.to(torch.float32), d_hidden, d_wte


def _at_least_fp32(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _target_nats(logits: Tensor, p: Tensor, targets: Tensor) -> Tensor:
    """-log p[target], from the logits where p is so small that it lost digits."""
    nats = -p.gather(1, targets[:, None])[:, 0].log()
    rare = nats > RARE_NATS
    if rare.any():
        nats[rare] = F.cross_entropy(logits[rare].to(p.dtype), targets[rare], reduction="none")
    return nats


def _nats(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), targets, reduction="none")


def _chunks(*rows: Tensor, n_vocab: int) -> Iterator[tuple[Tensor, ...]]:
    size = max(1, CHUNK_ELEMENTS // n_vocab)
    for start in range(0, len(rows[0]), size):
        yield tuple(x[start : start + size] for x in rows)
