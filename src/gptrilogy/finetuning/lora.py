"""Low-rank adapters: a few trainable weights beside a frozen linear layer, which merge into it afterwards.

Source: Hu et al. 2021, LoRA.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptrilogy.models.attention import CausalSelfAttention
from gptrilogy.models.gpt import GPT


class Adapted(nn.Module):
    """W x + b + (alpha / rank) B A x. B starts at zero, so that nothing is changed at first.

    Shapes: (..., in) -> (..., out).
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / rank
        like = base.weight
        self.A = nn.Parameter(torch.empty(rank, base.in_features, device=like.device, dtype=like.dtype))
        self.B = nn.Parameter(torch.zeros(base.out_features, rank, device=like.device, dtype=like.dtype))
        nn.init.normal_(self.A, std=1 / math.sqrt(base.in_features), generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.scale * F.linear(F.linear(x, self.A), self.B)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """One plain layer that does the same."""
        self.base.weight += self.scale * (self.B @ self.A)
        return self.base


def add_adapters(gpt: GPT, rank: int, alpha: float, generator: torch.Generator | None = None) -> None:
    """Adapt every layer's c_attn, its queries, keys and values. Drawn on the CPU, so that a seed means the same."""
    for attention in _attentions(gpt):
        attention.c_attn = Adapted(attention.c_attn, rank, alpha, generator)


def adapter_weights(gpt: GPT) -> list[nn.Parameter]:
    """What learns where everything else is frozen; nothing where there are no adapters."""
    adapted = [module for module in gpt.modules() if isinstance(module, Adapted)]
    return [weight for module in adapted for weight in (module.A, module.B)]


def merge_adapters(gpt: GPT) -> None:
    """Put the adapters into the weights beside them: the model is then one that never had any."""
    for attention in _attentions(gpt):
        if isinstance(attention.c_attn, Adapted):
            attention.c_attn = attention.c_attn.merged()


def _attentions(gpt: GPT) -> list[Any]:
    """Every layer's attention, whose c_attn is a linear layer or stands in for one."""
    return [module for module in gpt.modules() if isinstance(module, CausalSelfAttention)]
