import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from attention_inputs import PATTERNS, random_qkv, with_gradients
from gptrilogy.models import attention
from gptrilogy.models.attention import CausalSelfAttention, attend, attend_reference, visible
from gptrilogy.models.patterns import Banded, Dense, Fixed, Pattern, Strided


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


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_the_last_queries_of_a_text_may_be_asked_alone(pattern: Pattern) -> None:
    q, k, v = random_qkv(2, 3, 25, 4)
    whole = attend_reference(q, k, v, pattern)
    torch.testing.assert_close(attend_reference(q[:, :, -6:], k, v, pattern), whole[:, :, -6:], rtol=0, atol=1e-6)


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


def test_the_layer_hands_its_pattern_and_its_dropout_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Pattern, float]] = []

    def noted(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, *, dropout: float) -> Tensor:
        asked.append((pattern, dropout))
        return attend_reference(q, k, v, pattern)

    monkeypatch.setattr(attention, "attend", noted)
    layer = CausalSelfAttention(12, 3, dropout=0.5, pattern=Banded(2))
    layer(torch.randn(1, 5, 12))
    layer.eval()(torch.randn(1, 5, 12))
    assert asked == [(Banded(2), 0.5), (Banded(2), 0.0)]


# Which kernel: tensors without data tell a device, and need none.


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the kernels that `attend` calls, in order; none of them is run."""
    names: list[str] = []

    def instead(name: str) -> Callable[..., Tensor]:
        def note(q: Tensor, *_: object, **__: object) -> Tensor:
            names.append(name)
            return q

        return note

    for name in ("compiled_flex", "sparse_attention", "blocked_attention"):
        monkeypatch.setattr(attention, name, instead(name))
    monkeypatch.setattr(attention.F, "scaled_dot_product_attention", instead("scaled_dot_product_attention"))
    return names


@pytest.mark.parametrize(
    ("device", "pattern", "dropout", "expected"),
    [
        ("cuda", Dense(), 0.0, "scaled_dot_product_attention"),
        ("cuda", Dense(), 0.1, "scaled_dot_product_attention"),
        ("cuda", Strided(40), 0.0, "scaled_dot_product_attention"),
        ("cuda", Banded(5), 0.0, "compiled_flex"),
        ("cuda", Fixed(7, 2, 3), 0.0, "compiled_flex"),
        ("cuda", Banded(5), 0.1, "sparse_attention"),
        ("cpu", Banded(5), 0.0, "sparse_attention"),
        ("cpu", Fixed(7, 2, 3), 0.1, "sparse_attention"),
        ("cpu", Banded(20), 0.0, "scaled_dot_product_attention"),
        ("cpu", Banded(20), 0.1, "blocked_attention"),
        ("cpu", Banded(19), 0.0, "sparse_attention"),
    ],
    ids=str,
)
def test_each_device_gets_its_fastest_exact_kernel(
    chosen: list[str], device: str, pattern: Pattern, dropout: float, expected: str
) -> None:
    with FakeTensorMode():
        q, k, v = (torch.empty(1, 3, 20, 16, device=device) for _ in range(3))
        attend(q, k, v, pattern, dropout=dropout)
    assert chosen == [expected]
