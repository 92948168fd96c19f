"""The loop every kind of training runs: steps, validations, checkpoints, resume, an orderly end.

All of its state is one `TrainState`; what is learned, and from what, is an `Objective`.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import nn

from gptrilogy.checkpoints import best, prune
from gptrilogy.config import Config
from gptrilogy.devices import why_slow
from gptrilogy.errors import DivergedError
from gptrilogy.metrics import MetricsLog, Row, read_metrics
from gptrilogy.runs import Run
from gptrilogy.training.config import LoopConfig
from gptrilogy.training.optimizer import set_learning_rate
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.state import TrainState, generators, restore_generators, state_hash

MAX_SKIPPED = 3
NOT_JUDGED: Mapping[str, float] = {}
M = TypeVar("M", bound=nn.Module)
State_contra = TypeVar("State_contra", contravariant=True)
OnProgress = Callable[[int, int, int], None]  # step, sequences done, sequences in the step


class Reporter(Protocol):
    """Where a run tells people what it does."""

    def row(self, row: Row) -> None: ...
    def within_step(self, step: int, done: int, batch_size: int) -> None: ...
    def sample(self, step: int, text: str) -> None: ...
    def warn(self, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of a validation: what goes into the log, and what a checkpoint's manifest says of its quality."""

    logged: Row
    kept: Mapping[str, float] = field(default_factory=dict[str, float])


class Objective(Protocol[State_contra]):
    """What a loop makes smaller, and how it is judged."""

    @property
    def config(self) -> Config:
        """What a checkpoint stores."""
        ...

    @property
    def train(self) -> LoopConfig: ...

    def learning_rate(self, step: int) -> float: ...

    def gradients(self, state: State_contra, stop: StopRequest, on_progress: OnProgress) -> Row | None:
        """Leave the gradient of the next batch in the model; -> `loss_nats` and what else is worth a line of the log.

        None where a request to stop came in between.
        """
        ...

    def progress(self, samples: int) -> Row:
        """How much so many samples are, in the unit of this kind of training, as {"tokens": 4096}."""
        ...

    def validate(self, state: State_contra, stop: StopRequest, *, last: bool) -> Judgement | None:
        """Judge the model on held-out data, in full if it is the last time; None where a request to stop came."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended: the last row logged and the best checkpoint."""

    last_row: Row
    best_checkpoint: Path | None
    finished: bool


def run_loop(
    run: Run,
    state: TrainState[M],
    objective: Objective[TrainState[M]],
    reporter: Reporter,
    stop: StopRequest,
    *,
    stop_at: int | None = None,
    on_step: Callable[[TrainState[M]], None] | None = None,
) -> Outcome:
    """Train until `max_steps`, `stop_at` or a signal. The config of the objective is resolved.

    Raises: DivergedError after three steps in a row whose loss or gradient is not finite; CheckpointError.
    """
    # 1. Where the run stands, and how far it goes.
    train = objective.train
    max_steps = train.max_steps or 0
    end = max_steps if stop_at is None else min(stop_at, max_steps)
    journal = _Journal(run, state, objective, reporter)

    def is_due(every: int | None) -> bool:
        return every is not None and state.step % every == 0

    def validate_if_due() -> None:
        due = state.step == max_steps or is_due(train.valid_every)
        if due and state.step not in journal.validated_steps:
            journal.validated("valid", objective.validate(state, stop, last=False))

    if state.step < end and (reason := why_slow(train.precision, next(state.model.parameters()).device)):
        reporter.warn(reason)
    if 0 < state.step < end:
        journal.record("resume")
    if state.step:
        validate_if_due()  # where a signal cut it short

    while state.step < end and not stop:
        # 2. One step, written down; a request to stop leaves it unmade.
        started = time.perf_counter()
        step = take_step(state, objective, stop, reporter.within_step)
        if step is None:
            break
        journal.train(step, seconds=time.perf_counter() - started)
        _check_finite(state, step, reporter)

        # 3. What is due at this step: validation, a sample, a checkpoint.
        validate_if_due()
        if on_step:
            on_step(state)
        save_is_due = is_due(train.checkpoint_every) or journal.is_save_overdue()
        if save_is_due and not state.skipped_in_a_row:  # a third such step must go back to before the first
            journal.save()

    # 4. The end, judged on more held-out data, or an early one that loses nothing.
    journal.save()
    if state.step >= max_steps and not journal.has_ended():
        sha256 = state_hash(state.checkpoint(objective.config))
        journal.validated("end", objective.validate(state, stop, last=True), state_sha256=sha256)
    return Outcome(journal.last_row, best(run.checkpoints_folder), journal.has_ended())


@dataclass(frozen=True, slots=True)
class Step:
    """The numbers of one step; where one was not finite, the update was not applied."""

    losses: Row
    rate: float
    grad_norm: float
    applied: bool


