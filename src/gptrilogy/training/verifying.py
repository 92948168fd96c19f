"""The proof that a run can be repeated: steps it has logged, made again from a state it has kept."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import nn

from gptrilogy.checkpoints import Checkpoint, checkpoint_folders, manifest, read_checkpoint
from gptrilogy.errors import ConfigError, RunError
from gptrilogy.metrics import Row, read_metrics
from gptrilogy.runs import Run
from gptrilogy.training.loop import Objective, OnProgress, Step, take_step
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.state import TrainState, restore, state_hash

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Replay:
    """The steps `from_step` + 1 to `to_step`, made again; `difference` says what was not as the run has it."""

    from_step: int
    to_step: int
    losses_compared: int
    states_compared: tuple[int, ...]  # the steps of the checkpoints on the way
    next_checkpoint: int | None  # the step of the first one after `to_step`
    state_sha256: str
    difference: str | None = None

    @property
    def verified(self) -> bool:
        return self.difference is None


def replay(
    run: Run,
    steps: int,
    build: Callable[[Checkpoint | None], TrainState[M]],
    objective: Objective[TrainState[M]],
    stop: StopRequest,
    on_progress: OnProgress,
) -> Replay:
    """Make so many logged steps again in memory, or all that can be, up to the first that differs by a bit.

    It begins as `starting_step` says. Each step's losses, rate and gradient norm are compared with the log, and where a
    checkpoint stands, the hash of the whole state with that of its files. A request to stop ends it early. The folder
    is only read.

    Raises: ConfigError where `steps` is less than 1, or none is logged; RunError where the log has a gap;
    CheckpointError where a checkpoint is damaged.
    """
    rows = {int(row["step"]): row for row in read_metrics(run.metrics_path) if row["event"] == "train"}
    kept = {int(manifest(folder)["step"]): folder for folder in checkpoint_folders(run.checkpoints_folder)}
    logged = max(rows, default=0)
    start = starting_step(sorted(kept), logged, steps)
    state = restore(kept[start], objective.config, build) if start in kept else build(None)
    compared: list[int] = []
    difference: str | None = None
    while difference is None and state.step < min(start + steps, logged):
        step = take_step(state, objective, stop, on_progress)
        if step is None:
            break
        if state.step not in rows:
            raise RunError(f"{run.metrics_path} has no row of step {state.step} to compare with: it was cut or changed")
        difference = _differs(state.step, rows[state.step], step)
        if difference is None and state.step in kept:
            difference = _state_differs(state, objective, read_checkpoint(kept[state.step]))
            compared.append(state.step)
    sha256 = state_hash(state.checkpoint(objective.config))
    later = min((step for step in kept if step > state.step), default=None)
    return Replay(start, state.step, state.step - start, tuple(compared), later, sha256, difference)


def starting_step(kept: Sequence[int], logged: int, steps: int) -> int:
    """From which of the kept steps, or from the beginning (0) where but one is kept, to replay `steps` of the `logged`.

    The last one from which a checkpoint is reached, so that the whole state can be compared; else the last one after
    which so many steps are logged; else the first.

    Raises: ConfigError where no step is logged, or none is asked for.

    >>> starting_step([10, 40, 50], logged=57, steps=10), starting_step([10, 40, 50], logged=57, steps=5)
    (40, 50)
    >>> starting_step([50], logged=50, steps=20), starting_step([40, 50], logged=57, steps=100)
    (0, 40)
    """
    starts = kept if len(kept) > 1 else [0, *kept]
    most = logged - starts[0]
    if steps < 1 or most < 1:
        limit = "must be at least 1" if most > 0 else "finds no logged step"
        raise ConfigError(f"--verify {limit}, got {steps}")
    steps = min(steps, most)

    def is_checked(start: int) -> bool:
        return any(start < step <= start + steps for step in kept)

    return max((start for start in starts if start + steps <= logged), key=lambda start: (is_checked(start), start))


def _differs(number: int, row: Row, step: Step) -> str | None:
    """The first number of a step that is not the logged one: JSON keeps every bit, and null where it is not finite."""
    found: dict[str, Any] = {**step.losses, "grad_norm": step.grad_norm, "lr": step.rate}
    for name, value in found.items():
        again = value if math.isfinite(value) else None
        if row.get(name) != again:
            return f"step {number}: {name} was {row.get(name)}, and is now {again}"
    return None


def _state_differs(state: TrainState[M], objective: Objective[TrainState[M]], saved: Checkpoint) -> str | None:
    was, now = state_hash(saved), state_hash(state.checkpoint(objective.config))
    if was == now:
        return None
    return f"step {state.step}: its loss is the logged one, but the state's SHA-256 was {was}, and is now {now}"
