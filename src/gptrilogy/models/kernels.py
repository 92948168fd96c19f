"""The kernels of `native/training.cpp` as functions with gradients, and where they apply.

They stand in for PyTorch's operations on a CPU: no copy of a weight in bf16, no copy of attention's heads, no
probabilities kept. A tensor of another device or type, or a machine without a compiler, goes PyTorch's way.
"""

from ctypes import CDLL, c_float, c_int, c_int64, c_void_p
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gptrilogy.native.building import compiled

HEAD_STEP = 32  # a head's width must be a multiple of it
SIGNATURES: dict[str, list[Any]] = {
    "product": [c_int64] * 3
    + [c_void_p, c_int64, c_int]
    + [c_void_p, c_int64, c_int, c_int]
    + [c_void_p, c_int64, c_int, c_int, c_void_p],
    "attend": [c_int64] * 4 + [c_void_p] * 3,
    "attend_backward": [c_int64] * 4 + [c_void_p] * 5,
    "gelu": [c_int64, c_void_p, c_void_p, c_int],
    "gelu_backward": [c_int64, c_void_p, c_void_p, c_void_p, c_int],
    "layer_norm": [c_int64] * 2 + [c_void_p] * 3 + [c_float, c_void_p, c_int, c_void_p, c_void_p],
    "layer_norm_backward": [c_int64] * 2 + [c_void_p] * 3 + [c_int] + [c_void_p] * 5,
    "column_sums": [c_int64] * 2 + [c_void_p] * 2,
    "cross_entropy": [c_int64] * 2 + [c_void_p, c_int64, c_void_p, c_void_p],
}


@cache
def kernels() -> CDLL | None:
    """The compiled functions, or None where this machine cannot compile them."""
    library = compiled("training")
    return None if library is None else declared(library)


def declared(library: CDLL) -> CDLL:
    """The same library, which now knows what its functions take."""
    for name, arguments in SIGNATURES.items():
        if hasattr(library, name):  # one without products lacks some
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, None
    return library


@cache
def has_products() -> bool:
    """Whether the kernels multiply bf16 matrices here: they want AMX, or AVX-512's dot products of bf16."""
    library = kernels()
    return library is not None and library.matrix_unit() > 0


def kind() -> str:
    """Which way a model goes on this CPU; its numbers differ in rounding."""
    return "torch" if kernels() is None else f"native, {'with' if has_products() else 'without'} products"


def multiplies(x: Tensor, weight: Tensor) -> bool:
    """Whether `linear` may take the place of PyTorch's: under autocast to bf16, with weights in fp32.

    Shapes that do not fit go PyTorch's way too, which says so.
    """
    return (
        torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and x.dtype in (torch.float32, torch.bfloat16)
        and weight.dtype == torch.float32
        and x.shape[-1:] == weight.shape[-1:]
        and _lies_here(x, weight)
        and has_products()
    )


def attends(qkv: Tensor, n_head: int) -> bool:
    """Whether `attention` may take the place of PyTorch's."""
    heads_fit = qkv.shape[-1] % (3 * n_head * HEAD_STEP) == 0
    return qkv.dtype == torch.bfloat16 and heads_fit and _lies_here(qkv) and has_products()


def normalizes(x: Tensor, gain: Tensor, bias: Tensor) -> bool:
    """Whether `layer_norm` may take the place of PyTorch's, which is as fast but for what it hands on to products."""
    fits = x.shape[-1:] == gain.shape == bias.shape and x.dtype == gain.dtype == bias.dtype == torch.float32
    return fits and _lies_here(x, gain, bias) and has_products()


def activates(x: Tensor) -> bool:
    """Whether `gelu` may take the place of PyTorch's."""
    return x.dtype in (torch.float32, torch.bfloat16) and _lies_here(x) and kernels() is not None


