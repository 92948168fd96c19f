"""Records out of published files, one at a time; what is wrong with one is said with its file and number.

Needs no torch. Files may be gzip or bzip2 compressed, which their names tell.
"""

import bz2
import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO, cast

from gptrilogy.errors import DataError
from gptrilogy.evaluation.task import Record

UNREADABLE = (UnicodeDecodeError, EOFError, OSError, zlib.error)  # wrong encoding, or damaged compression


def open_text(path: Path) -> TextIO:
    """A text file, decompressed where its name says so, without the mark that some programs begin UTF-8 with."""
    match path.suffix:
        case ".gz":
            return gzip.open(path, "rt", encoding="utf-8-sig")
        case ".bz2":
            return bz2.open(path, "rt", encoding="utf-8-sig")
        case _:
            return path.open(encoding="utf-8-sig", newline="")


def text_lines(path: Path) -> Iterator[str]:
    """Lines without their ends.

    Raises: DataError where the file is not UTF-8 text, or its compression is damaged.
    """
    try:
        with open_text(path) as file:
            for line in file:
                yield line.rstrip("\r\n")
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read as text ({error}); get the file again") from None


def json_lines(path: Path) -> Iterator[Record]:
    """Objects, one a line; empty lines are passed over."""
    for number, line in enumerate(text_lines(path), start=1):
        if line.strip():
            yield _object(line, f"{path} line {number}")


def json_document(path: Path) -> Any:
    """A file that is one JSON value."""
    try:
        return json.loads("\n".join(text_lines(path)))
    except (ValueError, RecursionError) as error:  # not JSON, or a number of thousands of digits
        raise DataError(f"{path} is not JSON: {error}; get the file again") from None


def table_rows(path: Path, *, delimiter: str = "\t", header: Sequence[str] | None = None) -> Iterator[Record]:
    """Rows of a table as published: CSV with quotes for commas, without them for tabs; `header` where it has none."""
    quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    try:
        with open_text(path) as file:
            rows = csv.reader(file, delimiter=delimiter, quoting=quoting)
            names = list(header) if header else next(rows, list[str]())
            for number, row in enumerate(rows, start=2 - bool(header)):
                if len(row) != len(names):
                    raise DataError(
                        f"{path} row {number} has {len(row)} fields, its header {len(names)}; get the file again"
                    )
                yield dict(zip(names, row, strict=True))
    except (csv.Error, *UNREADABLE) as error:
        raise DataError(f"{path} cannot be read as a table ({error}); get the file again") from None


def position(answer: object, names: Sequence[object]) -> int:
    """Where an answer stands among the names of the choices.

    Raises: DataError where it is none of them.

    >>> position("B", "ABC")
    1
    """
    for place, name in enumerate(names):
        if name == answer:
            return place
    shown = ", ".join(str(name) for name in names)
    raise DataError(f"the answer {answer!r} is not among the choices {shown}; mend or leave out the record")


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON: {error}; get the file again") from None
    if not isinstance(value, dict):
        raise DataError(f"{where} is not a JSON object; get the file again")
    return cast("Mapping[str, Any]", value)
