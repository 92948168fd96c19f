"""`python -m bench.finetuning`: examples a second in fine-tuning, beside transformers' Trainer, at equal loss.

The tables go to stdout, progress to stderr. This process loads no torch: Linux would count it in the others' peaks.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.finetuning_cases import CONTENDERS, SAME_IN_FP32, TRAINER_8, TuneCase, snli
from bench.finetuning_report import CHECK_STEPS, LOSS_TOLERANCE, Found, Result
from bench.measure import BF16_TOLERANCE, ROOT, Say, Worker
from bench.record import Log, available_bytes, facts, write_record
from gptrilogy.scaling.compute import n_parameters

KEPT_BYTES = 16  # a parameter: weight, gradient and two moments, also while others work
LIBRARIES_BYTES, AT_WORK_BYTES = 500_000_000, 3_000_000_000
ALWAYS = 2  # contenders without whom there is nothing to report

app = App(name="bench.finetuning", help_format="plaintext", version_flags=[])


@app.default
def finetuning(
    *,
    data: Path,
    steps: Annotated[int, Parameter(validator=Number(gte=1))] = 2,
    repeats: Annotated[int, Parameter(validator=Number(gte=1))] = 5,
    dropout: Annotated[float, Parameter(validator=Number(gte=0, lt=1))] = 0.1,
    out: Path | None = None,
) -> None:
    """Fine-tune GPT-2 small on SNLI, by `gpt finetune`'s own steps and by transformers' Trainer, in turn.

    Args:
        data: the folder with finetune/snli/validation.tsv and vocab/gpt2.
        steps: of 32 examples each, in a sample.
        repeats: samples of each contender; fewer than five are for trying out.
        dropout: in the timed steps, on both sides.
        out: write README.md, results.json and log.txt into this folder.
    """
    log = Log()
    log.say_load()
    found = measure(snli(data.absolute(), dropout), steps, repeats, log.say).findings()
    print(found.page())
    if out:
        flags = f"--steps {steps} --repeats {repeats} --dropout {dropout:g}"
        known = facts(f"python -m bench.finetuning --data DIR {flags} --out DIR", repeats)
        known |= {"accelerate": version("accelerate")}
        write_record(out, "Fine-tuning speed", found.page(), known, found.results(), log.lines)


class TuneWorker(Worker):
    """A contender's process, spoken to as those of pretraining are."""

    def __init__(self, contender: str, case: TuneCase) -> None:
        self.contender = contender
        command = [sys.executable, "-m", "bench.finetuning_worker", contender, case.model_dump_json()]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


def measure(case: TuneCase, steps: int, repeats: int, say: Say, contenders: Sequence[str] = CONTENDERS) -> Found:
    """Losses without dropout, of each contender by itself; then samples of all in turn, after one each of warm-up.

    Raises: RuntimeError where a process ends early or the contenders do not do the same work.
    """
    contenders, left_out = fitting(case, contenders, available_bytes())
    found = Found(case, steps, repeats, left_out=left_out)
    for reason in left_out:
        say(f"left out: {reason}")
    checked = {name: checked_nats(name, case, say) for name in contenders if name != TRAINER_8}  # its steps are others
    require_equal_losses(checked)
    with ExitStack() as stack:
        workers = [stack.enter_context(TuneWorker(name, case)) for name in contenders]
        for worker in workers:
            name = worker.contender
            found.results[name] = Result(name, worker.answer()["parameters"], checked.get(name, []))
        _require_equal_sizes(found)
        for number in range(repeats + 1):
            for worker in workers:
                sample = worker.ask(f"sample {steps}")
                if number:  # round 0 warms up
                    found.results[worker.contender].add(sample)
                    say(f"sample {number} of {repeats}: {worker.contender} {sample['seconds']:.4f} s")
    return found


def checked_nats(contender: str, case: TuneCase, say: Say) -> list[float]:
    """The losses of the first steps without dropout.

    Raises: RuntimeError where the process ends early.
    """
    with TuneWorker(contender, case.replace(dropout=0.0)) as worker:
        worker.answer()
        losses_nats = worker.ask(f"sample {CHECK_STEPS}")["losses_nats"]
    say(f"without dropout: {contender} {', '.join(f'{loss:.6f}' for loss in losses_nats)}")
    return losses_nats


def require_equal_losses(checked_nats: Mapping[str, Sequence[float]]) -> None:
    """Losses of one computation in fp32 at every step, and first losses of all, as far apart as rounding explains.

    Raises: RuntimeError naming the step and the losses.
    """
    fp32 = {name: losses for name, losses in checked_nats.items() if name in SAME_IN_FP32}
    compared = [(step, fp32, LOSS_TOLERANCE) for step in range(CHECK_STEPS)] + [(0, checked_nats, BF16_TOLERANCE)]
    for step, group, tolerance in compared:
        losses = {name: losses[step] for name, losses in group.items()}
        if losses and max(losses.values()) - min(losses.values()) > tolerance:
            raise RuntimeError(f"losses of step {step + 1} must lie within {tolerance} of each other, got {losses}")


def _require_equal_sizes(found: Found) -> None:
    sizes = {name: result.parameters for name, result in found.results.items()}
    if len(set(sizes.values())) > 1:
        raise RuntimeError(f"contenders must have equally many parameters, got {sizes}")


def fitting(case: TuneCase, contenders: Sequence[str], free_bytes: int) -> tuple[Sequence[str], list[str]]:
    """The first contenders, as many as so much memory holds side by side, and why each of the others is left out."""
    each = KEPT_BYTES * n_parameters(case.model) + LIBRARIES_BYTES
    n = max(ALWAYS, (free_bytes - AT_WORK_BYTES) // each)
    reason = f"processes of {each / 1e9:.1f} GB each, and {free_bytes / 1e9:.1f} GB are free"
    return contenders[:n], [f"{name}: {reason}" for name in contenders[n:]]


if __name__ == "__main__":
    app()
