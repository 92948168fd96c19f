"""A process that has imported torch and forks a child for each command of `gpt`: milliseconds instead of seconds.

Reads one JSON request a line, {words, folder, hook, held}; says the child's process id, later its exit code. A child
that is held waits for a byte in FOLDER/go, a pipe, so that a tracer can attach first. Beside `out` and `err` it
leaves `grown`, the bytes its memory grew by at most.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from gptrilogy.cli import launch, launch_finetune, main
from torture import hooks

PATIENCE_S = 120


def child(words: list[str], folder: Path, hook: list[Any] | None, *, held: bool) -> int:
    """-> the exit code a shell would see of `gpt WORDS`."""
    signal.alarm(PATIENCE_S)
    for descriptor, place in ((0, os.devnull), (1, folder / "out"), (2, folder / "err")):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(place, flags, 0o644), descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hook:
        getattr(hooks, hook[0])(*hook[1:])
    if held:
        os.read(os.open(folder / "go", os.O_RDWR), 1)
    began = resident_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the parent's peak
    try:
        main(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - this is the last frame of the process
        traceback.print_exc()
        code = 1
    if not held:
        (folder / "grown").write_text(str(resident_bytes("VmHWM") - began), encoding="ascii")
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code


def resident_bytes(which: str) -> int:
    """VmRSS is memory now, VmHWM its peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))


def say(number: int) -> None:
    os.write(1, f"{number}\n".encode())


def spare_time() -> None:
    """Leave out a figure of the progress line and the picture, which take most of a tiny run and touch no weight."""

    def ceiling(_: object) -> float:
        return 1e11

    def drawn(*_: object, **__: object) -> bool:
        return True

    launch.measured_ceiling = ceiling
    launch.draw_loss = drawn
    launch_finetune.draw_tuning = drawn


def serve() -> None:
    torch.set_num_threads(1)  # more would not survive a fork
    torch.optim.SGD([torch.zeros(1)])  # the first optimizer imports much more of torch
    spare_time()
    say(os.getpid())
    for line in sys.stdin:
        asked = json.loads(line)
        process = os.fork()
        if process == 0:
            os._exit(child(asked["words"], Path(asked["folder"]), asked["hook"], held=asked["held"]))
        say(process)
        _, status = os.waitpid(process, 0)
        say(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    serve()