def _lies_here(x: Tensor, *parameters: Tensor) -> bool:
    """Plain tensors in this machine's memory: none of another device, sharded, empty, or only traced.

    Of parameters no numbers lie apart; x is made so.
    """
    plain = all(type(y) in (Tensor, nn.Parameter) and y.device.type == "cpu" for y in (x, *parameters))
    return plain and not torch.compiler.is_compiling() and x.numel() > 0 and all(y.is_contiguous() for y in parameters)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The layer x W^T + b in bf16, of fp32 weights, whose gradients are summed in fp32.

    Shapes: x (..., in), weight (out, in), bias (out,) -> (..., out).
    """
    return cast("Tensor", _Linear.apply(x, weight, bias))


def attention(qkv: Tensor, n_head: int) -> Tensor:
    """Causal attention of every head, from all of their queries, keys and values side by side.

    Shapes: qkv (B, T, 3C), in bf16 -> (B, T, C).
    """
    return cast("Tensor", _Attention.apply(qkv, n_head))


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor, epsilon: float, dtype: torch.dtype) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gain + bias of each row of x, which is fp32, in `dtype`.

    Shapes: x (..., C), gain, bias (C,) -> (..., C).
    """
    return cast("Tensor", _LayerNorm.apply(x, gain, bias, epsilon, dtype))


def gelu(x: Tensor) -> Tensor:
    """GELU in its tanh form, in fp32 or bf16. Shapes: any -> the same."""
    return cast("Tensor", _Gelu.apply(x))


def product(
    a: Tensor,
    b: Tensor,
    out: Tensor,
    *,
    turn_a: bool = False,
    turn_b: bool = False,
    add: bool = False,
    bias: Tensor | None = None,
) -> Tensor:
    """The product of two matrices, or of their transposes, into `out`; `add` to what is there, which must be fp32.

    Shapes: a (M, K) in bf16, b (K, N), bias (N,) -> (M, N). Their rows may lie apart, their columns may not.
    """
    M, N = out.shape
    K = a.shape[0] if turn_a else a.shape[1]
    fits = (a.shape, b.shape) == ((K, M) if turn_a else (M, K), (N, K) if turn_b else (K, N))
    assert fits, "the kernel would read past a matrix"
    assert min(M, N, K) > 0, "the kernel divides by the rows and the steps that there are"
    assert all(x.shape[1] == 1 or x.stride(1) == 1 for x in (a, b, out)), "the kernel reads columns side by side"
    assert bias is None or (bias.shape == (N,) and bias.dtype == torch.float32 and bias.is_contiguous())
    _library().product(
        *(M, N, K),
        *(a.data_ptr(), a.stride(0), not turn_a),
        *(b.data_ptr(), b.stride(0), turn_b, b.dtype == torch.float32),
        *(out.data_ptr(), out.stride(0), out.dtype == torch.float32, add, None if bias is None else bias.data_ptr()),
    )
    return out


def product_and_cross_entropy(hidden: Tensor, wte: Tensor, targets: Tensor, logits: Tensor) -> Tensor:
    """-log softmax(hidden wte^T)[target] of each row; `logits` becomes its gradient, softmax - onehot(target).

    Shapes: hidden (N, C) in bf16, wte (V, C), targets (N,), logits (N, V) in bf16 -> (N,), fp32.
    Raises: IndexError for a target outside the vocabulary, as PyTorch would: the kernel writes where it says.
    """
    lowest, highest = (int(bound) for bound in targets.aminmax())
    if lowest < 0 or highest >= len(wte):
        raise IndexError(f"targets must be token ids from 0 to {len(wte) - 1}, got {lowest} to {highest}")
    assert len(targets) == len(hidden), "the kernel would read past the targets"
    product(hidden, wte, logits, turn_b=True)
    nats = torch.empty(len(hidden))
    targets = targets.long().contiguous()
    _library().cross_entropy(*logits.shape, logits.data_ptr(), logits.stride(0), targets.data_ptr(), nats.data_ptr())
    return nats


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows = x.detach().to(torch.bfloat16).reshape(-1, x.shape[-1]).contiguous()
        ctx.dtype = x.dtype
        ctx.save_for_backward(rows, weight)
        y = rows.new_empty(len(rows), len(weight))
        return product(rows, weight.detach(), y, turn_b=True, bias=bias).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        rows, weight = cast("tuple[Tensor, ...]", ctx.saved_tensors)
        upstream = cast("Tensor", grad_outputs[0])
        dy = upstream.to(torch.bfloat16).reshape(-1, len(weight)).contiguous()
        dx = d_weight = d_bias = None
        if ctx.needs_input_grad[0]:
            dx = product(dy, weight, torch.empty_like(rows)).view(*upstream.shape[:-1], -1).to(ctx.dtype)
        if ctx.needs_input_grad[1]:
            d_weight = product(dy, rows, torch.empty_like(weight), turn_a=True)
        if ctx.needs_input_grad[2]:
            d_bias = weight.new_empty(len(weight))
            _library().column_sums(*dy.shape, dy.data_ptr(), d_bias.data_ptr())
        return dx, d_weight, d_bias


