"""The sizes and choices that make a GPT a GPT-1, a GPT-2 or a GPT-3. Needs no torch."""

from collections.abc import Sequence
from typing import Literal, Self, cast

from pydantic import Field, field_validator

from gptrilogy.config import Config, parse, suggest
from gptrilogy.errors import ConfigError
from gptrilogy.models.patterns import Pattern, Sizes, tiled, unknown_pattern

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
    n_layer: int = Field(default=12, ge=1, le=10_000, description="blocks")
    norm: Literal["pre", "post"] = Field(
        default="pre", description="layer norm before each sub-block (GPT-2, 3) or after (GPT-1)"
    )
    final_norm: bool = Field(default=True, description="ln_f after the last block (GPT-2, 3)")
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="on embeddings, attention and both projections, as GPT-1's 0.1"
    )
    attention: tuple[str, ...] = Field(
        default=("dense",),
        min_length=1,
        description="which keys each layer sees: dense, banded, strided or fixed; several, as dense,banded, take turns",
    )
    band_width: int = Field(default=256, ge=1, description="keys a banded layer's query sees, its own among them")
    stride: int = Field(
        default=128, ge=1, description="l of strided and fixed layers: keys in the local part, and between the others"
    )
    summary_width: int = Field(
        default=8, ge=1, description="c of fixed layers: keys of each block that later blocks see"
    )
    sub_blocks: int | None = Field(
        default=None, ge=1, description="sets of c keys that a fixed layer's heads take turns in; unset: as many as fit"
    )
    init_std: float = Field(default=0.02, gt=0, description="standard deviation of initial weights")
    position_init_std: float = Field(
        default=0.01, gt=0, description="the same for positions: 0.02 in GPT-1, 0.01 in GPT-2's code"
    )
    scale_residual_init: bool = Field(
        default=True, description="c_proj weights start smaller by 1/sqrt(2 n_layer) (GPT-2, 3)"
    )

    @field_validator("attention", mode="before")
    @classmethod
    def _names(cls, names: object) -> object:
        """A flag or a file may say dense,banded in one word."""
        words = [names] if isinstance(names, str) else names
        if not isinstance(words, (list, tuple)):
            return words
        return [part.strip() for word in cast("Sequence[object]", words) for part in str(word).split(",")]

    def check(self) -> None:
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd must be a multiple of n_head, got {self.n_embd} and {self.n_head}")
        if reason := unknown_pattern(self.attention):
            raise ValueError(reason)
        for pattern in self._first_patterns(min(self.n_layer, len(self.attention))):  # a file may ask for 10^9 layers
            if reason := pattern.fault(self.n_ctx, self.n_head):
                raise ValueError(reason)

    def patterns(self) -> list[Pattern]:
        """The attention pattern of each layer."""
        return self._first_patterns(self.n_layer)

    def _first_patterns(self, n_layer: int) -> list[Pattern]:
        most = max(1, min(self.n_head, self.stride // self.summary_width))
        sizes = Sizes(self.band_width, self.stride, self.summary_width, self.sub_blocks or most)
        return tiled(self.attention, sizes, n_layer)

    @classmethod
    def preset(cls, name: str) -> Self:
        """A published model by name: `gpt1`, `gpt2-small` ... `gpt2-xl`, `gpt3-small` ... `gpt3-175b`.

        GPT-2 and GPT-3 publish no dropout: 0.0 is our choice. Of GPT-3's attention it is published that dense and
        locally banded layers alternate. That all eight sizes do, that layers 0, 2, ... are the dense ones, and a band
        of 256 keys are not: ours, after GPT-Neo, which alternates so at the same context.

        Two rows of GPT-3's Table 2.1 are repaired, since their heads do not divide their width: XL has 16 heads of 128
        where the table prints 24, and 13B is 5120 wide where it prints 5140. With the repairs, both parameter counts
        equal Table D.1's.

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
    sizes = {"n_layer": n_layer, "n_embd": n_embd, "n_head": n_head, "n_ctx": 2048}
    return {**sizes, "attention": ("dense", "banded"), "band_width": 256}


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
