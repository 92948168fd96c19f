"""`python -m bench.candidates`: what might make a training step faster, each alone beside the step as it ships.

The tables go to stdout, progress to stderr. This process loads no torch: Linux would count it in the others' peaks.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.candidates_cases import CANDIDATES, COMPILED, SHIPPED, SHORT_CASES, Candidate
from bench.candidates_report import Pair, page
from bench.cases import Case
from bench.measure import BF16_TOLERANCE, ROOT, Say, Worker
from bench.record import Log, facts, write_record
from gptrilogy.devices import bf16_unit

Size = Literal["0.8M", "10.7M", "124M"]

app = App(name="bench.candidates", help_format="plaintext", version_flags=[])


@app.default
def candidates(
    *,
    only: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    size: Annotated[tuple[Size, ...], Parameter(negative="")] = (),
    repeats: Annotated[int, Parameter(validator=Number(gte=1))] = 9,
    record: Path | None = None,
) -> None:
    """Time steps of ours as it ships and with one thing changed, in turn.

    Args:
        only: measure these candidates alone, by the names in the table; may be given more than once.
        size: measure these models alone; may be given more than once.
        repeats: samples of each; fewer than five are for trying out.
        record: write README.md, results.json and log.txt into this folder; pairs that it holds and this call does not
            measure stay.
    """
    log = Log()
    log.say_load()
    chosen = [one for one in CANDIDATES if (not only or one.name in only) and (bf16_unit() or not one.in_bf16)]
    pairs = [
        pair
        for case in SHORT_CASES
        if not size or case.name in size
        for pair in measure(case, chosen, repeats, log.say)
    ]
    print(page(pairs))
    if record:
        save(record, with_earlier(record, pairs), log)


def save(record: Path, pairs: Sequence[Pair], log: Log) -> None:
    known = facts("python -m bench.candidates --record DIR, one --size at a time", min(pair.n for pair in pairs))
    lines = [*log.lines[:1], *(pair.said() for pair in pairs)]
    numbers = {"pairs": [asdict(pair) for pair in pairs]}
    write_record(record, "What might make a training step faster", page(pairs), known, numbers, lines)


class CandidateWorker(Worker):
    """A candidate's process, spoken to as those of the bench are."""

    def __init__(self, candidate: str, case: Case, environment: Mapping[str, str]) -> None:
        self.contender = candidate
        command = [sys.executable, "-m", "bench.candidates_worker", candidate, case.model_dump_json()]
        pipe = subprocess.PIPE
        environment = {**os.environ, **environment}
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, env=environment)


def measure(case: Case, chosen: Sequence[Candidate], repeats: int, say: Say) -> list[Pair]:
    """Each candidate that is tried at this size, beside one process of ours as it ships.

    Raises: RuntimeError where a process ends early or a candidate does other work.
    """
    chosen = [one for one in chosen if case.name in one.sizes]
    pairs: list[Pair] = []
    with CandidateWorker(SHIPPED, case, {}) as shipped:
        shipped.answer()
        loss_nats = shipped.ask("sample 1")["loss_nats"]
        for candidate in chosen:
            pair = Pair(candidate.name, case.name, candidate.batches, loss_nats, steps=case.sample_steps)
            with TemporaryDirectory() as cache:
                if candidate.name == COMPILED:
                    with _started(pair, candidate.case(case), cache):
                        pass  # the next one finds what it kept
                with _started(pair, candidate.case(case), cache) as worker:
                    _require_same_work(pair)
                    take_turns(pair, shipped, worker, f"sample {case.sample_steps}", repeats)
            say(pair.said())
            pairs.append(pair)
    return pairs


def _started(pair: Pair, case: Case, cache: str) -> CandidateWorker:
    """A process that has made its first step."""
    begun = time.perf_counter()
    worker = CandidateWorker(pair.candidate, case, {"TORCHINDUCTOR_CACHE_DIR": cache})
    worker.answer()
    pair.first_nats = worker.ask("sample 1")["loss_nats"]
    pair.start_s.append(time.perf_counter() - begun)
    return worker


def take_turns(pair: Pair, shipped: Worker, worker: Worker, command: str, repeats: int) -> None:
    """A sample of each after the other, `repeats` times after one that warms up."""
    for number in range(repeats + 1):
        before, after = shipped.ask(command), worker.ask(command)
        if number:
            pair.shipped_s.append(before["seconds"])
            pair.seconds.append(after["seconds"])
            pair.shipped_peak_bytes, pair.peak_bytes = before["peak_bytes"], after["peak_bytes"]


def _require_same_work(pair: Pair) -> None:
    if pair.batches == 1 and abs(pair.first_nats - pair.shipped_nats) > BF16_TOLERANCE:
        raise RuntimeError(
            f"first losses must lie within {BF16_TOLERANCE} of each other, got {pair.first_nats} of {pair.candidate} "
            f"and {pair.shipped_nats}"
        )


def with_earlier(record: Path, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs, and those of the record that are not among them, in the order of the tables."""
    path = record / "results.json"
    earlier = [Pair(**pair) for pair in json.loads(path.read_bytes())["pairs"]] if path.exists() else []
    merged = {(pair.size, pair.candidate): pair for pair in (*earlier, *pairs)}
    order = [(case.name, candidate.name) for case in SHORT_CASES for candidate in CANDIDATES]
    return [merged[place] for place in order if place in merged]


if __name__ == "__main__":
    app()
