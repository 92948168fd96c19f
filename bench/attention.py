"""`python -m bench.attention`: what each pattern of attention costs in time and memory, as the context grows.

The tables go to stdout, progress to stderr.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.attention_cases import BAND, DENSE, KERNELS, LENGTHS, PRECISIONS, SHORTEST, Precision, why_not
from bench.attention_report import Found, Result, kind
from bench.lengths import Lengths
from bench.measure import ROOT, Say
from bench.pictures import draw
from bench.record import Log, available_bytes, facts, write_record

WORKER = [sys.executable, "-m", "bench.attention_worker"]
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "131072"}  # bytes; glibc's own threshold moves, and peaks with it


def _longer_than_a_band(_kind: Any, lengths: Sequence[int]) -> None:
    if short := [n for n in lengths if n < SHORTEST]:
        raise ValueError(f"lengths must be at least {SHORTEST}, twice a band of {BAND} keys, got {short[0]}")


app = App(name="bench.attention", help_format="plaintext", version_flags=[])


@app.default
def attention(
    *,
    lengths: Annotated[Lengths, Parameter(validator=_longer_than_a_band)] = LENGTHS,
    repeats: Annotated[int, Parameter(validator=Number(gte=1))] = 5,
    record: Path | None = None,
) -> None:
    """Measure forward and backward of dense, banded, strided and fixed attention, and of a masked dense one.

    Args:
        lengths: tokens, with commas between; each more than a band is wide.
        repeats: samples of each kernel; fewer than five are for trying out.
        record: write README.md, results.json, log.txt and attention.png into this folder.
    """
    log = Log()
    log.say_load()
    found = measure(lengths, repeats, log.say)
    print(found.page())
    if record:
        command = f"python -m bench.attention --lengths {','.join(map(str, lengths))} --repeats {repeats} --record DIR"
        title = "Attention: time and memory against context"
        write_record(
            record,
            title,
            f"![{title}](attention.png)\n\n{found.page()}",
            facts(command, repeats),
            found.numbers(),
            log.lines,
        )
        if not draw(found.panels(), record / "attention.png", "tokens of context"):
            log.say("no picture: matplotlib is not installed; pip install 'gptrilogy[plot]'")


def measure(
    lengths: Sequence[int],
    repeats: int,
    say: Say,
    kernels: Sequence[str] = KERNELS,
    precisions: Sequence[Precision] = PRECISIONS,
) -> Found:
    """Time and memory of each kernel at each length and precision, shortest first.

    Raises: RuntimeError where a process ends early.
    """
    found = Found(repeats)
    for n in lengths:
        for precision in precisions:
            fitting: list[str] = []
            for kernel in kernels:
                if reason := why_not(kernel, precision, n, available_bytes()):
                    found.left_out.append(f"{kernel}, {precision}, n = {n:,}: {reason}")
                    say(f"left out: {found.left_out[-1]}")
                else:
                    fitting.append(kernel)
            if fitting:
                found.results += _timed(fitting, precision, n, repeats, say)
    for result in found.results:
        [answer] = _answers("memory", result.precision, result.n, result.kernel, **GIVE_BACK)
        result.before_bytes, result.peak_bytes = answer["before_bytes"], answer["peak_bytes"]
        say(f"{_where(result)}: {result.mb:,.1f} MB")
    return found


def _timed(kernels: Sequence[str], precision: Precision, n: int, repeats: int, say: Say) -> list[Result]:
    """Samples of all kernels in turn, from one process."""
    results = {kernel: Result(kernel, precision, n) for kernel in kernels}
    for answer in _answers("time", precision, n, repeats, *kernels):
        result = results[answer["kernel"]]
        result.ran_as = answer["ran_as"]
        what = "warm-up"
        if answer["round"]:  # round 0 warms up
            result.seconds.append(answer["seconds"])
            result.calls.append(answer["calls"])
            what = f"sample {answer['round']}"
        elif result.kernel == DENSE:
            what = f"warm-up by {kind(result)}"
        say(f"{_where(result)}, {what}: {answer['seconds'] * 1e3:,.1f} ms")
    return list(results.values())


def _answers(*arguments: object, **environment: str) -> Iterator[dict[str, Any]]:
    """What a fresh process says, line by line. This one loads no torch: Linux would count it in that one's peak.

    Raises: RuntimeError where the process fails.
    """
    command = [*WORKER, *map(str, arguments)]
    variables = os.environ | environment
    with subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from map(json.loads, process.stdout)
    if process.returncode:
        hint = "; it was killed, perhaps for want of memory" if process.returncode == -9 else ""
        raise RuntimeError(f"{' '.join(map(str, arguments))}: the process ended with code {process.returncode}{hint}")


def _where(result: Result) -> str:
    return f"n = {result.n:,}, {result.precision}, {result.kernel}"


if __name__ == "__main__":
    app()
