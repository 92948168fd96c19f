"""What every weight is called elsewhere: one table, which one loop reads in both directions.

A dialect differs from ours in names and in how it lies: Hugging Face and OpenAI keep the four projections of a block as
(in, out) where `nn.Linear` has (out, in), and OpenAI puts a 1 in front of them, from a convolution of width one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gptrilogy.errors import FormatError
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.weights import shapes

# ours, Hugging Face GPT-2, Hugging Face OpenAI-GPT, OpenAI GPT-1 and GPT-2, GGUF
TABLE = (
    ("wte.weight", "wte.weight", "tokens_embed.weight", "wte", "token_embd.weight"),
    ("wpe.weight", "wpe.weight", "positions_embed.weight", "wpe", "position_embd.weight"),
    ("h.#.ln_1.weight", "h.#.ln_1.weight", "h.#.ln_1.weight", "h#/ln_1/g", "blk.#.attn_norm.weight"),
    ("h.#.ln_1.bias", "h.#.ln_1.bias", "h.#.ln_1.bias", "h#/ln_1/b", "blk.#.attn_norm.bias"),
    ("h.#.attn.c_attn.weight",) * 3 + ("h#/attn/c_attn/w", "blk.#.attn_qkv.weight"),
    ("h.#.attn.c_attn.bias",) * 3 + ("h#/attn/c_attn/b", "blk.#.attn_qkv.bias"),
    ("h.#.attn.c_proj.weight",) * 3 + ("h#/attn/c_proj/w", "blk.#.attn_output.weight"),
    ("h.#.attn.c_proj.bias",) * 3 + ("h#/attn/c_proj/b", "blk.#.attn_output.bias"),
    ("h.#.ln_2.weight", "h.#.ln_2.weight", "h.#.ln_2.weight", "h#/ln_2/g", "blk.#.ffn_norm.weight"),
    ("h.#.ln_2.bias", "h.#.ln_2.bias", "h.#.ln_2.bias", "h#/ln_2/b", "blk.#.ffn_norm.bias"),
    ("h.#.mlp.c_fc.weight",) * 3 + ("h#/mlp/c_fc/w", "blk.#.ffn_up.weight"),
    ("h.#.mlp.c_fc.bias",) * 3 + ("h#/mlp/c_fc/b", "blk.#.ffn_up.bias"),
    ("h.#.mlp.c_proj.weight",) * 3 + ("h#/mlp/c_proj/w", "blk.#.ffn_down.weight"),
    ("h.#.mlp.c_proj.bias",) * 3 + ("h#/mlp/c_proj/b", "blk.#.ffn_down.bias"),
    ("ln_f.weight", "ln_f.weight", "", "ln_f/g", "output_norm.weight"),
    ("ln_f.bias", "ln_f.bias", "", "ln_f/b", "output_norm.bias"),
)
PROJECTION = re.compile(r"(c_attn|c_proj|c_fc)\.weight$")


@dataclass(frozen=True, slots=True)
class Dialect:
    """One program's way: its column of the table, what stands before each name, and how projections lie."""

    column: int
    prefix: str = ""
    transposed: bool = False
    leading_one: bool = False

    def pairs(self, config: GPTConfig) -> Iterator[tuple[str, str]]:
        """Our name and theirs of every weight a model has."""
        ours = shapes(config)
        for row in TABLE:
            for layer in range(config.n_layer) if "#" in row[0] else range(1):
                name = row[0].replace("#", str(layer))
                if name in ours:
                    yield name, self.prefix + row[self.column].replace("#", str(layer))

    def shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """How a weight of ours lies there."""
        if not PROJECTION.search(name):
            return shape
        turned = shape[::-1] if self.transposed else shape
        return (1, *turned) if self.leading_one else turned

    def turn(self, name: str, tensor: Tensor) -> Tensor:
        """One weight from our way of lying to theirs or back: a transposition undoes itself."""
        return tensor.mT if self.transposed and PROJECTION.search(name) else tensor


HF_GPT2 = Dialect(1, prefix="transformer.", transposed=True)
HF_GPT1 = Dialect(2, prefix="transformer.", transposed=True)
OPENAI = Dialect(3, prefix="model/", transposed=True, leading_one=True)
GGUF = Dialect(4)


def to_ours(theirs: Mapping[str, Tensor], config: GPTConfig, dialect: Dialect, *, source: str) -> dict[str, Tensor]:
    """Their tensors under our names, as our model wants them, fp32.

    Raises: FormatError naming a tensor of `source` that is missing, left over, of another shape, or of numbers that
    fp32 cannot hold.
    """
    expected, names = shapes(config), dict(dialect.pairs(config))
    weights: dict[str, Tensor] = {}
    for ours, name in names.items():
        if name not in theirs:
            raise FormatError(
                f"{source} lacks the tensor {name}, which a model of {config.n_layer} layers has; take it again from "
                "its source"
            )
        tensor, shape = theirs[name], dialect.shape(ours, expected[ours])
        if tuple(tensor.shape) != shape:
            raise FormatError(
                f"{source}: {name} has shape {tuple(tensor.shape)}, its config asks for {shape}; they are of two models"
            )
        if not tensor.dtype.is_floating_point or tensor.dtype.itemsize > 4:
            raise FormatError(
                f"{source}: {name} holds {tensor.dtype}, which fp32 cannot hold exactly; save it as float32 first"
            )
        weights[ours] = dialect.turn(ours, tensor.view(shape[-2:])).to(torch.float32).contiguous()
    if extra := sorted(set(theirs) - set(names.values())):
        others = f" and {len(extra) - 1} more" if len(extra) > 1 else ""
        raise FormatError(
            f"{source} has the tensor {extra[0]}{others}, which no model of this config has; remove it, if the model "
            "does without"
        )
    return weights


def to_theirs(weights: Mapping[str, Tensor], config: GPTConfig, dialect: Dialect) -> dict[str, Tensor]:
    """Our weights under their names, as their model wants them; the inverse of `to_ours`."""
    expected = shapes(config)
    return {
        name: dialect.turn(ours, weights[ours]).reshape(dialect.shape(ours, expected[ours])).contiguous()
        for ours, name in dialect.pairs(config)
    }
