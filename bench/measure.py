"""Training steps of all contenders in turn, each in its own process, one at work at a time. Loads no torch itself."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.cases import CONTENDERS, Case
from gptrilogy.scaling.compute import training_flops_per_token

Say = Callable[[str], None]
ROOT = Path(__file__).parent.parent
FP32_TOLERANCE, BF16_TOLERANCE = 1e-4, 2e-2  # of the first loss, in nats a token


class Worker:
    """A contender's process. It is alive, and asleep, between two questions."""

    def __init__(self, contender: str, case: Case) -> None:
        self.contender = contender
        command = [sys.executable, "-m", "bench.worker", contender, case.model_dump_json()]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate()

    def answer(self) -> dict[str, Any]:
        """Raises: RuntimeError where the process has ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            hint = "; it was killed, perhaps for want of memory" if code == -9 else ""
            raise RuntimeError(f"the process of {self.contender} ended with code {code}{hint}")
        return json.loads(line)

    def ask(self, command: str) -> dict[str, Any]:
        with suppress(BrokenPipeError):  # `answer` knows why
            print(command, file=self._process.stdin, flush=True)
        return self.answer()


@dataclass(slots=True)
class Result:
    """What one contender did. `seconds` holds one number a sample; the peak is that of its whole process."""

    contender: str
    parameters: int
    first_loss_nats: float
    seconds: list[float] = field(default_factory=list[float])
    peak_bytes: int = 0


@dataclass(slots=True)
class Measurement:
    """A case's results by contender, and matrix products timed in the same rounds, in the contenders' precisions."""

    case: Case
    results: dict[str, Result] = field(default_factory=dict[str, Result])
    ceiling_flops: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def tokens_per_s(self, contender: str) -> float:
        """From the median sample."""
        return self.case.sample_steps * self.case.step_tokens / statistics.median(self.results[contender].seconds)

    def ceiling(self, precision: str) -> float:
        return statistics.median(self.ceiling_flops[precision])

    def share_of_ceiling(self, contender: str) -> float:
        flops = self.tokens_per_s(contender) * training_flops_per_token(self.case.model)
        return flops / self.ceiling(precision_of(contender))


def measure(case: Case, repeats: int, say: Say, contenders: Sequence[str] = CONTENDERS) -> Measurement:
    """One sample of each contender after the other, `repeats` times, after a step and a sample each of warm-up.

    Raises: RuntimeError where a process ends early or the contenders do not do the same work.
    """
    found = Measurement(case, ceiling_flops={precision: [] for precision in sorted({*map(precision_of, contenders)})})
    with ExitStack() as stack:
        workers: list[Worker] = []
        for name in contenders:
            worker = stack.enter_context(Worker(name, case))
            parameters = worker.answer()["parameters"]
            found.results[name] = Result(name, parameters, worker.ask("sample 1")["loss_nats"])
            workers.append(worker)
        _check_same_work(found, say)
        for number in range(repeats + 1):
            for worker in workers:
                sample = worker.ask(f"sample {case.sample_steps}")
                result = found.results[worker.contender]
                result.peak_bytes = sample["peak_bytes"]
                if number:  # round 0 warms up
                    result.seconds.append(sample["seconds"])
                    say(f"{case.name}, sample {number} of {repeats}: {worker.contender} {sample['seconds']:.4f} s")
            if number:
                for precision, flops in found.ceiling_flops.items():
                    flops.append(workers[0].ask(f"ceiling {precision}")["flops"])
    return found


def precision_of(contender: str) -> str:
    return "bf16" if "bf16" in contender else "fp32"


def _check_same_work(found: Measurement, say: Say) -> None:
    """Equal parameter counts, and equal losses of the first batch under the same weights."""
    expected = next(iter(found.results.values()))
    for result in found.results.values():
        name = result.contender
        say(f"{found.case.name}: {name} has {result.parameters:,} parameters, first loss {result.first_loss_nats:.6f}")
        if result.parameters != expected.parameters:
            raise RuntimeError(f"{name} has {result.parameters:,} parameters, expected {expected.parameters:,}")
    losses_nats = {name: result.first_loss_nats for name, result in found.results.items()}
    fp32 = {name: loss for name, loss in losses_nats.items() if precision_of(name) == "fp32"}
    for losses, tolerance in ((fp32, FP32_TOLERANCE), (losses_nats, BF16_TOLERANCE)):
        if losses and max(losses.values()) - min(losses.values()) > tolerance:
            raise RuntimeError(f"first losses must lie within {tolerance} of each other, got {losses}")
