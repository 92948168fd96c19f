"""Weights in tiles are the weights, rounded as their format says."""

import pytest
import torch

from gptrilogy.generation.packing import packed_bf16, packed_int8, unpacked

SHAPES = [(1, 1), (16, 32), (33, 64), (70, 100), (64, 129)]


def random_weight(N: int, K: int) -> torch.Tensor:
    return torch.randn(N, K, generator=torch.Generator().manual_seed(N + K)) * torch.logspace(-3, 2, K)


@pytest.mark.parametrize(("N", "K"), SHAPES)
def test_bf16_tiles_hold_the_weights_rounded_to_bf16(N: int, K: int) -> None:
    weight = random_weight(N, K)
    tiles = packed_bf16(weight)
    assert tiles.shape == (-(-N // 32) * 2, -(-K // 32), 16, 16, 2)
    assert torch.equal(unpacked(tiles, None, N, K), weight.bfloat16().float())


@pytest.mark.parametrize(("N", "K"), SHAPES)
def test_int8_weights_are_off_by_half_a_step_at_most(N: int, K: int) -> None:
    weight = random_weight(N, K)
    tiles, scales = packed_int8(weight)
    assert tiles.shape == (-(-N // 32) * 2, -(-K // 64), 16, 16, 4)
    assert scales.shape == (-(-N // 32) * 2, -(-K // 64), 16)
    assert tiles.min() >= -127
    steps = scales.float().transpose(1, 2).flatten(0, 1).repeat_interleave(64, 1)[:N, :K]  # (N, K)
    assert ((unpacked(tiles, scales, N, K) - weight).abs() <= 0.5001 * steps).all()
    largest = weight[:, :64].abs().amax(1)
    assert (steps[:, 0] * 127 >= largest).all()
    assert (steps[:, 0] * 127 <= 1.01 * largest).all()  # a scale is rounded up, by less than a bf16


def test_a_block_of_zeros_stays_one() -> None:
    weight = torch.zeros(3, 70)
    weight[:, 65] = 1.0
    tiles, scales = packed_int8(weight)
    assert torch.equal(unpacked(tiles, scales, 3, 70) != 0, weight != 0)
    assert not scales.isnan().any()


def test_what_lies_beside_the_weights_is_zero() -> None:
    tiles, scales = packed_int8(torch.ones(17, 65))
    assert int(tiles.count_nonzero()) == 17 * 65
    assert torch.equal(unpacked(tiles, scales, 32, 128)[17:], torch.zeros(15, 128))
