"""One contender in a process of its own: `python -m bench.worker NAME CASE`, driven by lines on stdin.

It answers each line with one JSON object: `sample N` with the time of N steps, `ceiling bf16` with the FLOP/s of a
matrix product. Between lines it sleeps: PyTorch's threads give up spinning within milliseconds of their last work.
"""

import json
import resource
import sys
import time
from contextlib import redirect_stdout
from typing import TextIO

from bench.cases import Case
from bench.contenders import BUILDERS, CPU, Contender
from gptrilogy.devices import matmul_flops


def serve(contender: Contender, commands: TextIO, answers: TextIO) -> None:
    """Say how large the model is, then answer until the commands end."""
    _say(answers, parameters=sum(p.numel() for p in contender.model.parameters()))
    for line in commands:
        command, argument = line.split()
        if command == "ceiling":
            _say(answers, flops=matmul_flops("bf16" if argument == "bf16" else "fp32", CPU))
        else:
            start = time.perf_counter()
            losses_nats = [contender.step() for _ in range(int(argument))]
            seconds = time.perf_counter() - start
            _say(answers, seconds=seconds, loss_nats=losses_nats[0], peak_bytes=peak_bytes())


def peak_bytes() -> int:
    """The most memory this whole process has had resident.

    Linux counts here what the parent had when it started us: it must be small, so the parent loads no torch.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _say(answers: TextIO, **values: float) -> None:
    print(json.dumps(values), file=answers, flush=True)


if __name__ == "__main__":
    stdout = sys.stdout
    with redirect_stdout(sys.stderr):  # what libraries print is no answer
        contender = BUILDERS[sys.argv[1]](Case.model_validate_json(sys.argv[2]))
        serve(contender, sys.stdin, stdout)
