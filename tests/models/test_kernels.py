"""The kernels of a training step against the formulas they stand for, and the paths they leave alone."""

import ctypes
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

import gptrilogy.native
from gptrilogy.models import GPT, GPTConfig, kernels
from gptrilogy.models.attention import attend_reference
from gptrilogy.models.layers import LayerNorm, Linear, gelu
from gptrilogy.models.loss import mean_loss_nats, mean_loss_reference
from gptrilogy.native.building import FLAGS

BF16 = torch.bfloat16
needs_kernels = pytest.mark.skipif(kernels.kernels() is None, reason="no C++ compiler here")
needs_products = pytest.mark.skipif(not kernels.has_products(), reason="this CPU has no products for the kernels")
SIZES = [(1, 1, 1), (33, 65, 97), (64, 32, 2_500), (200, 300, 31)]


@pytest.fixture(scope="module")
def without_amx(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The same code with the dot products of AVX-512 instead of AMX."""
    compiler = shutil.which("c++")
    assert compiler
    library = tmp_path_factory.mktemp("native") / "training.so"
    source = Path(gptrilogy.native.__file__).with_name("training.cpp")
    subprocess.run([compiler, *FLAGS, "-DNO_AMX", "-shared", str(source), "-o", str(library)], check=True)
    return kernels.declared(ctypes.CDLL(str(library)))


@pytest.fixture(params=["AMX", "AVX-512"])
def unit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways in which the kernels multiply, where the CPU has both."""
    if request.param == "AVX-512":
        library = request.getfixturevalue("without_amx")
        monkeypatch.setattr(kernels, "kernels", lambda: library)
        assert library.matrix_unit() == 1


@needs_products
@pytest.mark.usefixtures("unit")
@pytest.mark.parametrize(("M", "N", "K"), SIZES)
@pytest.mark.parametrize("turn_a", [False, True], ids=["a", "a turned"])
@pytest.mark.parametrize("turn_b", [False, True], ids=["b", "b turned"])
@pytest.mark.parametrize("b_dtype", [BF16, torch.float32], ids=str)
@pytest.mark.parametrize("out_dtype", [BF16, torch.float32], ids=str)
def test_a_product_is_its_formula(
    M: int, N: int, K: int, turn_a: bool, turn_b: bool, b_dtype: torch.dtype, out_dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(shape, generator=generator) for shape in ((M, K), (K, N)))
    bias, before = (torch.randn(shape, generator=generator) for shape in ((N,), (M, N)))
    expected = a.to(BF16).double() @ b.to(BF16).double() + bias
    add = out_dtype == torch.float32
    out = before.to(out_dtype, copy=True)
    kernels.product(
        *(turned(a.to(BF16)) if turn_a else a.to(BF16), turned(b.to(b_dtype)) if turn_b else b.to(b_dtype), out),
        turn_a=turn_a, turn_b=turn_b, add=add, bias=bias,
    )  # fmt: skip
    tolerance = 1e-6 if add else 4e-3  # of bf16 results, half a unit in the last place
    largest = expected.abs().max().item()
    torch.testing.assert_close(
        out.double(), expected + before if add else expected, rtol=0, atol=tolerance * max(largest, 1.0) * 2
    )


def turned(x: Tensor) -> Tensor:
    return x.t().contiguous()


@needs_products
def test_rows_may_lie_apart() -> None:
    a, b, out = (torch.randn(40, 70).to(BF16) for _ in range(3))
    parts = a[:33, 5:40], b[:35, 1:18], out[:33, 7:24]
    beside = out[:, :7].clone(), out[:, 24:].clone(), out[33:].clone()
    kernels.product(*parts)
    torch.testing.assert_close(parts[2].float(), parts[0].float() @ parts[1].float(), rtol=1e-2, atol=1e-2)
    assert all(map(torch.equal, beside, (out[:, :7], out[:, 24:], out[33:])))


def gradients(function: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    """The output, and the gradient of each input under one upstream gradient."""
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    y = function(*leaves)
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(9))
    return [y.detach(), *torch.autograd.grad(y, leaves, upstream.to(y.dtype))]


def assert_near(found: list[Tensor], exact: list[Tensor], tolerance: float) -> None:
    for ours, formula in zip(found, exact, strict=True):
        scale = formula.abs().max().item()
        torch.testing.assert_close(ours.to(formula.dtype), formula, rtol=0, atol=tolerance * max(scale, 1e-3))


@needs_products
@pytest.mark.usefixtures("unit")
@pytest.mark.parametrize("T", [1, 31, 33, 130, 200])
@pytest.mark.parametrize("D", [32, 64, 96])
def test_attention_is_its_formula(T: int, D: int) -> None:
    qkv = torch.randn(2, T, 3 * 2 * D, generator=torch.Generator().manual_seed(0)).to(BF16)

    def formula(qkv: Tensor) -> Tensor:
        q, k, v = qkv.view(2, T, 3, 2, D).permute(2, 0, 3, 1, 4)
        return attend_reference(q, k, v).transpose(1, 2).reshape(2, T, -1)

    def ours(qkv: Tensor) -> Tensor:
        return kernels.attention(qkv, 2)

    found = gradients(ours, qkv)
    assert all(x.dtype == BF16 for x in found)
    assert_near(found, gradients(formula, qkv.float()), 2e-2)


@needs_kernels
def test_gelu_is_its_formula() -> None:
    x = torch.cat([torch.linspace(-12, 12, 4_001), torch.tensor([0.0, -1e30, 1e30, 88.0, -88.0])])

    def formula(x: Tensor) -> Tensor:
        return F.gelu(x, approximate="tanh")

    exact = gradients(formula, x.double())
    exact[1][-4] = exact[1][-3] = torch.nan  # the formula multiplies 0 by infinity there
    found = gradients(kernels.gelu, x)
    torch.testing.assert_close(found[0].double(), exact[0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found[1][:-4].double(), exact[1][:-4], rtol=1e-5, atol=1e-6)
    rounded = x[:4_001].to(BF16)
    assert_near(gradients(kernels.gelu, rounded), gradients(formula, rounded.double()), 2e-2)


@needs_kernels
@pytest.mark.parametrize("shape", [(1, 3), (3, 5, 7), (70, 128)], ids=str)
def test_layer_norm_is_its_formula(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(sizes, generator=generator) for sizes in (shape, shape[-1:], shape[-1:])]

    def formula(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        return F.layer_norm(x, shape[-1:], gain, bias)

    exact = gradients(formula, *(x.double() for x in inputs))
    for dtype, tolerance in ((torch.float32, 1e-5), (BF16, 2e-2)):

        def ours(x: Tensor, gain: Tensor, bias: Tensor, dtype: torch.dtype = dtype) -> Tensor:
            return kernels.layer_norm(x, gain, bias, 1e-5, dtype)

        assert_near(gradients(ours, *inputs), exact, tolerance)


@needs_products
@pytest.mark.usefixtures("unit")
@pytest.mark.parametrize("dtype", [BF16, torch.float32], ids=str)
@pytest.mark.parametrize("with_bias", [True, False], ids=["bias", "no bias"])
def test_a_linear_layer_is_its_formula(dtype: torch.dtype, with_bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return kernels.linear(x, weight, bias)

    x, weight = torch.randn(3, 21, 40, generator=generator), torch.randn(50, 40, generator=generator)
    inputs = [x.to(dtype), weight, *([torch.randn(50, generator=generator)] if with_bias else [])]
    found = gradients(linear, *inputs)
    assert [y.dtype for y in found] == [BF16, dtype, *[torch.float32] * (1 + with_bias)]
    assert_near(found, gradients(F.linear, *(x.float() for x in inputs)), 2e-2)


@needs_products
@pytest.mark.parametrize("dtype", [BF16, torch.float32], ids=str)
def test_a_layer_reads_numbers_that_lie_apart(dtype: torch.dtype) -> None:
    layer, x = Linear(64, 32), torch.randn(64, 40).to(dtype).t()
    wte, targets = torch.randn(31, 64), torch.arange(40) % 31

    def loss(hidden: Tensor) -> Tensor:
        return mean_loss_nats(hidden, wte, targets)

    with torch.autocast("cpu", BF16):
        assert torch.equal(layer(x), layer(x.contiguous()))
        found, expected = (gradients(loss, hidden) for hidden in (x, x.contiguous()))
    assert all(map(torch.equal, found, expected))


@needs_products
def test_what_does_not_fit_a_kernel_goes_pytorchs_way() -> None:
    layer, norm, x = Linear(64, 32), LayerNorm(64), torch.randn(5, 64)
    with torch.autocast("cpu", BF16):
        assert layer(x[:0]).shape == (0, 32)
        assert norm(x[:0]).shape == (0, 64)
        for wrong in (layer, norm):
            with pytest.raises(RuntimeError, match="60"):
                wrong(x[:, :60])
        turned = layer.weight.detach().t().contiguous().t()
        assert kernels.multiplies(x, layer.weight)
        assert not kernels.multiplies(x, turned)
    assert not kernels.normalizes(x, torch.ones(64, 2)[:, 0], norm.bias)


@needs_products
@pytest.mark.usefixtures("unit")
@pytest.mark.parametrize("chunk_rows", [1, 7, 100])
def test_the_loss_and_its_gradients_are_their_formula(chunk_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    V = 77
    monkeypatch.setattr("gptrilogy.models.loss.CHUNK_ELEMENTS", chunk_rows * V)
    hidden, wte = torch.randn(20, 48, generator=generator), torch.randn(V, 48, generator=generator)
    targets = torch.randint(V, (20,), generator=generator)
    weights = torch.rand(20, generator=generator)

    def ours(hidden: Tensor, wte: Tensor) -> Tensor:
        with torch.autocast("cpu", BF16):
            assert kernels.multiplies(hidden, wte)
            return mean_loss_nats(hidden, wte, targets, weights)

    def formula(hidden: Tensor, wte: Tensor) -> Tensor:
        return mean_loss_reference(hidden, wte, targets, weights)

    assert_near(gradients(ours, hidden, wte), gradients(formula, hidden, wte), 2e-2)


# A whole model, with and without.


def model_and_ids(config: GPTConfig) -> tuple[GPT, Tensor]:
    generator = torch.Generator().manual_seed(1)
    model = GPT(config, generator)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.02)
    return model, torch.randint(config.n_vocab, (3, config.n_ctx + 1), generator=generator)


def loss_and_gradients(model: GPT, ids: Tensor, *, bf16: bool = False) -> dict[str, Tensor]:
    model.zero_grad()
    with torch.autocast("cpu", BF16, enabled=bf16):
        loss = model.loss(ids)
    loss.backward()
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    return {"loss": loss.detach(), **found}


CONFIGS = {
    "GPT-2": GPTConfig(n_vocab=211, n_ctx=70, n_embd=64, n_head=2, n_layer=2),
    "GPT-1": GPTConfig(n_vocab=211, n_ctx=70, n_embd=64, n_head=2, n_layer=2).replace(norm="post", final_norm=False),
    "narrow heads": GPTConfig(n_vocab=211, n_ctx=70, n_embd=48, n_head=4, n_layer=2),
    "sparse": GPTConfig(n_vocab=211, n_ctx=70, n_embd=64, n_head=2, n_layer=2).replace(
        attention="dense,banded", band_width=9
    ),
}


@needs_kernels
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_model_in_fp32_gives_the_same_without_kernels(config: GPTConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = model_and_ids(config)
    with_kernels = loss_and_gradients(model, ids)
    monkeypatch.setattr(kernels, "kernels", lambda: None)
    without = loss_and_gradients(model, ids)
    for name, expected in without.items():
        atol = 1e-5 * expected.abs().max().item() + 1e-8
        torch.testing.assert_close(with_kernels[name], expected, rtol=1e-4, atol=atol, msg=name)


@needs_products
@pytest.mark.usefixtures("unit")
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_model_in_bf16_is_as_near_to_fp32_as_pytorch_is(config: GPTConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = model_and_ids(config)
    ours = loss_and_gradients(model, ids, bf16=True)
    monkeypatch.setattr(kernels, "has_products", lambda: False)
    monkeypatch.setattr(kernels, "kernels", lambda: None)
    exact, autocast = loss_and_gradients(model, ids), loss_and_gradients(model, ids, bf16=True)
    assert abs(ours["loss"] - exact["loss"]) < 2e-2
    errors, theirs = (
        torch.stack([(found[name] - exact[name]).norm() / exact[name].norm() for name in exact if name != "loss"])
        for found in (ours, autocast)
    )
    assert errors.max() < 5e-2
    assert errors.mean() <= 1.1 * theirs.mean()


@needs_products
def test_the_same_step_gives_the_same_bits() -> None:
    model, ids = model_and_ids(CONFIGS["GPT-2"])
    first = loss_and_gradients(model, ids, bf16=True)
    for _ in range(5):
        again = loss_and_gradients(model, ids, bf16=True)
        assert all(torch.equal(first[name], again[name]) for name in first)


@needs_products
def test_a_frozen_weight_gets_no_gradient_and_lets_one_through() -> None:
    model, ids = model_and_ids(CONFIGS["GPT-2"])
    every = loss_and_gradients(model, ids, bf16=True)
    frozen = {name for name, _ in model.named_parameters() if name.startswith("h.1.")}
    for name, weight in model.named_parameters():
        weight.requires_grad_(name not in frozen)
    model.zero_grad(set_to_none=True)
    some = loss_and_gradients(model, ids, bf16=True)
    assert some.keys() == every.keys() - frozen
    assert all(torch.equal(some[name], every[name]) for name in some)


@needs_kernels
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_so(bad: float) -> None:
    model, ids = model_and_ids(CONFIGS["GPT-2"])
    with torch.no_grad():
        dict(model.named_parameters())["h.0.mlp.c_fc.weight"][0, 0] = bad
    for bf16 in (False, True):
        assert not loss_and_gradients(model, ids, bf16=bf16)["loss"].isfinite()


@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
def test_tensors_that_are_only_traced_go_pytorchs_way(bf16: bool) -> None:
    with FakeTensorMode(), torch.autocast("cpu", BF16, enabled=bf16):
        x = Linear(64, 96)(LayerNorm(64, feeds_product=True)(torch.empty(5, 64)))
        assert gelu(x).shape == (5, 96)
    with torch.device("meta"):
        assert GPT(CONFIGS["GPT-2"])(torch.zeros(2, 70, dtype=torch.long)).is_meta


def test_doubles_go_pytorchs_way() -> None:
    x = torch.randn(3, 64, dtype=torch.float64)
    assert not any([kernels.activates(x), kernels.normalizes(x, x[0], x[0]), kernels.multiplies(x, x)])


@needs_products
def test_targets_may_be_of_32_bits() -> None:
    hidden, wte, targets = torch.randn(4, 64), torch.randn(31, 64), torch.tensor([3, 2, 1, 30])
    with torch.autocast("cpu", BF16):
        assert mean_loss_nats(hidden, wte, targets.int()) == mean_loss_nats(hidden, wte, targets)


@needs_products
@pytest.mark.parametrize("target", [-1, 31])
def test_a_target_outside_the_vocabulary_is_refused_before_anything_is_written(target: int) -> None:
    hidden, wte = torch.zeros(3, 64, requires_grad=True), torch.zeros(31, 64, requires_grad=True)
    with (
        torch.autocast("cpu", BF16),
        pytest.raises(IndexError, match=rf"token ids from 0 to 30, got {min(0, target)} to {max(0, target)}"),
    ):
        mean_loss_nats(hidden, wte, torch.tensor([0, target, 0]))
