"""The pretraining loop: one flat function over small parts, all of its state one `TrainState`."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from gptrilogy.checkpoints import best, checkpoint_folders, newest_valid, prune, set_aside
from gptrilogy.data.loader import Loader
from gptrilogy.data.shards import PackedData
from gptrilogy.devices import pick_device
from gptrilogy.errors import CheckpointError, DivergedError
from gptrilogy.files import remove_temporaries
from gptrilogy.models.gpt import GPT
from gptrilogy.runs import MetricsLog, Row, Run, cut_metrics, read_metrics
from gptrilogy.training.config import RunConfig, TrainConfig
from gptrilogy.training.optimizer import set_learning_rate
from gptrilogy.training.schedule import learning_rate
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.state import TrainState, generators, restore_generators
from gptrilogy.training.validation import Validation, validate

MAX_SKIPPED = 3


class Reporter(Protocol):
    """Where a run tells people what it does."""

    def row(self, row: Row) -> None: ...
    def within_step(self, step: int, done: int, batch_size: int) -> None: ...
    def sample(self, step: int, text: str) -> None: ...
    def warn(self, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call of `pretrain` ended: the last row logged and the best checkpoint."""

    last_row: Row
    best_checkpoint: Path | None
    finished: bool


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
    # 1. The state: from a checkpoint where there is one, else from the seed.
    train, n_ctx = config.train, config.model.n_ctx
    max_steps = train.max_steps or 0
    device = pick_device(train.device)
    loader = Loader(data.train, n_ctx=n_ctx, seed=config.seed)
    state = _start(config, run, device, reporter)
    journal = _Journal(config, run, state, reporter)
    sample_steps = _sample_steps(train, max_steps) if sample else set[int]()
    end = max_steps if stop_at is None else min(stop_at, max_steps)

    def validate_if_due() -> None:
        due = state.step == max_steps or state.step % train.valid_every == 0
        if due and state.step not in journal.validated_steps:
            with autocast(train, device):
                journal.validated("valid", validate(state.model, data.valid, stop, max_windows=train.valid_windows))

    if 0 < state.step < end:
        journal.record("resume")
        validate_if_due()  # where a signal cut it short

    while state.step < end and not stop:
        # 2. Gradients of one step, a micro-batch at a time; a request to stop leaves the step unmade.
        before, started = generators(), time.perf_counter()
        rate = learning_rate(train, step=state.step, tokens_per_step=train.batch_size * n_ctx)
        loss_nats = accumulate_gradients(state, loader, train, stop, reporter.within_step)
        if loss_nats is None:
            restore_generators(before)
            break

        # 3. The update, unless a number is not finite: then no weight and no moment is touched.
        applied, grad_norm = update(state, rate, loss_nats, train.grad_clip)
        state.step += 1
        state.samples += train.batch_size
        journal.train(loss_nats, rate, grad_norm, applied=applied, seconds=time.perf_counter() - started)
        _check_finite(state, applied, loss_nats, grad_norm, reporter)

        # 4. What is due at this step: validation, a sample, a checkpoint.
        validate_if_due()
        if sample and state.step in sample_steps:
            reporter.sample(state.step, sample(state.model))
        if state.step % train.checkpoint_every == 0 or journal.is_save_overdue():
            journal.save()

    # 5. The end, judged on more held-out text, or an early one that loses nothing.
    journal.save()
    if state.step >= max_steps and not journal.has_ended():
        with autocast(train, device):
            journal.validated("end", validate(state.model, data.valid, stop, max_windows=train.final_valid_windows))
    return Outcome(journal.last_row, best(run.checkpoints_folder), journal.has_ended())


def accumulate_gradients(
    state: TrainState,
    loader: Loader,
    train: TrainConfig,
    stop: StopRequest,
    on_progress: Callable[[int, int, int], None] | None = None,
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
        ids = loader.batch(state.samples + start, size).to(device)  # (micro, T + 1)
        with autocast(train, device):
            loss = model.loss(ids) * (size / train.batch_size)
        loss.backward()
        total += loss.detach()
        if on_progress and start + size < train.batch_size:
            on_progress(state.step + 1, start + size, train.batch_size)
    return total.item()


def update(state: TrainState, rate: float, loss_nats: float, grad_clip: float) -> tuple[bool, float]:
    """Clip the gradient and take one optimizer step; nothing changes where a number is not finite.

    -> whether the step was taken, and the gradient's norm before clipping.
    """
    weights = [p for p in state.model.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None])
    grad_norm = norm.item()
    finite = torch.isfinite(torch.tensor([loss_nats, grad_norm])).all().item()
    if finite:
        torch.nn.utils.clip_grads_with_norm_(weights, grad_clip, norm)
        set_learning_rate(state.optimizer, rate)
        state.optimizer.step()
    return bool(finite), grad_norm


