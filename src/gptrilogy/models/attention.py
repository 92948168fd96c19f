"""Causal self-attention and the plain formula it must equal."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptrilogy.devices import bf16_unit
from gptrilogy.models.blocked_attention import blocked_attention
from gptrilogy.models.cache import LayerCache


class CausalSelfAttention(nn.Module):
    """Multi-head masked self-attention over a residual stream.

    Shapes: x (B, T, C) -> (B, T, C).
    Source: GPT1 §4.1, GPT2 §2.3.
    """

    def __init__(self, n_embd: int, n_head: int, dropout: float) -> None:
        super().__init__()
        self.n_head = n_head
        self.dropout = dropout
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        B, T, C = x.shape
        qkv = self.c_attn(x).view(B, T, 3, self.n_head, -1)  # (B, T, 3, H, D)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # 3 x (B, H, T, D)
        if cache is None:
            y = attend(q, k, v, dropout=self.dropout if self.training else 0.0)  # (B, H, T, D)
        else:
            y = attend_cached(q, k, v, cache)  # (B, H, T, D)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))


def attend(q: Tensor, k: Tensor, v: Tensor, *, dropout: float = 0.0) -> Tensor:
    """softmax(q k^T / sqrt(D)) v over each query's past and itself, by the fastest exact way this device has.

    Shapes: q, k, v (B, H, T, D) -> (B, H, T, D).
    """
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
    """Append new keys and values to a cache and attend to all it holds, each row at its own length.

    Rows are taken one by one, so that a row's result cannot depend on its neighbours' lengths; idle rows give zeros.

    Shapes: q, k, v (B, H, T, D) for the T newest tokens -> (B, H, T, D).
    """
    T = q.shape[-2]
    y = torch.zeros_like(q)
    for row, (keys, values) in enumerate(cache.append(k, v)):  # 2 x (H, S, D)
        scores = q[row] @ keys.transpose(1, 2) / math.sqrt(q.shape[-1])  # (H, T, S)
        if T > 1:
            scores = scores.masked_fill(~visible(T, keys.shape[1], q.device), -math.inf)
        y[row] = scores.softmax(-1) @ values  # (H, T, D)
    return y


def visible(T: int, S: int, device: torch.device | None = None) -> Tensor:
    """True where a query may look: itself and its past. The queries are the last T of S positions.

    Shapes: -> (T, S), bool.

    >>> visible(2, 4).int().tolist()
    [[1, 1, 1, 0], [1, 1, 1, 1]]
    """
    query = torch.arange(S - T, S, device=device)[:, None]
    key = torch.arange(S, device=device)
    return key <= query


def attend_reference(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`attend`, written as its formula."""
    scores = torch.einsum("bhtd,bhsd->bhts", q, k) / math.sqrt(q.shape[-1])
    scores = scores.masked_fill(~visible(q.shape[-2], k.shape[-2], q.device), -math.inf)
    return torch.einsum("bhts,bhsd->bhtd", scores.softmax(-1), v)
