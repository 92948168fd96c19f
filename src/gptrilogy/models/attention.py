"""Causal self-attention, dense or sparse, and the plain formula it must equal."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptrilogy.devices import bf16_unit
from gptrilogy.models.blocked_attention import blocked_attention
from gptrilogy.models.cache import LayerCache
from gptrilogy.models.flex_attention import compiled_flex
from gptrilogy.models.patterns import Dense, Pattern
from gptrilogy.models.sparse_attention import sparse_attention

DENSE = Dense()


class CausalSelfAttention(nn.Module):
    """Multi-head masked self-attention over a residual stream, in which each query sees the keys of a pattern.

    Shapes: x (B, T, C) -> (B, T, C).
    Source: GPT1 §4.1, GPT2 §2.3; patterns: GPT3 §2.1.
    """

    def __init__(self, n_embd: int, n_head: int, dropout: float, pattern: Pattern = DENSE) -> None:
        super().__init__()
        self.n_head = n_head
        self.dropout = dropout
        self.pattern = pattern
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        B, T, C = x.shape
        qkv = self.c_attn(x).view(B, T, 3, self.n_head, -1)  # (B, T, 3, H, D)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # 3 x (B, H, T, D)
        if cache is None:
            y = attend(q, k, v, self.pattern, dropout=self.dropout if self.training else 0.0)  # (B, H, T, D)
        else:
            y = attend_cached(q, k, v, cache)  # (B, H, T, D)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))


def attend(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern = DENSE, *, dropout: float = 0.0) -> Tensor:
    """softmax(q k^T / sqrt(D)) v over the keys a pattern shows each query, by the fastest exact way this device has.

    Shapes: q, k, v (B, H, T, D) -> (B, H, T, D).
    """
    if q.shape[-2] > pattern.reach:
        if q.device.type == "cuda" and not dropout:
            return compiled_flex(q, k, v, pattern)
        return sparse_attention(q, k, v, pattern, dropout)
    if q.device.type == "cpu" and _blocks_are_faster(q, dropout):
        return blocked_attention(q, k, v, dropout)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)


def _blocks_are_faster(q: Tensor, dropout: float) -> bool:
    """Where query blocks beat the flash kernel on a CPU: its backward is slow in bf16, and it has no dropout.

    With AMX the kernel's backward catches up at long contexts (1,024 tokens of GPT-2 small: 38 ms, blocks 51 ms);
    without, blocks win at every length measured.
    """
    if dropout:
        return True
    differentiated = torch.is_grad_enabled() and q.requires_grad
    short = q.shape[-2] < 512 or bf16_unit() != "AMX"
    return differentiated and q.dtype == torch.bfloat16 and short


def attend_cached(q: Tensor, k: Tensor, v: Tensor, cache: LayerCache) -> Tensor:
    """Append new keys and values to a cache and attend to what it held and to them, each row at its own length.

    Rows are taken one by one, so that a row's result cannot depend on its neighbours' lengths; idle rows give zeros.

    Shapes: q, k, v (B, H, T, D) for the T newest tokens -> (B, H, T, D).
    """
    y = torch.zeros_like(q)
    for row in range(len(cache.lengths)):
        if q.shape[-2] > 1:  # before it is appended: a window would then have lost what the first of them see
            y[row] = _several(q[row], k[row], v[row], cache, row)
        cache.append(row, k[row], v[row])
        if q.shape[-2] == 1:
            y[row] = _newest(q[row], cache.newest(row))
    return y


def _newest(q: Tensor, parts: list[tuple[Tensor, Tensor]]) -> Tensor:
    """One query, all of whose keys are given, in one or two parts of (H, S, D); -> (H, 1, D)."""
    scores = torch.cat([q @ keys.mT for keys, _ in parts], -1) / math.sqrt(q.shape[-1])  # (H, 1, S)
    shares = scores.softmax(-1).split_with_sizes([keys.shape[1] for keys, _ in parts], -1)
    first, *others = (P @ values for P, (_, values) in zip(shares, parts, strict=True))
    return sum(others, first)


def _several(q: Tensor, k: Tensor, v: Tensor, cache: LayerCache, row: int) -> Tensor:
    """Several queries after those that a cache holds, if any; it has all they see, and a mask says what that is.

    Shapes: q, k, v (H, T, D) -> (H, T, D).
    """
    if cache.lengths[row] == 0:
        return attend(q[None], k[None], v[None], cache.pattern)[0]
    H, T, D = q.shape
    keys, values, positions = cache.held(row)  # 2 x (H, S, D), (H or 1, S)
    queries = cache.lengths[row] + torch.arange(T, device=q.device)
    positions = torch.cat([positions, queries.expand(len(positions), T)], -1)[:, None]  # (H or 1, 1, S + T)
    heads = torch.arange(H, device=q.device)[:, None, None]
    seen = cache.pattern.sees(queries[:, None], positions, heads)  # (H or 1, T, S + T)
    scores = q @ torch.cat([keys, k], 1).mT / math.sqrt(D)  # (H, T, S + T)
    return scores.masked_fill(~seen, -math.inf).softmax(-1) @ torch.cat([values, v], 1)


def visible(T: int, S: int, pattern: Pattern = DENSE, n_head: int = 1, device: torch.device | None = None) -> Tensor:
    """True where a query may look. The queries are the last T of S positions.

    Shapes: -> (n_head, T, S), bool.

    >>> visible(2, 4).int().tolist()
    [[[1, 1, 1, 0], [1, 1, 1, 1]]]
    """
    query = torch.arange(S - T, S, device=device)[:, None]
    key = torch.arange(S, device=device)
    head = torch.arange(n_head, device=device)[:, None, None]
    return pattern.sees(query, key, head).expand(n_head, T, S)


def attend_reference(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern = DENSE) -> Tensor:
    """`attend`, written as its formula."""
    H, T, D = q.shape[1:]
    scores = torch.einsum("bhtd,bhsd->bhts", q, k) / math.sqrt(D)
    scores = scores.masked_fill(~visible(T, k.shape[-2], pattern, H, q.device), -math.inf)
    return torch.einsum("bhts,bhsd->bhtd", scores.softmax(-1), v)
