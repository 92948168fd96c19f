"""What a card consists of, before it is HTML or Markdown, and how its numbers are written."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from gptrilogy.corpus.card.forms import Sample


class Share(NamedTuple):
    """A part of a whole, shown in per cent and in HTML as a bar."""

    part: float
    whole: float


Cell: TypeAlias = str | int | float | Share | None


class Tile(NamedTuple):
    """One large number."""

    value: str
    name: str


class Tiles(NamedTuple):
    """The numbers that come first."""

    tiles: Sequence[Tile]


class Text(NamedTuple):
    """A paragraph of our own words; `good` and `bad` are the outcomes of a check."""

    text: str
    tone: Literal["plain", "good", "bad"] = "plain"


class Code(NamedTuple):
    """A command or a file, as it is."""

    text: str


class Table(NamedTuple):
    """A title, the names of the columns, and rows; figures are set to the right, but for the first column."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def is_number(self, column: int) -> bool:
        return column > 0 and all(not isinstance(row[column], str) for row in self.rows)


class Palette(NamedTuple):
    """Colours of a picture on a bright or a dark page."""

    ink: str
    quiet: str
    kept: str
    dropped: str
    series: Sequence[str]


class Picture(NamedTuple):
    """A drawing on matplotlib axes and the words for those who do not see it."""

    name: str  # of its file, without suffix
    title: str
    alt: str
    height: float  # inches; the width is that of a telephone
    draw: Callable[[Any, Palette], None]


class Samples(NamedTuple):
    """Documents as they are, to be read."""

    samples: Sequence[Sample]


Block: TypeAlias = Tiles | Text | Code | Table | Picture | Samples


class Section(NamedTuple):
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


def shown(cell: Cell) -> str:
    """A cell in words and figures.

    >>> [shown(cell) for cell in ("a", 1234567, 1.23456, Share(1, 8), Share(1, 100_000), Share(0, 0), None)]
    ['a', '1,234,567', '1.23', '12.5%', '< 0.1%', '–', '–']
    """
    match cell:
        case None:
            return "–"
        case Share(part, whole):
            return _percent(part, whole)
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:,.3g}"
        case str():
            return cell


def rounded(number: int, unit: str = "") -> str:
    """A number as it is, or a large one in three figures.

    >>> rounded(12_345), rounded(45_600_000), rounded(570_000_000_000, "B"), rounded(999_999), rounded(999, "B")
    ('12,345', '45.6 M', '570 GB', '1 M', '999 B')
    """
    if number < 100_000 and not unit:
        return f"{number:,}"
    value, prefixes = float(number), ["", "k", "M", "G", "T", "P", "E"]
    while float(f"{value:.3g}") >= 1000 and len(prefixes) > 1:
        value /= 1000
        del prefixes[0]
    return f"{float(f'{value:.3g}'):g} {prefixes[0]}{unit}".strip()


def _percent(part: float, whole: float) -> str:
    if not whole:
        return "–"
    percent = 100 * part / whole
    return "< 0.1%" if 0 < percent < 0.1 else f"{percent:.1f}%"
