"""Weights in the layouts that `native/tiles.h` describes: bf16 or int8, tiles of 16 outputs by 64 bytes of inputs."""

import torch
from torch import Tensor
from torch.nn import functional as F

OUTPUTS, PAIR = 16, 2  # outputs a tile; tiles of outputs that a product takes together
LINE_BYTES = 64
STEPS = 127


def packed_bf16(weight: Tensor) -> Tensor:
    """Shapes: (N, K) -> (N / 16, K / 32, 16 pairs, 16 outputs, 2), padded with zeros."""
    return _tiles(weight.to(torch.bfloat16))


def packed_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers from -127 to 127, and the scale of each 64 inputs of an output, rounded up to bf16.

    Shapes: (N, K) -> (N / 16, K / 64, 16 fours, 16 outputs, 4), (N / 16, K / 64, 16), padded with zeros.
    """
    padded = _padded(weight.float(), LINE_BYTES)
    blocks = padded.view(len(padded), -1, LINE_BYTES)  # (N, K / 64, 64)
    scales = _up_to_bf16(blocks.abs().amax(-1) / STEPS)  # (N, K / 64)
    steps = (blocks / scales.float().clamp_min(torch.finfo(torch.float32).tiny)[..., None]).round()
    by_tile = scales.view(-1, OUTPUTS, scales.shape[1]).transpose(1, 2).contiguous()
    return _tiles(steps.clamp(-STEPS, STEPS).to(torch.int8).flatten(1)), by_tile


def unpacked(tiles: Tensor, scales: Tensor | None, N: int, K: int) -> Tensor:
    """The weights that a product computes with. Shapes: tiles, scales -> (N, K), fp32."""
    weight = tiles.float().permute(0, 3, 1, 2, 4).flatten(3)  # (N / 16, 16, K / block, block)
    if scales is not None:
        weight = weight * scales.float().transpose(1, 2)[..., None]
    return weight.flatten(2).flatten(0, 1)[:N, :K]


def _tiles(weight: Tensor) -> Tensor:
    together = 4 // weight.element_size()
    padded = _padded(weight, LINE_BYTES // weight.element_size())
    N, K = padded.shape
    parts = padded.view(N // OUTPUTS, OUTPUTS, K * weight.element_size() // LINE_BYTES, LINE_BYTES // 4, together)
    return parts.permute(0, 2, 3, 1, 4).contiguous()


def _padded(weight: Tensor, block: int) -> Tensor:
    N, K = weight.shape
    return F.pad(weight, (0, -K % block, 0, -N % (PAIR * OUTPUTS)))


def _up_to_bf16(x: Tensor) -> Tensor:
    """The next bf16 that is not smaller. Shapes: x of any, not negative."""
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0xFFFF) >> 16).to(torch.int16).view(torch.bfloat16)
