"""`python -m bench.released_code`: what each difference of GPT-1's released fine-tuning code from ours comes to.

A pretrained model is fine-tuned by our rules, with one rule of the released code at a time, and with all of them. The
released rules are those of the tests' twin; the package has no options for them. The tables go to stdout, progress to
stderr.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.measure import Say
from bench.record import Log, facts, write_record
from bench.report import table
from gptrilogy.finetuning.config import TuneConfig

if TYPE_CHECKING:
    from bench.released_training import Trained
    from gptrilogy.evaluation.metrics import Estimate
    from gptrilogy.generation.language_model import LanguageModel

TaskName = Literal["cola", "openbookqa"]
OURS = "ours"
HEADING = ("deviation", "{}, mean and 95%", "against ours, by seed", "dev loss", "training loss", "minutes a run")

METHOD = """\
Runs: {steps}, n = {n} of each row, with other seeds: other new weights, another order of the examples, other dropout.
Those of one seed share all three as far as they draw alike; a mask of another shape shifts the draws after it. All else
is the default of `gpt finetune`, but for a peak rate of {rate:g} and fp32. The score, times 100, is that of the weights
after the last step, with no checkpoint chosen. Intervals are Student's t over seeds, and differences are paired by
seed. Losses are those of the labels, in nats: on the dev examples, and the mean of the last {last} steps. The second
row is ours again at a rate larger by a millionth: what it shows against ours is how far rounding alone carries two runs
apart, and so the least that the other rows could show."""

app = App(name="bench.released_code", help_format="plaintext", version_flags=[])


@dataclass(slots=True)
class Found:
    """All runs of one call, and why others are missing."""

    learning_rate: float
    metrics: dict[str, str] = field(default_factory=dict[str, str])  # of each task
    steps: dict[str, int] = field(default_factory=dict[str, int])
    runs: "list[Trained]" = field(default_factory=list)
    left_out: list[str] = field(default_factory=list[str])

    def page(self) -> str:
        from bench.released_training import LAST_STEPS

        tables = [f"## {task}\n\n{self._table(task)}" for task in self.metrics]
        left_out = "\n".join(f"- Left out: {reason}." for reason in self.left_out)
        steps = " and ".join(f"{steps:,} steps of {task}" for task, steps in self.steps.items())
        n = len({run.seed for run in self.runs})
        method = METHOD.format(n=n, rate=self.learning_rate, steps=steps, last=LAST_STEPS)
        return "\n\n".join(part for part in (*tables, left_out, method if self.runs else "") if part)

    def numbers(self) -> dict[str, Any]:
        """Every run, and what was made of them."""
        against = [
            {"task": task, "arm": arm, **_json(self.against_ours(task, arm))}
            for task in self.metrics
            for arm in self._arms(task)[1:]
        ]
        return asdict(self) | {"against_ours": against}

    def against_ours(self, task: str, arm: str) -> "Estimate":
        from gptrilogy.evaluation.metrics import paired_difference

        theirs, ours = ([run.score for run in self._of(task, name)] for name in (arm, OURS))
        return paired_difference(theirs, ours)

    def _table(self, task: str) -> str:
        from gptrilogy.evaluation.metrics import over_seeds

        lines: list[tuple[str, ...]] = []
        for arm in self._arms(task):
            runs = self._of(task, arm)
            shown = (
                f"{statistics.fmean(run.dev_loss_nats for run in runs):.4f}",
                f"{statistics.fmean(run.train_loss_nats for run in runs):.4f}",
                f"{statistics.fmean(run.seconds for run in runs) / 60:.1f}",
            )
            score = spelled(over_seeds([run.score for run in runs]))
            against = "" if arm == OURS else spelled(self.against_ours(task, arm), sign="+")
            lines.append((arm, score, against, *shown))
        return table([cell.format(self.metrics[task]) for cell in HEADING], lines)

    def _arms(self, task: str) -> list[str]:
        return list(dict.fromkeys(run.arm for run in self.runs if run.task == task))

    def _of(self, task: str, arm: str) -> "list[Trained]":
        return [run for run in self.runs if (run.task, run.arm) == (task, arm)]


@app.default
def released_code(
    *,
    model: Path,
    data: Path,
    out: Path | None = None,
    tasks: tuple[TaskName, ...] = ("cola", "openbookqa"),
    seeds: Annotated[int, Parameter(validator=Number(gte=1))] = 5,
    learning_rate: Annotated[float, Parameter(validator=Number(gt=0))] = 5e-4,
    max_steps: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
) -> None:
    """Fine-tune a model by our rules and by those of GPT-1's released code, and compare the scores.

    Args:
        model: a run of `gpt pretrain`.
        data: the folder that holds finetune/cola and finetune/openbookqa; a task without its files is left out.
        out: write README.md, results.json and log.txt into this folder.
        tasks: which of the two.
        seeds: runs of each rule.
        learning_rate: the peak; GPT-1's is 6.25e-5, models of a few million weights want more.
        max_steps: optimizer steps of a run; none: three passes over the examples.
    """
    from gptrilogy.loading import load

    log = Log()
    log.say_load()
    how = TuneConfig(learning_rate=learning_rate, max_steps=max_steps, precision="fp32", device="cpu")
    found = measure(load(model, device="cpu"), data, tasks, seeds, how, log.say)
    print(found.page())
    if out:
        named = "".join(f" --tasks {task}" for task in tasks)
        short = f" --max-steps {max_steps}" if max_steps else ""
        options = f"{named} --seeds {seeds} --learning-rate {learning_rate:g}{short}"
        command = f"python -m bench.released_code --model RUN --data DIR{options} --out DIR"
        title = "GPT-1's released fine-tuning code against ours"
        write_record(out, title, found.page(), facts(command, seeds), found.numbers(), log.lines)


def measure(
    base: "LanguageModel", data: Path, tasks: Sequence[TaskName], seeds: int, how: TuneConfig, say: Say
) -> Found:
    """Train by all rules under one seed, then under the next; each rule on the first task on which it can matter."""
    from bench.released_training import ARMS, FILES, ON_EACH_TASK, Study

    found = Found(how.learning_rate)

    def leave_out(reason: str) -> None:
        found.left_out.append(reason)
        say(f"left out {reason}")

    for name in tasks:
        train, dev = (data / "finetune" / file for file in FILES[name])
        missing = [str(path.relative_to(data)) for path in (train, dev) if not path.exists()]
        if missing:
            leave_out(f"{name}: no {' and no '.join(missing)} in the data folder")
            continue
        study = Study.read(name, (train, dev), base, how)
        found.metrics[name], found.steps[name] = study.config.task.metrics[0], study.steps
        without = study.without_effect() | {run.arm: f"its runs are on {run.task}" for run in found.runs}
        without = {arm: reason for arm, reason in without.items() if arm not in ON_EACH_TASK}
        for arm, reason in without.items():
            leave_out(f"{name}, {arm}: {reason}")
        for seed in range(seeds):
            for arm in (arm for arm in ARMS if arm not in without):
                run = study.run(arm, seed)
                say(f"{name}, seed {seed}, {arm}: {100 * run.score:.2f} after {run.seconds:.0f} s")
                found.runs.append(run)
    return found


def spelled(estimate: "Estimate", sign: str = "") -> str:
    """Times 100, as the papers print scores; the interval where there is one.

    >>> from gptrilogy.evaluation.metrics import Estimate
    >>> spelled(Estimate(0.25, 0.2, 0.3)), spelled(Estimate(0.01, math.nan, math.nan), sign="+")
    ('25.00 (20.00 to 30.00)', '+1.00')
    """
    value, low, high = (f"{100 * number:{sign}.2f}" for number in estimate)
    return value if math.isnan(estimate.low) else f"{value} ({low} to {high})"


def _json(estimate: "Estimate") -> dict[str, float | None]:
    """JSON has no nan: an interval that is missing is null."""
    return {name: None if math.isnan(number) else number for name, number in estimate._asdict().items()}


if __name__ == "__main__":
    app()
