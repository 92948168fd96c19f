"""How long a step takes here: a few real ones, on real data."""

import statistics
import time
from dataclasses import dataclass

import torch

from gptrilogy.data.loader import training_windows
from gptrilogy.data.shards import PackedData
from gptrilogy.devices import pick_device
from gptrilogy.training.config import RunConfig
from gptrilogy.training.loop import autocast, update
from gptrilogy.training.pretrain import accumulate_gradients
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.state import fresh_state
from gptrilogy.training.validation import BATCH_TOKENS, validate

WARM_UP_STEPS, TIMED_STEPS = 2, 5


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one training step, and of one validation window."""

    step_s: float
    window_s: float


def time_steps(config: RunConfig, data: PackedData, steps: int = TIMED_STEPS) -> Timing:
    """The median over a few real training steps of a resolved config, on a model that is thrown away.

    Raises: DataError where the text is shorter than one context.
    """
    device = pick_device(config.train.device)
    windows = training_windows(data, n_ctx=config.model.n_ctx, seed=config.seed)
    state = fresh_state(config, device)
    no_stop = StopRequest()
    seconds: list[float] = []
    for _ in range(WARM_UP_STEPS + steps):
        start = time.perf_counter()
        loss_nats = accumulate_gradients(state, windows, config.train, no_stop)
        update(state, 1e-4, loss_nats or 0.0, config.train.grad_clip)
        state.samples += config.train.batch_size
        seconds.append(time.perf_counter() - start)
    n_valid = max(1, BATCH_TOKENS // config.model.n_ctx)
    with autocast(config.train, device), torch.no_grad():
        start = time.perf_counter()
        validate(state.model, data.valid, max_windows=n_valid)
        window_s = (time.perf_counter() - start) / n_valid
    return Timing(statistics.median(seconds[WARM_UP_STEPS:]), window_s)