class _Attention(torch.autograd.Function):
    """Keeps the log of each query's denominator, from which the backward pass makes its probabilities again."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, n_head: int) -> Tensor:
        qkv = qkv.contiguous()
        B, T, three_C = qkv.shape
        C = three_C // 3
        y = qkv.new_empty(B, T, C)
        log_sums = qkv.new_empty(B, n_head, T, dtype=torch.float32)
        _library().attend(B, T, n_head, C // n_head, qkv.data_ptr(), y.data_ptr(), log_sums.data_ptr())
        ctx.save_for_backward(qkv, y, log_sums)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        qkv, y, log_sums = cast("tuple[Tensor, ...]", ctx.saved_tensors)
        dy = cast("Tensor", grad_outputs[0]).contiguous()
        (B, T, C), n_head = y.shape, log_sums.shape[1]
        d_qkv = torch.empty_like(qkv)
        pointers = (x.data_ptr() for x in (qkv, y, dy, log_sums, d_qkv))
        _library().attend_backward(B, T, n_head, C // n_head, *pointers)
        return d_qkv, None


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, bias: Tensor, epsilon: float, dtype: torch.dtype) -> Tensor:
        x = x.contiguous()
        y = torch.empty_like(x, dtype=dtype)
        C = x.shape[-1]
        rows = x.numel() // C
        means, scales = x.new_empty(2, rows)
        inputs = (tensor.data_ptr() for tensor in (x, gain, bias))
        outputs = y.data_ptr(), dtype == torch.float32, means.data_ptr(), scales.data_ptr()
        _library().layer_norm(rows, C, *inputs, epsilon, *outputs)
        ctx.save_for_backward(x, gain, means, scales)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, gain, means, scales = cast("tuple[Tensor, ...]", ctx.saved_tensors)
        dy = cast("Tensor", grad_outputs[0]).contiguous()
        dx, d_gain, d_bias = torch.empty_like(x), torch.empty_like(gain), torch.empty_like(gain)
        inputs = x.data_ptr(), gain.data_ptr(), dy.data_ptr(), dy.dtype == torch.float32
        outputs = (tensor.data_ptr() for tensor in (means, scales, dx, d_gain, d_bias))
        _library().layer_norm_backward(len(means), len(gain), *inputs, *outputs)
        return dx, d_gain, d_bias, None, None


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        y = torch.empty_like(x)
        _library().gelu(x.numel(), x.data_ptr(), y.data_ptr(), x.dtype == torch.float32)
        ctx.save_for_backward(x)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = cast("tuple[Tensor]", ctx.saved_tensors)
        dy, dx = cast("Tensor", grad_outputs[0]).contiguous(), torch.empty_like(x)
        _library().gelu_backward(x.numel(), x.data_ptr(), dy.data_ptr(), dx.data_ptr(), x.dtype == torch.float32)
        return dx


def _library() -> CDLL:
    library = kernels()
    assert library is not None, "a kernel was asked for where there are none"
    return library
