"""Causal self-attention, dense or sparse, and the plain formula it must equal."""

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptrilogy.devices import bf16_unit
from gptrilogy.models import kernels
from gptrilogy.models.blocked_attention import blocked_attention
from gptrilogy.models.flex_attention import compiled_flex
from gptrilogy.models.layers import Linear
from gptrilogy.models.patterns import Dense, Pattern
from gptrilogy.models.sparse_attention import sparse_attention

DENSE = Dense()


class Past(Protocol):
    """One layer's keys and values of earlier tokens."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Take in the newest tokens' keys and values, and let their queries see them and the past.

        Shapes: q, k, v (B, H, T, D) -> (B, H, T, D).
        """
        ...


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
        self.c_attn = Linear(n_embd, 3 * n_embd)
        self.c_proj = Linear(n_embd, n_embd)

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        B, T, C = x.shape
        dropout = self.dropout if self.training else 0.0
        qkv = self.c_attn(x)  # (B, T, 3C)
        if past is None and not dropout and self.pattern.reach >= T and kernels.attends(qkv, self.n_head):
            return self.c_proj(kernels.attention(qkv, self.n_head))
        q, k, v = qkv.view(B, T, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)  # 3 x (B, H, T, D)
        y = attend(q, k, v, self.pattern, dropout=dropout) if past is None else past.attend(q, k, v)  # (B, H, T, D)
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
