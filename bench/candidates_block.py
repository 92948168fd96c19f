"""A block of the model as one function with a gradient: its kernels one after the other, no autograd between them.

The numbers are those of `gptrilogy.models.gpt.Block` with its kernels: the same calls in the same precision. It is for
pre-norm blocks without dropout, under autocast to bf16.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gptrilogy.models import kernels
from gptrilogy.models.gpt import Block

BF16 = torch.bfloat16


def block_in_one(block: Block, x: Tensor, past: object = None) -> Tensor:
    """Shapes: x (B, T, C), fp32 -> the same."""
    assert past is None
    assert block.pre_norm
    assert not block.dropout
    attn, mlp = block.attn, block.mlp
    weights = (
        *(block.ln_1.weight, block.ln_1.bias, attn.c_attn.weight, attn.c_attn.bias, attn.c_proj.weight),
        *(attn.c_proj.bias, block.ln_2.weight, block.ln_2.bias, mlp.c_fc.weight, mlp.c_fc.bias),
        *(mlp.c_proj.weight, mlp.c_proj.bias),
    )
    return cast("Tensor", _Block.apply(x, attn.n_head, block.ln_1.eps, *weights))


class _Block(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, n_head: int, epsilon: float, *weights: Tensor) -> Tensor:
        gain_1, shift_1, w_attn, b_attn, w_out, b_out, gain_2, shift_2, w_fc, b_fc, w_proj, b_proj = weights
        shape, (B, T, C) = x.shape, x.shape
        x = x.contiguous().view(-1, C)
        h_1, stats_1 = _norm(x, gain_1, shift_1, epsilon)
        qkv = _forward(h_1, w_attn, b_attn)
        y, log_sums = torch.empty_like(h_1), x.new_empty(B, n_head, T)
        _library().attend(B, T, n_head, C // n_head, *_at(qkv, y, log_sums))
        x_1 = x + _forward(y, w_out, b_out)
        h_2, stats_2 = _norm(x_1, gain_2, shift_2, epsilon)
        inner = _forward(h_2, w_fc, b_fc)
        active = torch.empty_like(inner)
        _library().gelu(inner.numel(), *_at(inner, active), False)
        ctx.save_for_backward(x, h_1, stats_1, qkv, y, log_sums, x_1, h_2, stats_2, inner, active, *weights)
        ctx.sizes = B, T, n_head, C // n_head
        return _forward(active, w_proj, b_proj).add(x_1).view(shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        saved = cast("tuple[Tensor, ...]", ctx.saved_tensors)
        x, h_1, stats_1, qkv, y, log_sums, x_1, h_2, stats_2, inner, active = saved[:11]
        gain_1, _, w_attn, _, w_out, _, gain_2, _, w_fc, _, w_proj, _ = saved[11:]
        upstream = cast("Tensor", grad_outputs[0])
        dx = upstream.contiguous().view(x.shape)
        d_active, *d_proj = _backward(dx.to(BF16), active, w_proj)
        d_inner = torch.empty_like(inner)
        _library().gelu_backward(inner.numel(), *_at(inner, d_active, d_inner), False)
        d_h, *d_fc = _backward(d_inner, h_2, w_fc)
        d_norm, *d_norm_2 = _norm_backward(x_1, gain_2, d_h, stats_2)
        dx = dx + d_norm
        dy, *d_out = _backward(dx.to(BF16), y, w_out)
        d_qkv = torch.empty_like(qkv)
        _library().attend_backward(*ctx.sizes, *_at(qkv, y, dy, log_sums, d_qkv))
        d_h, *d_attn = _backward(d_qkv, h_1, w_attn)
        d_norm, *d_norm_1 = _norm_backward(x, gain_1, d_h, stats_1)
        dx = dx.add_(d_norm).view(upstream.shape)
        return dx, None, None, *d_norm_1, *d_attn, *d_out, *d_norm_2, *d_fc, *d_proj


def _norm(x: Tensor, gain: Tensor, shift: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Shapes: x (N, C) -> (N, C) in bf16, (2, N): each row's mean, and what scales it."""
    h, stats = torch.empty_like(x, dtype=BF16), x.new_empty(2, len(x))
    _library().layer_norm(*x.shape, *_at(x, gain, shift), epsilon, h.data_ptr(), False, *_at(*stats))
    return h, stats


def _norm_backward(x: Tensor, gain: Tensor, dh: Tensor, stats: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of the rows, the gain and the shift."""
    found = torch.empty_like(x), torch.empty_like(gain), torch.empty_like(gain)
    _library().layer_norm_backward(*x.shape, *_at(x, gain, dh), False, *_at(*stats, *found))
    return found


def _forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return kernels.product(x, weight, x.new_empty(len(x), len(weight)), turn_b=True, bias=bias)


def _backward(dy: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of the rows, the weight and the bias."""
    dx = kernels.product(dy, weight, torch.empty_like(x))
    d_weight = kernels.product(dy, x, torch.empty_like(weight), turn_a=True)
    d_bias = weight.new_empty(len(weight))
    _library().column_sums(*dy.shape, *_at(dy, d_bias))
    return dx, d_weight, d_bias


def _at(*tensors: Tensor) -> tuple[int, ...]:
    return tuple(tensor.data_ptr() for tensor in tensors)


def _library() -> Any:
    assert kernels.has_products(), "a block in one has no other way than its kernels"  # the question turns AMX on
    return kernels.kernels()
