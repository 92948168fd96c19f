"""The command `gpt` as faults meet it: in a process of its own from the start, or forked from one that is warm."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

ROOT = Path(__file__).parent.parent
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left: its exit code (negative: the signal that killed it), both streams, how much it grew."""

    code: int
    out: str
    err: str
    grown_bytes: int = 0

    @property
    def last_line(self) -> str:
        return self.err.rstrip("\n").rpartition("\n")[2]

    def failed_in_one_line(self) -> bool:
        """Whether it failed as a command should: its last line says why, with no trace of Python, no bug admitted."""
        plain = "Traceback" not in self.err and "this is a bug" not in self.err
        return self.code == 1 and self.last_line.startswith("gpt: ") and plain


class Running:
    """A process at work, known by a descriptor, so that a signal can never reach another with its number."""

    def __init__(self, number: int, collect: Callable[[], Ended]) -> None:
        self.id = number
        self._collect = collect
        self._ended: Ended | None = None
        self._descriptor: int | None = None
        with suppress(ProcessLookupError):  # it has ended already
            self._descriptor = os.pidfd_open(number)

    def is_alive(self) -> bool:
        return self._descriptor is not None and not select.select([self._descriptor], [], [], 0)[0]

    def send(self, number: signal.Signals) -> None:
        """Send a signal, to nobody if it has ended."""
        if self._descriptor is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    def wait(self) -> Ended:
        if self._ended is None:
            self._ended = self._collect()
            if self._descriptor is not None:
                os.close(self._descriptor)
        return self._ended


class Starter(Protocol):
    """Begins `gpt WORDS`."""

    def __call__(self, *words: object) -> Running: ...


class Warm:
    """A process that has imported everything, and forks a child for one command at a time."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="torture-")
        self.place = Path(self._folder.name)
        os.mkfifo(self.place / "go")
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", "torture.warm"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, env=environment())
        self._heard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()
        self._folder.cleanup()

    def run(self, *words: object, hook: Sequence[Any] | None = None) -> Ended:
        """Run `gpt WORDS` to its end. `hook` is a function of `torture.hooks` and its arguments, called before."""
        return self.start(*words, hook=hook).wait()

    def start(self, *words: object, hook: Sequence[Any] | None = None, held: bool = False) -> Running:
        """Begin `gpt WORDS`; one that is `held` begins at `release`."""
        for name in ("out", "err", "grown"):
            (self.place / name).unlink(missing_ok=True)
        asked = {"words": [str(word) for word in words], "folder": str(self.place), "hook": hook, "held": held}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return Running(self._heard(), self._collect)

    def release(self) -> None:
        (self.place / "go").write_bytes(b"!")

    def _collect(self) -> Ended:
        code = self._heard()
        left = {name: self.place / name for name in ("out", "err", "grown")}
        text = {name: path.read_text("utf-8", "replace") if path.exists() else "" for name, path in left.items()}
        return Ended(code, text["out"], text["err"], int(text["grown"] or 0))

    def _heard(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the warm process ended with code {self._process.wait()}")
        return int(line)


def start(
    *words: object,
    env: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
    stdout: IO[bytes] | None = None,
    stderr: IO[bytes] | None = None,
) -> Running:
    """Begin `gpt WORDS` from the start of Python on. `before` are words of a command that runs it, as `unshare -m`."""
    return _begin([*before, sys.executable, "-m", "gptrilogy", *map(str, words)], env, stdout, stderr)


def script(code: str, *words: object) -> Running:
    """Begin a program of Python."""
    return _begin([sys.executable, "-c", code, *map(str, words)])


def _begin(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    stdout: IO[bytes] | None = None,
    stderr: IO[bytes] | None = None,
) -> Running:
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed when they are read
    process = subprocess.Popen(
        command,
        env=environment() if env is None else env,
        stdin=subprocess.DEVNULL,
        stdout=stdout or out,
        stderr=stderr or err,
    )

    def collect() -> Ended:
        code = process.wait(PATIENCE_S)
        said: list[str] = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode("utf-8", "replace"))
            file.close()
        return Ended(code, said[0], said[1])

    return Running(process.pid, collect)


def run(
    *words: object,
    env: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
    stdout: IO[bytes] | None = None,
    stderr: IO[bytes] | None = None,
) -> Ended:
    """`start`, to the end."""
    return start(*words, env=env, before=before, stdout=stdout, stderr=stderr).wait()


def environment() -> dict[str, str]:
    """As this process has it, with one thread: bits are promised for equal thread counts."""
    places = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(places)}
