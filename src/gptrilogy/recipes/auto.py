"""`auto`: from a folder of text and a wall-clock budget to a vocabulary, a model, a batch and a step count."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gptrilogy.config import Tree, merge, parse
from gptrilogy.data.shards import PackedData
from gptrilogy.errors import ConfigError
from gptrilogy.models.config import GPTConfig
from gptrilogy.scaling.compute import training_flops_per_token
from gptrilogy.scaling.plan import EXPECTED_UTILISATION, expected_bits_per_byte
from gptrilogy.training.config import RunConfig

if TYPE_CHECKING:
    from gptrilogy.training.timing import Timing

DEFAULT_BUDGET_S = 600.0
MIN_STEPS = 20
VALIDATIONS = 10
VALIDATION_SHARE = 0.04  # of the budget, for all validations during training; as much again for the last
STEPS_TO_TIME = 7  # two to warm up, five timed
TIMING_SHARE = 0.05  # of the budget that may go into timing one candidate; once all took so long, no more are timed
REPEATED_EPOCHS, REPEATED_WEIGHT_DECAY = 3, 0.3  # of a text read so often, a model with less decay learns passages
SPARE_SHARE = 0.02  # for checkpoints, samples and the picture
SPARE_S = 3.0


@dataclass(frozen=True, slots=True)
class Shape:
    """A candidate: sizes, the batch in sequences, and what suited it in our own runs.

    `learning_rate` is the peak of AdamW where it moves everything; what it moves beside Muon takes twice that.
    """

    n_layer: int
    n_embd: int
    n_head: int
    n_ctx: int
    batch_size: int
    learning_rate: float
    optimizer: Literal["adamw", "muon"] = "adamw"


SMALLEST = Shape(2, 64, 2, 64, 8, 1e-2)  # where nothing else fits: 20 s in, twice the width was ahead already
SHAPES = (
    Shape(2, 128, 2, 64, 32, 6.5e-3, "muon"),
    Shape(3, 192, 3, 64, 32, 4.5e-3, "muon"),
    Shape(4, 256, 4, 128, 16, 3e-3, "muon"),
    Shape(6, 384, 6, 256, 16, 2e-3, "muon"),
    Shape(8, 512, 8, 512, 16, 1.2e-3, "muon"),
    Shape(12, 768, 12, 1024, 16, 6e-4, "muon"),
)
BESIDE_MUON = 2.0
VOCABULARIES = ((2e13, 1024), (2e14, 2048), (4e15, 4096), (4e16, 8192), (1e18, 16_384))  # up to so many FLOPs
LARGEST_VOCABULARY = 32_768


def vocabulary_size(budget_s: float, flops_per_s: float, text_bytes: int) -> int:
    """Tokens to learn: more as there is more computation to spend, but never so many that they are rare.

    >>> vocabulary_size(240, 3e11, 12_000_000)
    2048
    """
    flops = budget_s * flops_per_s * EXPECTED_UTILISATION
    by_compute = next((size for limit, size in VOCABULARIES if flops <= limit), LARGEST_VOCABULARY)
    by_text = max(320, text_bytes // 1000)
    return min(by_compute, by_text)


def with_shape(requested: RunConfig, shape: Shape, steps: int) -> RunConfig:
    """The complete config of a candidate; whatever was asked for by flag or file stays as it was asked."""
    asked = requested.model_dump(exclude_unset=True)
    optimizer = asked.get("train", {}).get("optimizer", shape.optimizer)
    n_embd = asked.get("model", {}).get("n_embd", shape.n_embd)
    automatic: Tree = {
        "model": {
            "n_layer": shape.n_layer,
            "n_embd": shape.n_embd,
            "n_head": shape.n_head,
            "n_ctx": shape.n_ctx,
            "init_std": round(0.02 * math.sqrt(768 / n_embd), 4),  # at 0.02, the papers', narrow models begin slowly
        },
        "train": {
            "max_steps": steps,
            "batch_size": shape.batch_size,
            "optimizer": optimizer,
            "learning_rate": shape.learning_rate * (BESIDE_MUON if optimizer == "muon" else 1),
            "final_lr_fraction": 0.02,
            **_pace(steps),
        },
    }
    if asked.get("train", {}).get("epochs"):
        automatic["train"]["max_steps"] = None
    if asked.get("train", {}).get("warmup_tokens"):
        automatic["train"]["warmup_steps"] = 0
    return parse(RunConfig, merge(automatic, asked))


def candidates(requested: RunConfig, data: PackedData, *, seconds: float, flops_per_s: float) -> list[RunConfig]:
    """The few configs worth timing, best first by the expected loss where each token costs its FLOPs.

    Of equal models there is one, with batch and rate of the shape that is nearest in width: no clock could tell which
    is better.

    Raises: ConfigError where the sizes asked for fit none.
    """
    text_tokens, n_vocab = len(data.train), data.index.tokenizer.n_vocab
    width = requested.model.n_embd if "n_embd" in requested.model.model_fields_set else None
    ranked: list[tuple[float, RunConfig]] = []
    for shape in sorted(SHAPES, key=lambda shape: abs(math.log(shape.n_embd / width)) if width else 0):
        try:
            config = with_shape(requested, shape, steps=1_000_000)
        except ConfigError:  # as where the context is shorter than the band that was asked for
            continue
        model = config.model.replace(n_vocab=n_vocab)
        token_s = training_flops_per_token(model) / (flops_per_s * EXPECTED_UTILISATION)
        affordable = token_s * model.n_ctx * config.train.batch_size * STEPS_TO_TIME <= seconds * TIMING_SHARE
        if affordable and model.n_ctx < text_tokens:
            ranked.append((expected(model, data, seconds / token_s), config))
    if not ranked:
        return [with_shape(requested, SMALLEST, steps=1_000_000)]
    ranked.sort(key=lambda pair: pair[0])
    unique: list[RunConfig] = []
    for _, config in ranked:
        if all(config.model != other.model for other in unique):
            unique.append(config)
    return unique[:3]


def fit_steps(
    config: RunConfig, requested: RunConfig, data: PackedData, *, seconds: float, timing: "Timing"
) -> RunConfig:
    """Set the step count, and from it warm-up, decay and validations, so that training ends when `seconds` are over.

    A length that was asked for stays.

    Raises: ConfigError where not even a few steps fit.
    """
    n_ctx = config.model.n_ctx
    n_valid = math.ceil(2 * len(data.valid) / n_ctx)  # windows overlap by half
    windows = int(min(n_valid, max(4, VALIDATION_SHARE * seconds / VALIDATIONS / timing.window_s)))
    last = int(min(n_valid, max(windows, VALIDATION_SHARE * seconds / timing.window_s)))
    asked = requested.train.model_dump(exclude_unset=True)
    steps = asked.get("max_steps")
    if steps is None and not asked.get("epochs"):
        spare_s = SPARE_S + SPARE_SHARE * seconds + timing.window_s * (windows * VALIDATIONS + last)
        steps = math.floor((seconds - spare_s) / timing.step_s)
        if steps < MIN_STEPS:
            raise ConfigError(
                f"the budget is too small: {max(0, seconds):.0f} s of it are left for training, and {MIN_STEPS} steps "
                f"take {MIN_STEPS * timing.step_s + spare_s:.0f} s; raise --budget, or give --max-steps"
            )
    fitted: Tree = {"valid_windows": windows, "final_valid_windows": last if last < n_valid else None}
    if steps is not None:
        epochs = steps * config.train.batch_size * n_ctx / len(data.train)
        decay = REPEATED_WEIGHT_DECAY if epochs > REPEATED_EPOCHS else config.train.weight_decay
        fitted |= {"max_steps": steps, "weight_decay": decay, **_pace(steps)}
    return config.replace(train={key: value for key, value in fitted.items() if key not in asked})


def _pace(steps: int) -> Tree:
    """What follows from the length of a run: warm-up, validations, checkpoints."""
    every = math.ceil(steps / VALIDATIONS)  # so that the last of them is at the end
    return {"warmup_steps": min(200, max(1, steps // 20)), "valid_every": every, "checkpoint_every": every}


def expected(model: GPTConfig, data: PackedData, tokens: float) -> float:
    """Bits a byte to expect after so many tokens of this text."""
    bytes_per_token = data.train.text_bytes / len(data.train)
    return expected_bits_per_byte(model, tokens * bytes_per_token, data.train.text_bytes)
