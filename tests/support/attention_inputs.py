"""What tests of attention share: patterns to try, random queries, keys and values, and results with gradients."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from hypothesis import strategies as st
from torch import Tensor

from gptrilogy.models.patterns import Banded, Dense, Fixed, Pattern, Strided

QKV: TypeAlias = tuple[Tensor, Tensor, Tensor]
Attention: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]

PATTERNS: list[Pattern] = [Dense(), Banded(5), Strided(4), Fixed(4, 1, 1), Fixed(7, 2, 3)]


def sparse_patterns(largest: int = 12) -> st.SearchStrategy[Pattern]:
    """Banded, strided and fixed patterns of every size up to `largest`."""
    sizes = st.integers(1, largest)
    return st.one_of(st.builds(Banded, sizes), st.builds(Strided, sizes), fixed_patterns(largest))


@st.composite
def fixed_patterns(draw: st.DrawFn, largest: int) -> Pattern:
    """With up to three sub-blocks, which fill their block or leave some of its keys out."""
    stride = draw(st.integers(1, largest))
    sub_blocks = draw(st.integers(1, min(3, stride)))
    return Fixed(stride, draw(st.integers(1, stride // sub_blocks)), sub_blocks)


def random_qkv(*shape: int, dtype: torch.dtype = torch.float32) -> QKV:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(shape, generator=generator).to(dtype) for _ in range(3))
    return q, k, v


def with_gradients(attention: Attention, *qkv: Tensor) -> tuple[Tensor, ...]:
    """The result and the gradients for q, k, v under a fixed random upstream gradient."""
    leaves = [x.clone().requires_grad_() for x in qkv]
    y = attention(*leaves)
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(9)).to(y.dtype)
    return (y.detach(), *torch.autograd.grad(y, leaves, upstream))
