"""`python -m bench.generation`: how fast texts are continued, beside three other programs, on the same weights.

The tables go to stdout, progress to stderr. This process loads no torch: Linux would count it in the others' peaks.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.generation_cases import CONTENDERS, Contender, Work, absent, works
from bench.generation_report import Found, Result
from bench.measure import ROOT, Say, Worker
from bench.record import Log, facts, write_record
from gptrilogy.models.config import GPTConfig

WORKER = [sys.executable, "-m", "bench.generation_worker"]

app = App(name="bench.generation", help_format="plaintext", version_flags=[])


@app.default
def generation(
    *,
    data: Path,
    repeats: Annotated[int, Parameter(validator=Number(gte=1))] = 5,
    only: str = "",
    trained: Path | None = None,
    text: Path | None = None,
    record: Path | None = None,
) -> None:
    """Continue texts with GPT-2 small's shape: ours, transformers, llama.cpp and CTranslate2 in turn.

    Args:
        data: the folder with vocab/gpt2.
        repeats: samples of each contender; fewer than five are for trying out.
        only: contenders whose names hold this word, all by default.
        trained: a trained model, whose loss in every precision is measured too.
        text: what it is measured on.
        record: write README.md, results.json and log.txt into this folder.
    """
    log = Log()
    log.say_load()
    runners = [contender for contender in CONTENDERS if only in contender.name]
    found = measure(GPTConfig.preset("gpt2-small"), data.absolute() / "vocab" / "gpt2", runners, repeats, log.say)
    if trained and text:
        found.quality = quality(trained, text)
        log.say(f"nats a token: {found.quality['nats_per_token']}")
    findings = found.findings()
    print(findings.page())
    if record:
        known = facts(
            f"python -m bench.generation --data DIR --repeats {repeats} --trained RUN --text FILE --record DIR", repeats
        )
        write_record(record, "Generation speed", findings.page(), known, findings.results(), log.lines)


def quality(trained: Path, text: Path) -> dict[str, Any]:
    """Raises: CalledProcessError where the model or the text cannot be used."""
    command = [sys.executable, "-m", "bench.generation_quality", str(trained.absolute()), str(text.absolute())]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


class GenerationWorker(Worker):
    """A contender's process, spoken to as those of pretraining are."""

    def __init__(self, contender: Contender, folder: Path) -> None:
        self.contender = contender.name
        command = [*WORKER, str(folder), contender.model_dump_json()]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


def measure(
    config: GPTConfig,
    tokenizer: Path,
    runners: Sequence[Contender],
    repeats: int,
    say: Say,
    wanted: Callable[[Contender, Work], bool] | None = None,
) -> Found:
    """Samples of all contenders in turn, of the works wanted or all, after one each of warm-up.

    Raises: RuntimeError where a process ends early; CalledProcessError where the models cannot be made.
    """
    found = Found(config, repeats)
    for runner in runners:
        if reason := absent(runner):
            found.absent[runner.name] = reason
    for left, reason in found.absent.items():
        say(f"{left} is left out: {reason}")
    runners = [runner for runner in runners if runner.name not in found.absent]
    with TemporaryDirectory() as name, ExitStack() as stack:
        files = sorted(runner.name for runner in runners)
        subprocess.run([*WORKER, name, config.model_dump_json(), str(tokenizer), *files], cwd=ROOT, check=True)
        workers = {runner.name: stack.enter_context(GenerationWorker(runner, Path(name))) for runner in runners}
        for worker in workers.values():
            worker.answer()
        found.results = [
            Result(runner, work)
            for runner in runners
            for work in works(runner)
            if wanted is None or wanted(runner, work)
        ]
        for number in range(repeats + 1):
            for result in found.results:
                sample = workers[result.contender.name].ask(result.work.model_dump_json())
                if number:  # round 0 warms up
                    result.add(sample)
                what = f"{result.contender.name}, {result.work.name}"
                say(f"sample {number} of {repeats}: {what} {sample['seconds']:.3f} s")
    return found


if __name__ == "__main__":
    app()
