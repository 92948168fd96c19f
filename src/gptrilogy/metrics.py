"""`metrics.jsonl`: the numbers of a run as they come, a row at a time, and what of them is read back."""

import json
import math
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, cast

from gptrilogy.errors import RunError
from gptrilogy.files import flush, write_atomic

Row: TypeAlias = dict[str, Any]


class MetricsLog:
    """`metrics.jsonl`, appended a row at a time: the truth about a run, from which every picture is drawn.

    JSON has no infinity and no NaN: where a number is one, the row says null.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Row) -> Row:
        """Add a row and return it as it was written.

        Raises: RunError where the disk is full or gone.
        """
        finite = {key: None if isinstance(x, float) and not math.isfinite(x) else x for key, x in row.items()}
        with _explained(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite, allow_nan=False) + "\n")
        return finite

    def flush(self) -> None:
        """Force the rows out to the disk, so that they outlive what a checkpoint of the same step outlives.

        Raises: RunError where the disk is full or gone.
        """
        with _explained(self.path):
            if self.path.exists():
                flush(self.path)


def read_metrics(path: Path) -> list[Row]:
    """All rows of a run's log that are whole: what a killed process cut short, or a disk damaged, is left out."""
    return [row for row in read_rows(path) if "event" in row and isinstance(row.get("step"), int)]


def read_rows(path: Path) -> list[Row]:
    """The JSON objects of a file that has one a line; a line that holds none is left out."""
    if not path.exists():
        return []
    rows: list[Row] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row: object = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(cast("Row", row))
    return rows


def cut_metrics(path: Path, step: int) -> None:
    """Drop the rows after a checkpoint's step, which a resumed run will write again.

    Raises: RunError where the disk is full or gone.
    """
    with _explained(path):
        kept = [row for row in read_metrics(path) if row["step"] <= step]
        write_atomic(path, "".join(json.dumps(row) + "\n" for row in kept).encode())


@contextmanager
def _explained(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror}; mend that, and `gpt resume {path.parent}` goes on from the last "
            "checkpoint"
        ) from None
