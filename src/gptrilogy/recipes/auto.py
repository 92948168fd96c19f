"""`auto`: from a folder of text and a wall-clock budget to a vocabulary, a model, a batch and a step count."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
TIMING_SHARE = 0.05  # of the budget that may go into timing one candidate
SPARE_SHARE = 0.02  # for checkpoints, samples and the picture
SPARE_S = 3.0


@dataclass(frozen=True, slots=True)
class Shape:
    """A candidate: sizes, the batch in sequences, and the peak rate that suited it in our own runs."""

    n_layer: int
    n_embd: int
    n_head: int
    n_ctx: int
    batch_size: int
    learning_rate: float


SMALLEST = Shape(2, 64, 2, 64, 8, 1e-2)  # where nothing else fits: 20 s in, twice the width was ahead already
SHAPES = (
    Shape(2, 128, 4, 128, 8, 6.5e-3),
    Shape(3, 192, 6, 192, 6, 4.5e-3),
    Shape(4, 256, 8, 256, 8, 3e-3),
    Shape(6, 384, 6, 256, 16, 2e-3),
    Shape(8, 512, 8, 512, 16, 1.2e-3),
    Shape(12, 768, 12, 1024, 16, 6e-4),
)
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
    automatic: Tree = {
        "model": {"n_layer": shape.n_layer, "n_embd": shape.n_embd, "n_head": shape.n_head, "n_ctx": shape.n_ctx},
        "train": {
            "max_steps": steps,
            "batch_size": shape.batch_size,
            "learning_rate": shape.learning_rate,
            "final_lr_fraction": 0.02,
            **_pace(steps),
        },
    }
    asked = requested.model_dump(exclude_unset=True)
    if asked.get("train", {}).get("epochs"):
        automatic["train"]["max_steps"] = None
    if asked.get("train", {}).get("warmup_tokens"):
        automatic["train"]["warmup_steps"] = 0
    return parse(RunConfig, merge(automatic, asked))


def candidates(requested: RunConfig, data: PackedData, *, seconds: float, flops_per_s: float) -> list[RunConfig]:
    """The few configs worth timing, best first by the expected loss where each token costs its FLOPs.

    Raises: ConfigError where the sizes asked for fit none.
    """
    text_tokens, n_vocab = len(data.train), data.index.tokenizer.n_vocab
    ranked: list[tuple[float, RunConfig]] = []
    for shape in SHAPES:
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
        if config not in unique:
            unique.append(config)
    return unique[:3]


def fit_steps(config: RunConfig, requested: RunConfig, *, seconds: float, timing: "Timing", n_valid: int) -> RunConfig:
    """Set the step count, and from it warm-up and validations, so that training ends when `seconds` are over.

    A length that was asked for stays; `n_valid` is the number of validation windows there are.

    Raises: ConfigError where not even a few steps fit.
    """
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
        fitted |= {"max_steps": steps, **_pace(steps)}
    return config.replace(train={key: value for key, value in fitted.items() if key not in asked})


def _pace(steps: int) -> Tree:
    """What follows from the length of a run: warm-up, validations, checkpoints."""
    every = max(1, steps // VALIDATIONS)
    return {"warmup_steps": min(200, max(1, steps // 20)), "valid_every": every, "checkpoint_every": every}


def expected(model: GPTConfig, data: PackedData, tokens: float) -> float:
    """Bits a byte to expect after so many tokens of this text."""
    bytes_per_token = data.train.text_bytes / len(data.train)
    return expected_bits_per_byte(model, tokens * bytes_per_token, data.train.text_bytes)
