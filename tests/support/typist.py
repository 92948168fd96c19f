"""A person at a real terminal: a pseudo-terminal, what is typed into it, and what appears on it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

PATIENCE_S = 300.0
REST_MS = 100


def _as_from_a_shell() -> None:
    """The terminal is this process's own, and Ctrl-C is not ignored, as it is in those that run tests side by side."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Typist:
    """A process that believes it talks to a person."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(24, 80)
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=dict(os.environ) | {"TERM": "xterm"} | dict(environment or {}),
            start_new_session=True,
            preexec_fn=_as_from_a_shell,  # noqa: PLW1509 - nothing but system calls
        )
        os.close(theirs)
        self._seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._ours)

    def type(self, keys: str | bytes) -> None:
        os.write(self._ours, keys.encode() if isinstance(keys, str) else keys)

    def interrupt(self) -> None:
        """Ctrl-C as a person types it, to a process that waits: one that comes in the moment between a letter's echo
        and the wait for the next is held back by Python until the next key, however long that takes."""
        asleep = 0
        while asleep < REST_MS:
            asleep = asleep + 1 if self._is_asleep() else 0
            time.sleep(0.001)
        self.type("\x03")

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, text: str) -> str:
        """Wait for a text to appear; -> all that appeared up to its end and was not returned before."""
        aim, end = text.encode(), time.monotonic() + PATIENCE_S
        while aim not in self._seen:
            if not self._read(end):
                raise AssertionError(f"{text!r} never appeared; seen: {self._seen.decode(errors='replace')}")
        shown, _, self._seen = self._seen.partition(aim)
        return (shown + aim).decode().replace("\r\n", "\n")

    def leaves(self) -> tuple[int, str]:
        """Wait for the process to end; -> its exit code and the last that appeared."""
        end = time.monotonic() + PATIENCE_S
        while self._read(end):
            pass
        return self.process.wait(timeout=PATIENCE_S), self._seen.decode().replace("\r\n", "\n")

    def _is_asleep(self) -> bool:
        """Whether the main thread waits for something, rather than runs or is next to run."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"

    def _read(self, end: float) -> bool:
        """Take what appears next; False where nothing more will."""
        ready, _, _ = select.select([self._ours], [], [], max(0.0, end - time.monotonic()))
        try:
            more = os.read(self._ours, 1 << 16) if ready else b""
        except OSError:  # Linux says so where the other side is gone
            more = b""
        self._seen += more
        return bool(more)
