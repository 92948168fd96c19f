"""One contender in a process of its own: `python -m bench.finetuning_worker NAME CASE`, driven by lines on stdin.

It answers `sample N` with one JSON object once it has trained on N batches of the case, and sleeps until the next line.
Who trains is held at the end of a step, so that a loop of others, overhead and all, is timed as it runs.
"""

import json
import sys
import time
from contextlib import redirect_stdout
from typing import TextIO

from bench.finetuning_cases import TuneCase
from bench.finetuning_contenders import BUILDERS, Contender, Step
from bench.worker import peak_bytes


class Session:
    """The end of a step, as whoever trains calls it: goes on, or answers and waits for the next command.

    Raises: SystemExit from a call after the last command.
    """

    def __init__(self, batch_size: int, commands: TextIO, answers: TextIO) -> None:
        self._batch_size, self._commands, self._answers = batch_size, commands, answers
        self._steps: list[Step] = []
        self._wanted_examples, self._start = 0, 0.0

    def wait(self) -> None:
        line = self._commands.readline()
        if not line:
            raise SystemExit
        self._wanted_examples = int(line.split()[1]) * self._batch_size
        self._steps.clear()
        self._start = time.perf_counter()

    def __call__(self, step: Step) -> None:
        self._steps.append(step)
        if sum(step.examples for step in self._steps) < self._wanted_examples:
            return
        answer = {
            "seconds": time.perf_counter() - self._start,
            "losses_nats": [step.task_loss_nats for step in self._steps],
            "tokens": sum(step.tokens for step in self._steps),
            "padded_tokens": sum(step.padded_tokens for step in self._steps),
            "peak_bytes": peak_bytes(),
        }
        print(json.dumps(answer), file=self._answers, flush=True)
        self.wait()


def serve(contender: Contender, batch_size: int, commands: TextIO, answers: TextIO) -> None:
    """Say how large the model is, then train as commanded; the first sample includes what starting takes."""
    print(json.dumps({"parameters": sum(p.numel() for p in contender.model.parameters())}), file=answers, flush=True)
    session = Session(batch_size, commands, answers)
    session.wait()
    contender.train(session)


if __name__ == "__main__":
    stdout = sys.stdout
    with redirect_stdout(sys.stderr):  # what libraries print is no answer
        case = TuneCase.model_validate_json(sys.argv[2])
        serve(BUILDERS[sys.argv[1]](case), case.batch_size, sys.stdin, stdout)