def autocast(train: TrainConfig, device: torch.device) -> torch.autocast:
    """bf16 products where the config asks for them; weights, gradients and sums stay fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=train.precision == "bf16")


class _Journal:
    """Writes down what happens: rows to the log and the reporter, states to checkpoints."""

    def __init__(self, config: RunConfig, run: Run, state: TrainState, reporter: Reporter) -> None:
        self.config, self.run, self.state, self.reporter = config, run, state, reporter
        self.last_row: Row = {}
        self._valid: tuple[int, float] | None = None  # the step of the last validation, and its loss
        self.validated_steps: set[int] = set()
        self._log = MetricsLog(run.metrics_path)
        self._begun = time.perf_counter() - state.elapsed_s  # seconds count over all sessions of the run
        self._saved_at = state.step or None
        self._saved_s = time.monotonic()
        if state.step:
            rows = read_metrics(run.metrics_path)
            self.last_row = next(filter(_is_result, reversed(rows)), self.last_row)
            self.validated_steps |= {row["step"] for row in rows if row["event"] == "valid"}

    def record(self, event: str, **fields: Any) -> Row:
        self.state.elapsed_s = round(time.perf_counter() - self._begun, 3)
        place = {"step": self.state.step, "tokens": self.state.samples * self.config.model.n_ctx}
        row = {"event": event, **place, **fields, "elapsed_s": self.state.elapsed_s}
        written = self._log.append(row)
        self.reporter.row(row)
        if _is_result(row):
            self.last_row = written
        return row

    def train(self, loss_nats: float, rate: float, grad_norm: float, *, applied: bool, seconds: float) -> None:
        tokens_per_s = round(self.config.train.batch_size * self.config.model.n_ctx / seconds, 1)
        skipped = {} if applied else {"skipped": True}
        self.record("train", loss_nats=loss_nats, lr=rate, grad_norm=grad_norm, tokens_per_s=tokens_per_s, **skipped)

    def save(self) -> None:
        """Write a checkpoint, unless this very step has one; the best and the last two are kept."""
        step = self.state.step
        if self._saved_at == step:
            return
        valid_loss_nats = self._valid[1] if self._valid and self._valid[0] == step else None
        folder = self.state.save(self.run, self.config, valid_loss_nats=valid_loss_nats)
        prune(self.run.checkpoints_folder)
        self._saved_at, self._saved_s = step, time.monotonic()
        self.record("checkpoint", path=str(folder.relative_to(self.run.folder)))

    def validated(self, event: str, found: Validation | None) -> None:
        """Note the outcome of a validation, None if a request to stop cut it short."""
        if found is None:
            return
        self.record(event, loss_nats=found.loss_nats, bits_per_byte=found.bits_per_byte)
        self.validated_steps.add(self.state.step)
        if event == "valid" and math.isfinite(found.loss_nats):
            self._valid = (self.state.step, found.loss_nats)

    def has_ended(self) -> bool:
        """Whether the last thing that happened is the end."""
        return self.last_row.get("event") == "end" and self.last_row["step"] == self.state.step

    def is_save_overdue(self) -> bool:
        return time.monotonic() - self._saved_s > self.config.train.checkpoint_every_s


def _is_result(row: Row) -> bool:
    return row["event"] in ("train", "valid", "end")


def _start(config: RunConfig, run: Run, device: torch.device, reporter: Reporter) -> TrainState:
    def on_bad(error: CheckpointError) -> None:
        reporter.warn(f"{error}; going back to the checkpoint before it")

    for place in (run.folder, run.checkpoints_folder):
        remove_temporaries(place)
    folder = newest_valid(run.checkpoints_folder, on_bad)
    for later in checkpoint_folders(run.checkpoints_folder):
        if folder is None or later > folder:
            set_aside(later)
    state = TrainState.fresh(config, device) if folder is None else TrainState.restore(folder, config, device)
    cut_metrics(run.metrics_path, state.step)
    return state


def _sample_steps(train: TrainConfig, max_steps: int) -> set[int]:
    """Every `sample_every` steps, or early, on the way, and at the end."""
    if train.sample_every:
        return {*range(train.sample_every, max_steps + 1, train.sample_every)}
    return {max(1, max_steps // 20), max(1, max_steps * 2 // 5), max_steps}


def _check_finite(state: TrainState, applied: bool, loss_nats: float, grad_norm: float, reporter: Reporter) -> None:
    """Count skipped steps in a row; the third is the last.

    Raises: DivergedError.
    """
    if applied:
        state.skipped_in_a_row = 0
        return
    state.skipped_in_a_row += 1
    what = f"step {state.step}: loss {loss_nats}, gradient norm {grad_norm}"
    reporter.warn(f"{what}: not finite, so the step was skipped and no weight changed")
    if state.skipped_in_a_row >= MAX_SKIPPED:
        raise DivergedError(
            f"{MAX_SKIPPED} steps in a row were not finite ({what}); lower --train.learning-rate or "
            "--train.grad-clip, or use --train.precision fp32, and start again from the last checkpoint"
        )
