import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gptrilogy.models.attention import CausalSelfAttention, attend, attend_reference, visible

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def with_gradients(attention: Attention, *qkv: Tensor) -> tuple[Tensor, ...]:
    """The result and the gradients for q, k, v under a fixed random upstream gradient."""
    leaves = [x.clone().requires_grad_() for x in qkv]
    y = attention(*leaves)
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(9)).to(y.dtype)
    return (y.detach(), *torch.autograd.grad(y, leaves, upstream))


def random_qkv(*shape: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).to(dtype) for _ in range(3)]


@pytest.mark.parametrize("T", [1, 2, 7, 33, 130])
def test_attend_equals_its_formula(T: int) -> None:
    qkv = random_qkv(2, 3, T, 8)
    torch.testing.assert_close(
        with_gradients(attend, *qkv), with_gradients(attend_reference, *qkv), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("T", [1, 5, 130, 600])
@pytest.mark.parametrize("unit", [None, "AMX"], ids=["no matrix unit", "AMX"])
def test_attend_in_bf16_is_near_its_formula(monkeypatch: pytest.MonkeyPatch, T: int, unit: str | None) -> None:
    """Both sides of the choice between the flash kernel and query blocks, by length and by CPU."""
    monkeypatch.setattr("gptrilogy.models.attention.bf16_unit", lambda: unit)
    qkv = random_qkv(1, 2, T, 16, dtype=torch.bfloat16)
    exact = with_gradients(attend_reference, *(x.float() for x in qkv))
    found = with_gradients(attend, *qkv)
    for ours, formula in zip(found, exact, strict=True):
        assert ours.dtype == torch.bfloat16
        torch.testing.assert_close(ours.float(), formula, rtol=2e-2, atol=2e-2)


def test_a_query_sees_itself_and_its_past() -> None:
    assert torch.equal(visible(6, 6)[0], torch.ones(6, 6, dtype=torch.bool).tril())
    assert torch.equal(visible(2, 6), visible(6, 6)[:, -2:])


def test_the_layer_is_its_equation_written_out() -> None:
    torch.manual_seed(0)
    layer = CausalSelfAttention(12, 3, dropout=0.0)
    x = torch.randn(2, 5, 12)
    q, k, v = F.linear(x, layer.c_attn.weight, layer.c_attn.bias).split(12, -1)
    heads: list[Tensor] = []
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / 2.0  # sqrt(4)
        scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -math.inf)
        heads.append(scores.softmax(-1) @ v[..., part])
    expected = F.linear(torch.cat(heads, -1), layer.c_proj.weight, layer.c_proj.bias)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-6)
