"""Faults at one system call of a command, by strace."""

import random
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torture.commands import PATIENCE_S, Ended, Warm

WRITING = ("write", "pwrite64", "writev", "sendfile", "copy_file_range", "ftruncate")
MAKING = ("mkdir", "link", "rename", "renameat2", "fsync", "fdatasync")
REMOVING = ("unlink", "unlinkat", "rmdir")
OPENING = ("openat",)


@dataclass(frozen=True, slots=True)
class Call:
    """A system call: the when-th of its name, as strace wrote it down, and when that was."""

    name: str
    when: int
    text: str
    at_s: float

    @property
    def opens_to_write(self) -> bool:
        return self.name in OPENING and any(flag in self.text for flag in ("O_WRONLY", "O_RDWR"))

    @property
    def changes_the_disk(self) -> bool:
        return self.name in (*WRITING, *MAKING, *REMOVING) or self.opens_to_write

    @property
    def was_hit(self) -> bool:
        return "(INJECTED)" in self.text

    def __str__(self) -> str:
        return f"{self.name} {self.when} ({self.text[:200]})"


def can_trace() -> str:
    """Why strace cannot be used here; nothing where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return f"strace may not trace here: {tried.stderr.decode()[:80]}" if tried.returncode else ""


def traced(warm: Warm, words: Sequence[object], folder: Path, inject: str | None = None) -> tuple[Ended, list[Call]]:
    """Run a command under strace, with a fault such as `fsync:error=EIO:when=3` in it; the calls that touched `folder`.

    Calls are counted for each name, as strace's own `when` counts them, from the first that the command itself makes.
    """
    process = warm.start(*words, held=True)
    log = warm.place / "trace"
    names = ",".join((*WRITING, *MAKING, *REMOVING, *OPENING))
    faults = ["-e", f"inject={inject}"] if inject else []
    command = ["strace", "-p", str(process.id), "-y", "-ttt", "-qq", "-s", "16", "-e", f"trace={names}", *faults]
    with subprocess.Popen([*command, "-o", log], stderr=subprocess.DEVNULL) as tracer:
        _wait_for_tracer(process.id)
        warm.release()
        ended = process.wait()
        tracer.wait(PATIENCE_S)
    return ended, _calls(log.read_text(encoding="utf-8", errors="replace"), str(folder))


def some(calls: Sequence[Call], share: float) -> list[Call]:
    """A share of them at random, in order."""
    chosen = random.Random(0).sample(range(len(calls)), max(1, round(share * len(calls))))
    return [calls[place] for place in sorted(chosen)]


def _wait_for_tracer(process: int) -> None:
    status, until = Path(f"/proc/{process}/status"), time.monotonic() + PATIENCE_S
    while "TracerPid:\t0\n" in status.read_text(encoding="ascii"):
        if time.monotonic() > until:
            raise RuntimeError("strace did not attach")
        time.sleep(0.002)


def _calls(log: str, folder: str) -> list[Call]:
    counts: dict[str, int] = {}
    found: list[Call] = []
    for line in log.splitlines():
        at_s, _, text = line.partition(" ")
        name, parenthesis, _ = text.partition("(")
        if parenthesis and name.isidentifier():
            counts[name] = counts.get(name, 0) + 1
            if folder in text:
                found.append(Call(name, counts[name], text, float(at_s)))
        elif text.startswith("+++"):
            found.append(Call("exit", 0, text, float(at_s)))
    return found
