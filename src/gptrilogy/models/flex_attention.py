"""The patterns through PyTorch's FlexAttention, which on a GPU skips the blocks of a mask that show nothing.

Its compiled kernel is made for CUDA. What is called without compiling computes every score and is here to be tested.
"""

from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from gptrilogy.models.patterns import Fixed, Pattern


def flex(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, attention: Any = flex_attention) -> Tensor:
    """softmax(q k^T / sqrt(D)) v over the keys that the pattern shows.

    Shapes: q, k, v (B, H, T, D) -> (B, H, T, D).
    """
    mask = _block_mask(pattern, q.shape[1], q.shape[2], q.device)
    return cast("Tensor", attention(q, k, v, block_mask=mask))


def compiled_flex(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern) -> Tensor:
    """`flex` by its fused kernel, compiled at the first call."""
    return flex(q, k, v, pattern, _compiled())


@lru_cache(maxsize=64)
def _block_mask(pattern: Pattern, n_head: int, T: int, device: torch.device) -> BlockMask:
    def seen(_batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return pattern.sees(query, key, head)

    heads = n_head if isinstance(pattern, Fixed) else None  # the others show every head the same
    return create_block_mask(seen, None, heads, T, T, device=str(device))


@lru_cache(maxsize=1)
def _compiled() -> Any:
    return torch.compile(flex_attention)