def take_step(
    state: TrainState[M], objective: Objective[TrainState[M]], stop: StopRequest, on_progress: OnProgress
) -> Step | None:
    """The gradient of the next batch, and the update by it; None, with the state as it was, on a request to stop.

    Where a number is not finite no weight and no moment is touched, and the step counts as skipped.
    """
    before, rate = generators(), objective.learning_rate(state.step)
    losses = objective.gradients(state, stop, on_progress)
    if losses is None:
        restore_generators(before)
        return None
    applied, grad_norm = update(state, rate, losses["loss_nats"], objective.train.grad_clip)
    state.step += 1
    state.samples += objective.train.batch_size
    state.skipped_in_a_row = 0 if applied else state.skipped_in_a_row + 1
    return Step(losses, rate, grad_norm, applied)


def update(state: TrainState[M], rate: float, loss_nats: float, grad_clip: float) -> tuple[bool, float]:
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


def autocast(train: LoopConfig, device: torch.device) -> torch.autocast:
    """bf16 products where the config asks for them; weights, gradients and sums stay fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=train.precision == "bf16")


class _Journal(Generic[M]):
    """Writes down what happens: rows to the log and the reporter, states to checkpoints."""

    def __init__(self, run: Run, state: TrainState[M], objective: Objective[TrainState[M]], reporter: Reporter) -> None:
        self.run, self.state, self.objective, self.reporter = run, state, objective, reporter
        self.last_row: Row = {}
        self._judged: tuple[int, Mapping[str, float]] = (-1, {})  # the step of the last validation, and its outcome
        self.validated_steps: set[int] = set()
        self._log = MetricsLog(run.metrics_path)
        self._saved_at = state.step or None
        self._saved_s = time.monotonic()
        if state.step:
            rows = read_metrics(run.metrics_path)
            self.last_row = next(filter(_is_result, reversed(rows)), self.last_row)
            self.validated_steps |= {row["step"] for row in rows if row["event"] == "valid"}
            logged_s = [x for row in rows if isinstance(x := row.get("elapsed_s"), int | float)]
            state.elapsed_s = max([state.elapsed_s, *logged_s])  # the row of a checkpoint comes after it
        self._begun = time.perf_counter() - state.elapsed_s  # seconds count over all sessions of the run

    def record(self, event: str, **fields: Any) -> None:
        """Write a row, and show it as it was written."""
        self.state.elapsed_s = round(time.perf_counter() - self._begun, 3)
        place = {"step": self.state.step, **self.objective.progress(self.state.samples)}
        row = {"event": event, **place, **fields, "elapsed_s": self.state.elapsed_s}
        written = self._log.append(row)
        self.reporter.row(written)
        if _is_result(written):
            self.last_row = written

    def train(self, step: Step, *, seconds: float) -> None:
        amounts = self.objective.progress(self.objective.train.batch_size)
        speeds = {f"{unit}_per_s": round(amount / seconds, 1) for unit, amount in amounts.items()}
        skipped = {} if step.applied else {"skipped": True}
        self.record("train", **step.losses, lr=step.rate, grad_norm=step.grad_norm, **speeds, **skipped)

    def save(self) -> None:
        """Write a checkpoint, unless this very step has one; the best and the last two are kept."""
        step = self.state.step
        if self._saved_at == step:
            return
        judged_step, judged = self._judged
        folder = self.state.save(self.run, self.objective.config, judged=judged if judged_step == step else NOT_JUDGED)
        prune(self.run.checkpoints_folder)
        self._saved_at, self._saved_s = step, time.monotonic()
        self.record("checkpoint", path=str(folder.relative_to(self.run.folder)))

    def validated(self, event: str, found: Judgement | None, **facts: Any) -> None:
        """Note the outcome of a validation, None if a request to stop cut it short."""
        if found is None:
            return
        step = self.state.step
        if event == "valid" and all(map(math.isfinite, found.kept.values())):
            self._judged = (step, found.kept)
            if self._saved_at == step:  # it was written without; the row comes after, which says that all is done
                self.state.save(self.run, self.objective.config, judged=found.kept)
                prune(self.run.checkpoints_folder)
        self.record(event, **found.logged, **facts)
        self.validated_steps.add(step)

    def has_ended(self) -> bool:
        """Whether the last thing that happened is the end."""
        return self.last_row.get("event") == "end" and self.last_row["step"] == self.state.step

    def is_save_overdue(self) -> bool:
        return time.monotonic() - self._saved_s > self.objective.train.checkpoint_every_s


def _is_result(row: Row) -> bool:
    return row["event"] in ("train", "valid", "end")


def _check_finite(state: TrainState[M], step: Step, reporter: Reporter) -> None:
    """Tell of a skipped step; the third in a row is the last.

    Raises: DivergedError.
    """
    if step.applied:
        return
    what = f"step {state.step}: loss {step.losses['loss_nats']}, gradient norm {step.grad_norm}"
    reporter.warn(f"{what}: not finite, so the step was skipped and no weight changed")
    if state.skipped_in_a_row >= MAX_SKIPPED:
        raise DivergedError(
            f"{MAX_SKIPPED} steps in a row were not finite ({what}); begin another run with a lower "
            "--train.learning-rate or --train.grad-clip, or with --train.precision fp32"
        )
