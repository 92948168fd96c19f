"""Records that bring their worker down, or never end, are found out and left out; the rest of their part is built.

A task writes which record it is at into a small file before each one. A part whose last attempt did not end has that
file still: its record is a suspect, and is first tried in a process of its own. Where that process dies as well or
exceeds its time, the record is dropped; where it does not, the worker had died of something else.
"""

import faulthandler
import json
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

RECORD_SECONDS = 60
_REARM_SECONDS = 5


class Watch:
    """The records of one part: where the task is, and which of them brought an earlier attempt down."""

    def __init__(self, at: Path, suspects: frozenset[int]) -> None:
        self.suspects = suspects
        self._descriptor = os.open(at, os.O_RDWR | os.O_CREAT, 0o644)
        self._armed_at = 0.0
        self._nowhere: IO[str] = Path(os.devnull).open("w")  # noqa: SIM115 - closed with the watch

    def begin(self, record: int) -> None:
        """Say that a record is next. If nothing is said for a minute after that, the process ends."""
        os.pwrite(self._descriptor, record.to_bytes(8, "little"), 0)
        now = time.monotonic()
        if now - self._armed_at > _REARM_SECONDS:
            # Python's own alarms wait for the interpreter, which a library that hangs does not give back.
            faulthandler.dump_traceback_later(RECORD_SECONDS, exit=True, file=self._nowhere)
            self._armed_at = now

    def pause(self) -> None:
        """Let time pass until the next record begins."""
        faulthandler.cancel_dump_traceback_later()
        self._armed_at = 0.0

    def close(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        os.close(self._descriptor)
        self._nowhere.close()


@contextmanager
def watching(folder: Path, part: int) -> Generator[Watch]:
    """A watch over one part, which knows what earlier attempts died of."""
    folder.mkdir(parents=True, exist_ok=True)
    at, suspected = folder / f".at-{part:05d}", folder / f".suspects-{part:05d}.json"
    suspects = _read_suspects(suspected)
    with suppress(OSError):
        content = at.read_bytes()
        if len(content) == 8:
            suspects |= {int.from_bytes(content, "little")}
            suspected.write_text(json.dumps(sorted(suspects)), encoding="utf-8")
    watch = Watch(at, suspects)
    try:
        yield watch
    finally:
        watch.close()
        at.unlink(missing_ok=True)


def _read_suspects(path: Path) -> frozenset[int]:
    try:
        return frozenset(int(number) for number in json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return frozenset()
