"""The learning rate of each step: linear warm-up, then a cosine and a flat end, or a straight line to zero."""

import math

from gptrilogy.training.config import TrainConfig


def learning_rate(config: TrainConfig, *, step: int, tokens_per_step: int) -> float:
    """The rate of the update that follows `step` finished ones.

    Both lengths count from the start of training, in steps or tokens. The position of an update is where it ends, so
    the first has a rate above zero (GPT-1's released fine-tuning code starts at zero and wastes it).

    Source: GPT1 §4.1 (2,000 updates, cosine to 0); GPT3 App. B (375M tokens, cosine to 10% over 260B, then flat).

    >>> config = TrainConfig(max_steps=10, learning_rate=1.0, warmup_steps=2, final_lr_fraction=0.1)
    >>> [round(learning_rate(config, step=step, tokens_per_step=1), 3) for step in (0, 1, 5, 9, 20)]
    [0.5, 1.0, 0.55, 0.1, 0.1]
    """
    done = step + 1
    warmup = config.warmup_steps if config.warmup_tokens is None else config.warmup_tokens / tokens_per_step
    if config.decay_tokens is not None:
        end = config.decay_tokens / tokens_per_step
    else:
        end = config.decay_steps or config.max_steps or 1
    if done < warmup:
        return config.learning_rate * done / warmup
    progress = min(1.0, (done - warmup) / max(end - warmup, 1e-9))
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.learning_rate * (config.final_lr_fraction + (1 - config.final_lr_fraction) * cosine)


def linear_learning_rate(peak: float, *, step: int, max_steps: int, warmup_fraction: float) -> float:
    """The rate of the update that follows `step` finished ones, on a straight line up and another one down.

    Neither the first update nor the last has a rate of zero.

    Source: GPT1 §4.1, linear decay with warm-up over 0.2% of training.

    >>> [linear_learning_rate(1.0, step=step, max_steps=10, warmup_fraction=0.2) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.125]
    """
    warmup = warmup_fraction * max_steps
    rising = (step + 1) / warmup if warmup else 1.0
    return peak * min(1.0, rising, (max_steps - step) / (max_steps - warmup))
