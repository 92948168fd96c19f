"""`python -m bench.few_shot`: few-shot questions a second, beside lm-evaluation-harness, at equal scores.

The tables go to stdout, progress to stderr. This process loads no torch: Linux would count it in the others' peaks.
"""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.few_shot_cases import FIXED, FRESH, Asked, Contender, contenders, questions, write_questions
from bench.few_shot_report import Found, Result
from bench.measure import ROOT, Say, Worker
from bench.record import Log, facts, write_record
from gptrilogy.models.config import GPTConfig

WORKER = [sys.executable, "-m", "bench.few_shot_worker"]
AtLeastOne = Annotated[int, Parameter(validator=Number(gte=1))]

app = App(name="bench.few_shot", help_format="plaintext", version_flags=[])


@app.default
def few_shot(
    *,
    data: Path,
    fresh: AtLeastOne = 4,
    fixed: AtLeastOne = 32,
    theirs: AtLeastOne = 2,
    repeats: AtLeastOne = 5,
    bf16: bool = False,
    record: Path | None = None,
) -> None:
    """Score four answers to questions after 32 demonstrations, with GPT-2 small's shape, ours and lm-eval in turn.

    Args:
        data: the folder with HellaSwag's published validation file and vocab/gpt2.
        fresh: questions in a sample of ours that have demonstrations of their own.
        fixed: questions in a sample of ours that share their demonstrations.
        theirs: questions in a sample of lm-eval, which pays the same for each.
        repeats: samples of each contender; fewer than five are for trying out.
        bf16: time all contenders in bf16 too.
        record: write README.md, results.json and log.txt into this folder.
    """
    log = Log()
    log.say_load()
    runners = contenders("fp32") + (contenders("bf16") if bf16 else ())
    asked = questions(data, {FRESH: max(fresh, theirs), FIXED: max(fixed, theirs)})
    tokenizer = data.absolute() / "vocab" / "gpt2"
    found = measure(GPTConfig.preset("gpt2-small"), tokenizer, asked, runners, theirs, repeats, log.say).findings()
    print(found.page())
    if record:
        flags = f"--fresh {fresh} --fixed {fixed} --theirs {theirs} --repeats {repeats}{' --bf16' if bf16 else ''}"
        known = facts(f"python -m bench.few_shot --data DIR {flags} --record DIR", repeats)
        known |= {"lm-eval": version("lm-eval")}
        write_record(record, "Few-shot scoring speed", found.page(), known, found.results(), log.lines)


class ScoringWorker(Worker):
    """A contender's process, spoken to as those of pretraining are."""

    def __init__(self, contender: Contender, folder: Path) -> None:
        self.contender = contender.name
        command = [*WORKER, str(folder), contender.model_dump_json()]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


def measure(
    config: GPTConfig,
    tokenizer: Path,
    asked: Asked,
    runners: Sequence[Contender],
    their_questions: int,
    repeats: int,
    say: Say,
) -> Found:
    """Samples of all contenders in turn, after a question each of warm-up.

    Raises: RuntimeError where a process ends early; CalledProcessError where the model cannot be made.
    """
    found = Found(config, asked, repeats)
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        write_questions(folder, asked)
        subprocess.run([*WORKER, name, config.model_dump_json(), str(tokenizer)], cwd=ROOT, check=True)
        workers = {runner.name: stack.enter_context(ScoringWorker(runner, folder)) for runner in runners}
        for worker in workers.values():
            worker.answer()
            worker.ask(f"{FRESH} 0 1")
        for runner, (draw, every) in product(runners, asked.items()):
            found.results.append(Result(runner, draw, len(every) if runner.who == "ours" else their_questions))
        for number in range(1, repeats + 1):
            for result in found.results:
                first = (number - 1) * result.questions % (len(asked[result.draw]) - result.questions + 1)
                sample = workers[result.contender.name].ask(f"{result.draw} {first} {result.questions}")
                result.add(first, sample)
                say(f"sample {number} of {repeats}: {result.contender.name}, {result.draw} {sample['seconds']:.3f} s")
    return found


if __name__ == "__main__":
    app()
