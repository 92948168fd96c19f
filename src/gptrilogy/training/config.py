"""What a pretraining run is: model, tokenizer, data, optimisation. Needs no torch."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field

from gptrilogy.config import Config
from gptrilogy.models.config import GPTConfig


def _weights(given: Any) -> Any:
    """A mixture as a flag says it, `web=0.6,books=0.4` or `web=60%,books=40%`; the rest is left to the field's type."""
    if isinstance(given, Mapping):
        return _without_percent(cast("Mapping[str, Any]", given))
    if not isinstance(given, str):
        return given
    pairs = [pair.rpartition("=") for pair in given.split(",")]
    if any(not name or not equals for name, equals, _ in pairs):
        raise ValueError("weights must be pairs such as web=0.6,books=0.4")
    weights = {name.strip(): weight.strip() for name, _, weight in pairs}
    if len(weights) < len(pairs):
        raise ValueError("weights must name each set once")
    return _without_percent(weights)


def _without_percent(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Percentages as shares: 60% is the 0.6 that a person means by it."""
    in_percent = {name: str(weight).strip().endswith("%") for name, weight in weights.items()}
    if not any(in_percent.values()):
        return dict(weights)
    if not all(in_percent.values()):
        raise ValueError("weights must be percentages all of them, or none")
    return {name: _hundredth(str(weight).strip().removesuffix("%")) for name, weight in weights.items()}


def _hundredth(percent: str) -> str:
    """A hundredth of a number as it is written; what is no number stays, to be refused.

    >>> _hundredth("14.1")
    '0.141'
    """
    try:
        return str(Decimal(percent) / 100)
    except InvalidOperation:
        return f"{percent}%"


class DataConfig(Config):
    """Which text, and how much of it is held out."""

    sources: tuple[str, ...] = Field(
        default=(), description="files, folders, standard input, a built corpus, or a packed shard folder"
    )
    weights: Annotated[dict[str, Annotated[float, Field(ge=0)]], BeforeValidator(_weights)] = Field(
        default={},
        description="shares of the training windows, as web=3,books=1 or web=75%,books=25%; none: a corpus's own",
    )
    valid: tuple[str, ...] = Field(default=(), description="validation text of its own, instead of a held-out part")
    valid_fraction: float = Field(
        default=0.05, gt=0, le=0.5, description="share of the documents held out for validation"
    )
    text_field: str = Field(
        default="text", description="the field of a JSON line, or the column of Parquet, that holds the text"
    )

    def check(self) -> None:
        if self.weights and not any(self.weights.values()):
            raise ValueError("all data.weights are 0: give at least one set a weight above it")


class LoopConfig(Config):
    """What every training loop is told. Lengths are optimizer steps unless their name says otherwise."""

    max_steps: int | None = Field(default=None, ge=1, description="optimizer steps; none: from epochs or the budget")
    epochs: float | None = Field(default=None, gt=0, description="passes over the data, instead of max_steps")
    batch_size: int = Field(default=32, ge=1, description="sequences an optimizer step")
    optimizer: Literal["adamw", "muon"] = Field(
        default="adamw", description="adamw, as the papers; muon, not theirs, for matrices of the blocks beside AdamW"
    )
    learning_rate: float = Field(default=6e-4, gt=0, description="peak rate, of what AdamW moves")
    muon_learning_rate: float = Field(default=0.02, gt=0, description="the same of Muon; both follow one schedule")
    muon_momentum: float = Field(default=0.95, ge=0, lt=1, description="of Muon")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="of Adam")
    beta2: float = Field(default=0.95, ge=0, lt=1, description="of Adam")
    epsilon: float = Field(default=1e-8, gt=0, description="of Adam")
    weight_decay: float = Field(default=0.1, ge=0, description="decoupled, on matrices and embeddings only")
    grad_clip: float = Field(default=1.0, gt=0, description="largest global gradient norm")
    precision: Literal["auto", "fp32", "bf16"] = Field(default="auto", description="auto: what the device does well")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1 ...")
    valid_every: int | None = Field(default=100, ge=1, description="steps between validations")
    checkpoint_every: int | None = Field(default=100, ge=1, description="steps between checkpoints")
    checkpoint_every_s: float = Field(default=600, gt=0, description="seconds after which one is made in any case")


class TrainConfig(LoopConfig):
    """How a model is pretrained."""

    micro_batch_size: int | None = Field(default=None, ge=1, description="sequences at a time; none: by memory")
    warmup_steps: int = Field(default=0, ge=0, description="linear warm-up")
    warmup_tokens: int | None = Field(default=None, ge=0, description="the same in tokens, instead of warmup_steps")
    decay_steps: int | None = Field(default=None, ge=1, description="where the cosine ends; none: at max_steps")
    decay_tokens: int | None = Field(default=None, ge=1, description="the same in tokens, instead of decay_steps")
    final_lr_fraction: float = Field(
        default=0.1, ge=0, le=1, description="of the peak, reached at the end of the cosine"
    )
    valid_windows: int = Field(default=64, ge=1, description="contexts in a validation during training")
    final_valid_windows: int | None = Field(
        default=None, ge=1, description="the same at the end; none: all the held-out text"
    )
    sample_every: int | None = Field(default=None, ge=1, description="steps between samples; none: three in all")

    def check(self) -> None:
        if self.max_steps and self.epochs:
            raise ValueError("give train.max_steps or train.epochs, not both")
        if self.warmup_steps and self.warmup_tokens:
            raise ValueError("give train.warmup_steps or train.warmup_tokens, not both")
        if self.decay_steps and self.decay_tokens:
            raise ValueError("give train.decay_steps or train.decay_tokens, not both")


class RunConfig(Config):
    """Everything that decides the numbers of a run."""

    recipe: str = Field(default="auto", description="the recipe the config came from")
    budget_s: float | None = Field(default=None, gt=0, description="wall-clock seconds that auto fits the run to")
    seed: int = Field(
        default=0, ge=0, lt=2**63, description="of initial weights, data order, dropout and the held-out part"
    )
    tokenizer: str = Field(
        default="byte_bpe", description="byte_bpe (trained on the text), bytes, gpt2, gpt1, or a tokenizer's folder"
    )
    model: GPTConfig = GPTConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
