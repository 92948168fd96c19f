"""Row 7: a loss or a gradient that is not finite teaches nothing, and three in a row are the end."""

from collections.abc import Sequence
from pathlib import Path

from gptrilogy.metrics import read_metrics
from gptrilogy.runs import Run
from torture.commands import Ended
from torture.subject import Ending, Kind, Subject, newest_step
from torture.tally import Tally


def single(subject: Subject, kind: Kind, steps: Sequence[int]) -> Tally:
    """A step is spoilt: no weight and no moment changes, the step is logged as skipped, and training goes on."""
    tally = Tally(7, f"a loss or gradient that is not finite at one step, {kind.name}")
    for step in steps:
        before = Ending.of(subject.stopped(kind, step - 1)).tensors
        for how in ("loss", "gradient"):
            run = subject.copy(subject.stopped(kind, step - 1))
            ended = subject.warm.run("resume", run, "--stop-at", step, hook=["spoil", how, [step]])
            after = Ending.of(run).tensors
            changed = {name for name in before if before[name] != after[name]} - {"generator.cpu"}
            wrong = ended.err if ended.code else f"changed: {sorted(changed)[:3]}" if changed else ""
            if not wrong and _skipped(run) != [step]:
                wrong = f"the log says that {_skipped(run)} were skipped"
            if not wrong and subject.warm.run("resume", run).code:
                wrong = "it does not go on afterwards"
            tally.count(f"{how} of step {step}", wrong, how)
    return tally


def three_in_a_row(subject: Subject, kind: Kind, steps: Sequence[int]) -> Tally:
    """Two spoilt steps are survived; the third ends the run with its own message, and the last checkpoint is whole."""
    tally = Tally(7, f"two and three such steps in a row, {kind.name}")
    for step in steps:
        for how, length in (("loss", 2), ("gradient", 2), ("loss", 3), ("gradient", 3)):
            run = subject.copy(subject.stopped(kind, 14))
            hook = ["spoil", how, [*range(step, step + length)]]
            ended = subject.warm.run("resume", run, "--stop-at", step + 4, hook=hook)
            if length == 2:
                wrong = ended.err if ended.code else "" if newest_step(run) == step + 4 else "it stopped early"
            else:
                wrong = _diverged(ended, run, step) or subject.finish(run, kind)
            tally.count(f"{how} of steps {step} to {step + length - 1}", wrong, f"{length} in a row")
    return tally


def _diverged(ended: Ended, run: Path, step: int) -> str:
    if not ended.failed_in_one_line() or "3 steps in a row were not finite" not in ended.last_line:
        return f"it ended with {ended.code}: {ended.err[-300:]}"
    if _skipped(run) != [step, step + 1, step + 2]:
        return f"skipped were {_skipped(run)}"
    return "" if newest_step(run) < step else f"a checkpoint of step {newest_step(run)} was made"


def _skipped(run: Path) -> list[int]:
    return [row["step"] for row in read_metrics(Run(run).metrics_path) if row.get("skipped")]
