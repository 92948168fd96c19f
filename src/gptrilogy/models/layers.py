"""The layers of a block: PyTorch's own, which a kernel does instead where there is one for the tensors at hand."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptrilogy.models import kernels


class Linear(nn.Linear):
    """x W^T + b. Shapes: (..., in) -> (..., out)."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that PyTorch's has
        if kernels.multiplies(input, self.weight):
            return kernels.linear(input, self.weight, self.bias)
        return super().forward(input)


class LayerNorm(nn.LayerNorm):
    """Each row less its mean, over its deviation, times a gain, plus a bias.

    `feeds_product`: what comes out goes into products alone, so that under autocast it is bf16 at once.

    Shapes: (..., C) -> the same.
    """

    def __init__(self, n_embd: int, *, feeds_product: bool = False) -> None:
        super().__init__(n_embd)
        self.feeds_product = feeds_product

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that PyTorch's has
        if not kernels.normalizes(input, self.weight, self.bias):
            return super().forward(input)
        narrow = self.feeds_product and kernels.multiplies(input, self.weight)
        dtype = torch.bfloat16 if narrow else torch.float32
        return kernels.layer_norm(input, self.weight, self.bias, self.eps, dtype)


def gelu(x: Tensor) -> Tensor:
    """Each x times the normal distribution's share below x, in the papers' tanh form. Shapes: any -> the same."""
    return kernels.gelu(x) if kernels.activates(x) else F.gelu(x, approximate="tanh")
