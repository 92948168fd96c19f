"""`metrics.jsonl` as it grows: the new rows, and which of the old ones a resumed run has taken back."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from gptrilogy.metrics import Row


@dataclass(frozen=True, slots=True)
class News:
    """What has changed since the last look.

    Where `cut_step` is a step, rows from there on were taken back, `kept` are all before it, and `rows` has what came
    in their place.
    """

    rows: list[Row] = field(default_factory=list[Row])
    cut_step: int | None = None
    kept: list[Row] = field(default_factory=list[Row])


class MetricsTail:
    """Reads on where it stopped. A resumed run replaces the file by a shorter one, a run made anew by an empty one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None  # kept open, so that no other file can get its number
        self._unfinished = b""  # a line that is still being written
        self._seen: list[tuple[int, int]] = []  # of every row: the hash of its line, its step

    def read(self) -> News:
        """Rows written since the last call; none where there is no file."""
        if self._file is None or self._is_replaced(self._file):
            return self._read_anew()
        rows = self._read_on(self._file)
        self._seen += [place for place, _ in rows]
        return News([row for _, row in rows])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _is_replaced(self, file: BinaryIO) -> bool:
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return False
        return not os.path.samestat(now, os.fstat(file.fileno())) or now.st_size < file.tell()

    def _read_anew(self) -> News:
        """Read a file from its start; rows that were there before are not news."""
        self.close()
        try:
            self._file = self.path.open("rb")
        except FileNotFoundError:
            return News()
        self._unfinished, before = b"", self._seen
        rows = self._read_on(self._file)
        self._seen = [place for place, _ in rows]
        same = next((i for i, (old, new) in enumerate(zip(before, self._seen, strict=False)) if old != new), None)
        same = min(len(before), len(rows)) if same is None else same
        if same == len(before):
            return News([row for _, row in rows[same:]])
        cut_step = before[same][1]
        kept = [row for (_, step), row in rows[:same] if step < cut_step]
        return News([row for _, row in rows[len(kept) :]], cut_step, kept)

    def _read_on(self, file: BinaryIO) -> list[tuple[tuple[int, int], Row]]:
        """The whole lines from here to the end that are rows, with their places."""
        *lines, self._unfinished = (self._unfinished + file.read()).split(b"\n")
        found: list[tuple[tuple[int, int], Row]] = []
        for line in lines:
            try:
                row: Row = json.loads(line)
                found.append(((hash(line), int(row["step"])), row | {"event": str(row["event"])}))
            except (ValueError, LookupError, TypeError):  # torn by a killed process, as `read_metrics` has it
                continue
        return found
