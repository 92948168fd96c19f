"""What a model costs before it is trained: parameters, memory, operations, time, and the loss to expect."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from gptrilogy.models.config import GPTConfig
from gptrilogy.models.patterns import mean_keys
from gptrilogy.scaling.compute import (
    PF_DAY_FLOPS,
    forward_flops_per_token,
    n_non_embedding,
    n_parameters,
    parameters_by_part,
    training_flops_per_token,
)

EXPECTED_UTILISATION = 0.4  # of the matrix ceiling, where no step has been timed
OVERFITTING_EPOCHS = 4  # up to here, repeated text is worth nearly as much as new text (Muennighoff et al. 2023)


@dataclass(frozen=True, slots=True)
class Plan:
    """The sums, each under the name it has in `gpt plan --json`."""

    parameters: int
    parameters_by_part: dict[str, int]
    non_embedding_parameters: int
    flops_per_token_forward: int
    flops_per_token_training: int
    memory_bytes: int
    memory_by_part: dict[str, int]
    tokens: int | None
    steps: int | None
    tokens_per_step: int
    epochs: float | None
    pf_days: float | None
    seconds: float | None
    seconds_from: str
    expected_bits_per_byte: float | None
    warnings: tuple[str, ...]


def make_plan(
    model: GPTConfig,
    *,
    steps: int | None,
    batch_size: int,
    micro_batch_size: int,
    precision: Literal["fp32", "bf16"],
    flops_per_s: float,
    step_s: float | None = None,
    warmup_tokens: int | None = None,
    text_tokens: int | None = None,
    text_bytes: int | None = None,
    available_bytes: int | None = None,
) -> Plan:
    """Add up what a training run takes.

    `flops_per_s` is the machine's matrix ceiling, `step_s` a timed step where there is one; `text_tokens` and
    `text_bytes` describe the training text where there is one.

    Source: Kaplan 2020 eq. 2.1-2.2 for parameters and operations.
    """
    tokens_per_step = batch_size * model.n_ctx
    tokens = steps * tokens_per_step if steps else None
    per_token = training_flops_per_token(model)
    memory = memory_by_part(model, micro_batch_size, precision)
    seconds, expected = None, None
    if steps and tokens:
        seconds = steps * step_s if step_s else tokens * per_token / (flops_per_s * EXPECTED_UTILISATION)
    if tokens and text_tokens and text_bytes:
        expected = expected_bits_per_byte(model, text_bytes * tokens / text_tokens, text_bytes)
    plan = Plan(
        parameters=n_parameters(model),
        parameters_by_part=parameters_by_part(model),
        non_embedding_parameters=n_non_embedding(model),
        flops_per_token_forward=forward_flops_per_token(model),
        flops_per_token_training=per_token,
        memory_bytes=sum(memory.values()),
        memory_by_part=memory,
        tokens=tokens,
        steps=steps,
        tokens_per_step=tokens_per_step,
        epochs=tokens / text_tokens if tokens and text_tokens else None,
        pf_days=tokens * per_token / PF_DAY_FLOPS if tokens else None,
        seconds=seconds,
        seconds_from="timed steps" if step_s else f"{EXPECTED_UTILISATION:.0%} of this machine's matrix ceiling",
        expected_bits_per_byte=expected,
        warnings=(),
    )
    return replace(plan, warnings=tuple(_warnings(plan, available_bytes, warmup_tokens)))


def memory_by_part(model: GPTConfig, micro_batch_size: int, precision: Literal["fp32", "bf16"]) -> dict[str, int]:
    """Bytes at the peak of a training step; activations are an estimate, the rest is exact."""
    n, work = n_parameters(model), 2 if precision == "bf16" else 4
    return {
        "weights": 4 * n,
        "gradients": 4 * n,
        "Adam's two moments": 8 * n,
        "bf16 copies of the weights": 2 * n if precision == "bf16" else 0,
        "activations": activation_bytes(model, micro_batch_size, work),
    }


def activation_bytes(model: GPTConfig, micro_batch_size: int, work_bytes: int) -> int:
    """What the forward pass keeps for the backward pass, by counting the tensors of one block.

    A block keeps about 18 widths a token in working precision, 2 in fp32 for the residual stream, and of its attention
    matrices what its pattern shows, the lower half where it is dense.
    """
    tokens = micro_batch_size * model.n_ctx
    attention = model.n_head * work_bytes * sum(mean_keys(pattern, model.n_ctx) for pattern in model.patterns())
    per_token = model.n_layer * model.n_embd * (18 * work_bytes + 2 * 4) + round(attention)
    loss_chunk = 3 * 4 * min(tokens * model.n_vocab, 1 << 24)
    return tokens * per_token + loss_chunk


def expected_bits_per_byte(model: GPTConfig, bytes_seen: float, text_bytes: int) -> float:
    """A rule of thumb for the loss on held-out text of the same kind: E + A / N^a + B / D^b, in bits a byte.

    N are all parameters and D the bytes of training text seen, repeats counting for less and less as in Muennighoff
    et al. 2023. The form is Chinchilla's. The constants were set by hand from a few of our own small runs on English
    prose, so that they rank sizes; the number itself can be off by a third.
    """
    epochs = max(1e-9, bytes_seen / text_bytes)
    repeats = max(0.0, epochs - 1)
    effective = text_bytes * min(1.0, epochs) + text_bytes * 15.4 * (1 - math.exp(-repeats / 15.4))
    return min(8.0, FIT_E + FIT_A / n_parameters(model) ** FIT_ALPHA + FIT_B / effective**FIT_BETA)


FIT_E, FIT_A, FIT_ALPHA, FIT_B, FIT_BETA = 0.80, 18.0, 0.30, 400.0, 0.45


def _warnings(plan: Plan, available_bytes: int | None, warmup_tokens: int | None) -> Iterator[str]:
    if plan.epochs is not None and plan.epochs > OVERFITTING_EPOCHS:
        yield (
            f"the text is small for this: it will be read {plan.epochs:.1f} times, and after about "
            f"{OVERFITTING_EPOCHS} (Muennighoff et al. 2023) the model begins to learn it by heart; more text or a "
            "smaller budget helps"
        )
    if available_bytes is not None and plan.memory_bytes > available_bytes:
        yield (
            f"a step needs about {plan.memory_bytes / 1e9:,.1f} GB, this machine has {available_bytes / 1e9:.1f} GB; "
            "a smaller --train.micro-batch-size or model helps"
        )
    if warmup_tokens and plan.tokens and plan.tokens < warmup_tokens:
        yield (
            f"the run ends inside its warm-up: {plan.tokens:,} of {warmup_tokens:,} tokens; "
            "a smaller --train.warmup-tokens lets the rate reach its peak"
        )
