"""The sizes and choices that make a GPT a GPT-1, a GPT-2 or a GPT-3. Needs no torch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from gptrilogy.config import Config, parse, suggest
from gptrilogy.errors import ConfigError

N_VOCAB_GPT1 = 40_478
N_VOCAB_GPT2 = 50_257


class GPTConfig(Config):
    """Sizes under their released names, and the choices in which the three papers differ.

    Raises: ConfigError from `parse` and `replace` where a size does not divide or a value is out of range.
    """

    n_vocab: int = Field(default=N_VOCAB_GPT2, ge=2, description="tokens in the vocabulary")
    n_ctx: int = Field(default=1024, ge=1, description="tokens the model sees at once")
    n_embd: int = Field(default=768, ge=1, description="width of the residual stream")
    n_head: int = Field(default=12, ge=1, description="attention heads a layer; must divide n_embd")
    n_layer: int = Field(default=12, ge=1, description="blocks")
    norm: Literal["pre", "post"] = Field(
        default="pre", description="layer norm before each sub-block (GPT-2, 3) or after (GPT-1)"
    )
    final_norm: bool = Field(default=True, description="ln_f after the last block (GPT-2, 3)")
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="on embeddings, attention and both projections, as GPT-1's 0.1"
    )
    init_std: float = Field(default=0.02, gt=0, description="standard deviation of initial weights")
    position_init_std: float = Field(
        default=0.01, gt=0, description="the same for positions: 0.02 in GPT-1, 0.01 in GPT-2's code"
    )
    scale_residual_init: bool = Field(
        default=True, description="c_proj weights start smaller by 1/sqrt(2 n_layer) (GPT-2, 3)"
    )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd must be a multiple of n_head, got {self.n_embd} and {self.n_head}")
        return self

    @classmethod
    def preset(cls, name: str) -> Self:
        """A published model by name: `gpt1`, `gpt2-small` ... `gpt2-xl`, `gpt3-small` ... `gpt3-175b`.

        GPT-2 and GPT-3 publish no dropout: 0.0 is our choice. GPT-3's layers are all dense here; its alternating
        banded layers have the same parameters. Two rows of GPT-3's Table 2.1 are repaired, since their heads do not
        divide their width: XL has 16 heads of 128 where the table prints 24, and 13B is 5120 wide where it prints
        5140. With the repairs, both parameter counts equal Table D.1's.

        Raises: ConfigError for an unknown name.
        Source: GPT1 §4.1; GPT2 Table 2 and released code; GPT3 Table 2.1.

        >>> GPTConfig.preset("gpt3-13b").n_embd
        5120
        """
        if name not in PRESETS:
            raise ConfigError(f"unknown preset {name}: {suggest(name, PRESETS)}")
        return parse(cls, PRESETS[name])


def _gpt2(n_layer: int, n_embd: int, n_head: int) -> dict[str, object]:
    return {"n_layer": n_layer, "n_embd": n_embd, "n_head": n_head, "n_ctx": 1024}


def _gpt3(n_layer: int, n_embd: int, n_head: int) -> dict[str, object]:
    return {"n_layer": n_layer, "n_embd": n_embd, "n_head": n_head, "n_ctx": 2048}


PRESETS: dict[str, dict[str, object]] = {
    "gpt1": {
        "n_vocab": N_VOCAB_GPT1,
        "n_ctx": 512,
        "norm": "post",
        "final_norm": False,
        "dropout": 0.1,
        "position_init_std": 0.02,
        "scale_residual_init": False,
    },
    "gpt2-small": _gpt2(12, 768, 12),
    "gpt2-medium": _gpt2(24, 1024, 16),
    "gpt2-large": _gpt2(36, 1280, 20),
    "gpt2-xl": _gpt2(48, 1600, 25),
    "gpt3-small": _gpt3(12, 768, 12),
    "gpt3-medium": _gpt3(24, 1024, 16),
    "gpt3-large": _gpt3(24, 1536, 16),
    "gpt3-xl": _gpt3(24, 2048, 16),
    "gpt3-2.7b": _gpt3(32, 2560, 32),
    "gpt3-6.7b": _gpt3(32, 4096, 32),
    "gpt3-13b": _gpt3(40, 5120, 40),
    "gpt3-175b": _gpt3(96, 12288, 96),
}
