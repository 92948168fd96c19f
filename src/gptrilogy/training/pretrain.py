"""Pretraining: next-token prediction on windows of text, by the loop of all training."""

import math
from collections.abc import Callable

import torch

from gptrilogy.checkpoints import Checkpoint
from gptrilogy.data.loader import Windows, training_windows
from gptrilogy.data.shards import PackedData
from gptrilogy.devices import pick_device
from gptrilogy.metrics import Row
from gptrilogy.models.gpt import GPT
from gptrilogy.runs import Run
from gptrilogy.training.beginning import begin
from gptrilogy.training.config import RunConfig, TrainConfig
from gptrilogy.training.loop import Judgement, OnProgress, Outcome, Reporter, autocast, run_loop
from gptrilogy.training.optimizer import build_optimizer
from gptrilogy.training.schedule import learning_rate
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.state import TrainState, fresh_state, load_model
from gptrilogy.training.validation import validate, validate_sets


def pretrain(
    config: RunConfig,
    run: Run,
    data: PackedData,
    reporter: Reporter,
    stop: StopRequest,
    *,
    stop_at: int | None = None,
    sample: Callable[[GPT], str] | None = None,
) -> Outcome:
    """Train until `max_steps`, `stop_at` or a signal, from the newest valid checkpoint of the run or from the seed.

    `config` is resolved: steps, precision, micro-batch size and the end of the decay are set.

    Raises: DivergedError after three steps in a row whose loss or gradient is not finite; CheckpointError; DataError.
    Source: GPT1 §4.1, GPT3 App. B.
    """
    device = pick_device(config.train.device)
    objective = LanguageModelling(config, data, device)
    state = begin(run, config, reporter, state_builder(config))
    sample_steps = _sample_steps(config.train)

    def sample_if_due(state: TrainState[GPT]) -> None:
        if sample and state.step in sample_steps:
            reporter.sample(state.step, sample(state.model))

    return run_loop(run, state, objective, reporter, stop, stop_at=stop_at, on_step=sample_if_due)


def state_builder(config: RunConfig) -> Callable[[Checkpoint | None], TrainState[GPT]]:
    """How a state begins: from the weights of a checkpoint, or from the seed."""
    device = pick_device(config.train.device)

    def build(checkpoint: Checkpoint | None) -> TrainState[GPT]:
        if checkpoint is None:
            return fresh_state(config, device)
        model = load_model(checkpoint, device)
        return TrainState(model, build_optimizer(model, config.train))

    return build


class LanguageModelling:
    """The loss of each next token of a text, as a mean; how well text that was held out is predicted.

    Of a mixture, both are by the weights of its sets.

    Source: GPT1 eq. 1; GPT3 §2.2 for the mixture.
    """

    def __init__(self, config: RunConfig, data: PackedData, device: torch.device) -> None:
        self.config = config
        self.train = config.train
        self._n_ctx = config.model.n_ctx
        self._windows = training_windows(data, n_ctx=self._n_ctx, seed=config.seed)
        self._data = data
        self._device = device

    def learning_rate(self, step: int) -> float:
        return learning_rate(self.train, step=step, tokens_per_step=self.train.batch_size * self._n_ctx)

    def gradients(self, state: TrainState[GPT], stop: StopRequest, on_progress: OnProgress) -> Row | None:
        loss_nats = accumulate_gradients(state, self._windows, self.train, stop, on_progress)
        return None if loss_nats is None else {"loss_nats": loss_nats}

    def progress(self, samples: int) -> Row:
        return {"tokens": samples * self._n_ctx}

    def validate(self, state: TrainState[GPT], stop: StopRequest, *, last: bool) -> Judgement | None:
        most = self.train.final_valid_windows if last else self.train.valid_windows
        with autocast(self.train, self._device):
            if self._data.sets:
                found = validate_sets(state.model, self._data.sets, stop, max_windows=most)
            else:
                found = validate(state.model, self._data.valid, stop, max_windows=most)
        if found is None:
            return None
        row: Row = {"loss_nats": found.loss_nats, "bits_per_byte": found.bits_per_byte}
        if found.loss_by_set:
            losses = found.loss_by_set.items()
            row["valid_loss_by_set"] = {name: loss if math.isfinite(loss) else None for name, loss in losses}
        if last:
            row |= self._windows.seen(state.samples)
        return Judgement(row, kept={"valid_loss_nats": found.loss_nats})


def accumulate_gradients(
    state: TrainState[GPT],
    windows: Windows,
    train: TrainConfig,
    stop: StopRequest,
    on_progress: OnProgress | None = None,
) -> float | None:
    """Leave in the model the gradient of the mean loss over the next batch, and return that loss in nats a token.

    Each micro-batch counts by its share of the batch's tokens. None where a request to stop came in between.
    `on_progress(step, sequences done, batch_size)` is called after each micro-batch but the last.
    """
    model, device = state.model, state.model.wte.weight.device
    micro = train.micro_batch_size or train.batch_size
    total = torch.zeros((), device=device)
    model.train()
    model.zero_grad(set_to_none=True)
    for start in range(0, train.batch_size, micro):
        if stop:
            return None
        size = min(micro, train.batch_size - start)
        ids = windows.batch(state.samples + start, size).to(device)  # (micro, T + 1)
        with autocast(train, device):
            loss = model.loss(ids) * (size / train.batch_size)
        loss.backward()
        total += loss.detach()
        if on_progress and start + size < train.batch_size:
            on_progress(state.step + 1, start + size, train.batch_size)
    return total.item()


def _sample_steps(train: TrainConfig) -> set[int]:
    """Every `sample_every` steps, or early, on the way, and at the end."""
    max_steps = train.max_steps or 0
    if train.sample_every:
        return {*range(train.sample_every, max_steps + 1, train.sample_every)}
    return {max(1, max_steps // 20), max(1, max_steps * 2 // 5), max_steps}
