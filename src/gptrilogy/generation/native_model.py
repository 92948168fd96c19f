"""A model's weights as `native/decoding.cpp` reads them, in fp32, bf16 or int8."""

import ctypes
from ctypes import POINTER, Structure, c_int32, c_size_t, c_void_p
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn

from gptrilogy.errors import ConfigError
from gptrilogy.generation.packing import packed_bf16, packed_int8
from gptrilogy.models.gpt import GPT, Block
from gptrilogy.models.patterns import Dense
from gptrilogy.native.building import compiled

Format: TypeAlias = Literal["fp32", "bf16", "int8"]

FORMATS: dict[Format, int] = {"fp32": 0, "bf16": 1, "int8": 2}


class _Norm(Structure):
    _fields_ = [("weight", c_void_p), ("bias", c_void_p)]


class _Linear(Structure):
    _fields_ = [("weights", c_void_p), ("scales", c_void_p), ("bias", c_void_p)]


class _Layer(Structure):
    _fields_ = [
        ("ln_1", _Norm),
        ("ln_2", _Norm),
        ("c_attn", _Linear),
        ("attn_proj", _Linear),
        ("c_fc", _Linear),
        ("mlp_proj", _Linear),
        ("group", c_int32),
        ("dense", c_int32),
    ]


class _Model(Structure):
    _fields_ = [
        *[(name, c_int32) for name in ("format", "n_embd", "n_head", "n_layer", "n_vocab", "pre_norm", "final_norm")],
        ("unused", c_int32),
        ("wte", c_void_p),
        ("wpe", c_void_p),
        ("head", _Linear),
        ("ln_f", _Norm),
        ("layers", POINTER(_Layer)),
    ]


class NativeModel:
    """What the kernel needs of a model: its own fp32 weights in place, bf16 and int8 ones as packed copies.

    `groups`: for each kind of attention, the first layer that has it; layers of one kind keep positions alike.
    """

    def __init__(self, model: GPT, weights: Format, library: ctypes.CDLL) -> None:
        self.model = model
        self._origins = _origins(model)
        self.format: Format = weights
        self.weight_bytes = 0
        self.step: Any = library.decoding_step
        self.step.argtypes, self.step.restype = [c_void_p, c_void_p], None
        self._scratch_bytes: Any = library.decoding_scratch_bytes
        self._scratch_bytes.argtypes = [c_void_p, c_void_p]
        self._scratch_bytes.restype = c_size_t
        self._kept: list[Tensor] = []  # what the pointers point to
        patterns = model.config.patterns()
        kinds = list(dict.fromkeys(patterns))
        self.groups = [patterns.index(kind) for kind in kinds]
        layers = [
            self._layer(cast("Block", block), kinds.index(pattern), isinstance(pattern, Dense))
            for block, pattern in zip(model.h, patterns, strict=True)
        ]
        self._layers = (_Layer * len(layers))(*layers)
        self._model = self._whole()
        self.pointer = ctypes.addressof(self._model)

    @property
    def is_current(self) -> bool:
        """Whether the model still has the weights that were prepared."""
        return _origins(self.model) == self._origins

    def scratch_bytes(self, step: int) -> int:
        return self._scratch_bytes(self.pointer, step)

    def _whole(self) -> _Model:
        model, config = self.model, self.model.config
        wte = model.wte.weight
        return _Model(
            format=FORMATS[self.format],
            n_embd=config.n_embd,
            n_head=config.n_head,
            n_layer=config.n_layer,
            n_vocab=config.n_vocab,
            pre_norm=config.norm == "pre",
            final_norm=config.final_norm,
            wte=self._keep(wte),
            wpe=self._keep(model.wpe.weight),
            head=self._linear(wte, None),
            ln_f=self._norm(model.ln_f) if config.final_norm else _Norm(),
            layers=self._layers,
        )

    def _layer(self, block: Block, group: int, dense: bool) -> _Layer:
        linears = (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj)
        return _Layer(
            self._norm(block.ln_1),
            self._norm(block.ln_2),
            *(self._linear(each.weight, each.bias) for each in linears),
            group,
            dense,
        )

    def _norm(self, norm: nn.Module) -> _Norm:
        return _Norm(*(self._keep(norm.get_parameter(name).float()) for name in ("weight", "bias")))

    def _linear(self, weight: Tensor, bias: Tensor | None) -> _Linear:
        weight = weight.detach()
        packed, scales = weight, None
        if self.format == "bf16":
            packed = packed_bf16(weight)
        elif self.format == "int8":
            packed, scales = packed_int8(weight)
        self.weight_bytes += packed.nbytes
        return _Linear(
            self._keep(packed),
            None if scales is None else self._keep(scales),
            None if bias is None else self._keep(bias.float()),
        )

    def _keep(self, tensor: Tensor) -> int:
        tensor = tensor.detach()
        assert tensor.is_contiguous(), "the kernel reads rows that lie one after another"
        self._kept.append(tensor)
        return tensor.data_ptr()


def _origins(model: GPT) -> list[tuple[int, torch.dtype, int]]:
    """Where each parameter lies, its precision, and how often it was written to, which inference tensors cannot say."""
    return [
        (weight.data_ptr(), weight.dtype, 0 if weight.is_inference() else weight._version)
        for weight in model.parameters()
    ]


def native_model(model: GPT, *, int8: bool = False) -> NativeModel | None:
    """Prepare a model for the kernel, in its own precision, or one in bf16 with int8 weights.

    None where it has to run in PyTorch: on another device, in another precision, or without a compiler, which
    `compiled` says. Raises: ConfigError where int8 weights are asked of a model in another precision than bf16.
    """
    weight = model.wte.weight
    if int8 and weight.dtype != torch.bfloat16:
        raise ConfigError(
            f"int8 weights need a model in bf16, in which embeddings and caches stay; this one is in {weight.dtype}: "
            "call model.to(torch.bfloat16)"
        )
    formats: dict[torch.dtype, Format] = {torch.float32: "fp32", torch.bfloat16: "bf16"}
    if weight.device.type != "cpu" or weight.dtype not in formats:
        return None
    library = compiled("decoding")
    return None if library is None else NativeModel(model, "int8" if int8 else formats[weight.dtype], library)
