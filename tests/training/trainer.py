"""Trains each run folder it reads from stdin in a forked process; says the process id, and later the exit code.

Importing torch takes seconds and forking milliseconds, so a test can afford to kill many trainers.
"""

import io
import json
import os
import signal
import sys
import traceback
from pathlib import Path

import torch

from gptrilogy.config import parse
from gptrilogy.data.shards import open_shards
from gptrilogy.runs import Run
from gptrilogy.training.config import RunConfig
from gptrilogy.training.pretrain import pretrain
from gptrilogy.training.progress import ConsoleReporter
from gptrilogy.training.signals import StopRequest

PATIENCE_S = 60


def train(folder: Path) -> int:
    """-> the exit code a shell would see."""
    try:
        run = Run.open(folder)
        data = open_shards(run.data_folder, fingerprint=None)
        with StopRequest() as stop, run.locked():
            pretrain(parse(RunConfig, run.config()), run, data, ConsoleReporter(stream=io.StringIO()), stop)
    except BaseException:  # noqa: BLE001 - this is the last frame of the process
        traceback.print_exc()
        return 1
    return stop.exit_code


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main() -> None:
    torch.set_num_threads(1)  # more would not survive a fork
    torch.optim.SGD([torch.zeros(1)])  # the first optimizer imports much more of torch
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            signal.alarm(PATIENCE_S)
            os._exit(train(Path(json.loads(line))))
        say(process)
        _, status = os.waitpid(process, 0)
        say(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
