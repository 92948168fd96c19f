"""Results on stdout: a table for people, or one JSON document."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence


def print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False))  # noqa: T201


def print_text(text: str, *, end: str = "\n") -> None:
    print(text, end=end, flush=True)  # noqa: T201


def print_note(message: str) -> None:
    """To stderr: progress and warnings, so that results stay clean."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


def print_table(title: str, rows: Iterable[Sequence[str]]) -> None:
    """Two or more columns under a title; the first aligned left, the others right."""
    print_text("")
    for line in table_lines(title, rows):
        print_text(line)


def table_lines(title: str, rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of such a table."""
    table = [list(row) for row in rows]
    widths = [max(len(row[column]) for row in table if column < len(row)) for column in range(max(map(len, table)))]
    yield title
    for row in table:
        cells = [cell.ljust(widths[0]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(row)]
        yield "  " + "  ".join(cells).rstrip()


def count(number: float) -> str:
    """A large number as people say it.

    >>> [count(n) for n in (950, 12_345, 1_078_272, 124_439_808, 1.7e11)]
    ['950', '12.3K', '1.08M', '124M', '170B']
    """
    for limit, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "K")):
        if number >= limit:
            scale = 1e3 if unit == "K" else limit
            return f"{number / scale:.3g}{unit}"
    return f"{number:,.0f}"


def size(size_bytes: float) -> str:
    """Bytes in decimal units.

    >>> [size(n) for n in (12_200_000, 3_160_000_000)]
    ['12.2 MB', '3.16 GB']
    """
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size_bytes >= limit:
            return f"{size_bytes / limit:.3g} {unit}"
    return f"{size_bytes:.0f} bytes"
