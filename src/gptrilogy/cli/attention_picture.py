"""`attention.png`: a panel for each layer and head, with the keys that it may see and what it makes of them.

Every panel is laid out in whole pixels and drawn as it is: no plotting library scales it, so that a column one key wide
is never lost between two pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gptrilogy.extras import needs
from gptrilogy.files import replacing

Panel: TypeAlias = NDArray[np.float32]  # (T, T), or (n, n) once pooled
Pixels: TypeAlias = NDArray[np.uint8]  # (n, n, 3), red, green, blue

DPI = 150
GRID_PX = 2100  # what the panels fill together, where they are so large
PANEL_PX = (64, 1024)
SMALL_TEXT_PX = 512  # a short text's cells grow until its panel is so large
MARGIN_PX, GAP_PX = 80, 14
HEADING_PX = 34  # above each row
TOP_PX, BOTTOM_PX = 150, 190
LEAST_WIDTH_PX = 1200  # room for title and legend
CHAR_PX = 11.5  # of the small print, on average

BLANK, TINT = (1.0, 1.0, 1.0), (0.835, 0.890, 0.949)
TINT_ALONE = (0.616, 0.718, 0.835)  # where no probabilities lie over it
FAINTEST = 0.5  # of the tint: a pixel that holds one visible key among many
RAMP = ((0.988, 0.800, 0.580), (0.941, 0.541, 0.294), (0.784, 0.271, 0.184), (0.353, 0.039, 0.078))
FADE = 0.15  # of the scale, over which its first colour replaces the tint
INK, PALE_INK, FRAME = "#222222", "#666666", "#b8c0ca"


@dataclass(frozen=True, slots=True)
class Row:
    """One layer: its label, and of each of its heads what is visible and, where a text was read, how probable it is.

    Shapes: visible, probabilities n_heads x (n, n), both pooled.
    """

    label: str
    visible: Sequence[Panel]
    probabilities: Sequence[Panel] | None


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are, in pixels from the upper left corner."""

    n_tokens: int
    n_rows: int
    n_columns: int

    @property
    def pooled(self) -> int:
        """Positions to a pixel, each way."""
        return ceil(self.n_tokens / self._room)

    @property
    def cell(self) -> int:
        """Pixels to a position, each way."""
        return max(1, min(self._room, SMALL_TEXT_PX) // self.n_tokens)

    @property
    def side(self) -> int:
        """Of a panel."""
        return ceil(self.n_tokens / self.pooled) * self.cell

    @property
    def _room(self) -> int:
        least, most = PANEL_PX
        return min(most, max(least, GRID_PX // max(self.n_rows, self.n_columns)))

    @property
    def least(self) -> float:
        """The lower end of the scale: a power of ten, well below the probability of as many keys all alike."""
        return 10.0 ** floor(log10(1 / (4 * self.n_tokens)))

    @property
    def width(self) -> int:
        return max(LEAST_WIDTH_PX, self.left(self.n_columns) + MARGIN_PX)

    @property
    def height(self) -> int:
        return self.top(self.n_rows) - HEADING_PX + BOTTOM_PX

    def left(self, column: int) -> int:
        return MARGIN_PX + column * (self.side + GAP_PX)

    def top(self, row: int) -> int:
        return TOP_PX + HEADING_PX + row * (self.side + HEADING_PX + GAP_PX)


def share_visible(mask: NDArray[np.bool_], pooled: int) -> Panel:
    """Of each square of positions, the part that is visible.

    >>> share_visible(np.tri(4, dtype=bool), 2).tolist()
    [[0.75, 0.0], [1.0, 0.75]]
    """
    total = _over_squares(np.add, mask.astype(np.float32), pooled)
    return total / _over_squares(np.add, np.ones(mask.shape, np.float32), pooled)


def largest(probabilities: Panel, pooled: int) -> Panel:
    """The largest probability of each square of positions."""
    return _over_squares(np.maximum, probabilities, pooled)


def _over_squares(merge: np.ufunc, panel: Panel, pooled: int) -> Panel:
    """Merge squares of positions; those at the right and lower edge may be cut. Shapes: (T, T) -> (n, n)."""
    starts = np.arange(0, len(panel), pooled)
    return merge.reduceat(merge.reduceat(panel, starts, axis=1), starts, axis=0)


def colours(visible: Panel, probabilities: Panel | None, least: float = 1e-4) -> Pixels:
    """Blank where no key may be seen, tinted where one may, and over it the probability on a scale of logarithms.

    Shapes: (n, n), (n, n) -> (n, n, 3).

    >>> colours(np.array([[0, 1]]), np.array([[0, 1.0]])).tolist()
    [[[255, 255, 255], [90, 10, 20]]]
    """
    tinted = np.where(visible > 0, FAINTEST + (1 - FAINTEST) * visible, 0)[..., None]
    colour = (1 - tinted) * BLANK + tinted * (TINT_ALONE if probabilities is None else TINT)
    if probabilities is not None:
        height = 1 - np.log(np.clip(probabilities, least, 1)) / np.log(least)  # 0 at least, 1 at 1
        stops = np.linspace(0, 1, len(RAMP))
        ramp = np.empty((*height.shape, 3))
        for channel in range(3):
            ramp[..., channel] = np.interp(height, stops, [stop[channel] for stop in RAMP])
        over = np.minimum(height / FADE, 1)[..., None]
        colour = (1 - over) * colour + over * ramp
    return np.rint(colour * 255).astype(np.uint8)


def draw_attention(
    rows: Sequence[Row], path: Path, *, layout: Layout, heads: Sequence[int], title: str, text: str
) -> None:
    """Write the picture, whole or not at all.

    Raises: MissingExtraError without matplotlib; OSError where it cannot be written.
    """
    with needs("plot", purpose="a picture of attention"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    inches = [(pixels + 0.25) / DPI for pixels in (layout.width, layout.height)]  # cut down to whole pixels again
    figure = Figure(figsize=(inches[0], inches[1]), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    page = _Page(figure, layout)
    page.write(MARGIN_PX, 40, title, size=13, weight="bold")
    page.write(MARGIN_PX, 80, text, size=9, color=PALE_INK)
    for column, head in enumerate(heads):
        page.write(layout.left(column) + layout.side / 2, TOP_PX - 22, f"head {head}", ha="center")
    for index, row in enumerate(rows):
        _draw_row(page, row, index)
    _draw_axes(page)
    _draw_legend(page, with_probabilities=any(row.probabilities for row in rows))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


class _Page:
    """A figure on which one writes and pastes at pixels, counted from the upper left corner."""

    def __init__(self, figure: Any, layout: Layout) -> None:
        self.figure = figure
        self.layout = layout
        self.known = _known_characters()

    def paste(self, left: int, top: int, pixels: Pixels) -> None:
        framed = np.empty((pixels.shape[0] + 2, pixels.shape[1] + 2, 3), np.uint8)
        framed[:] = [int(FRAME[at : at + 2], 16) for at in (1, 3, 5)]
        framed[1:-1, 1:-1] = pixels
        self.figure.figimage(framed, left - 1, self.layout.height - top - pixels.shape[0] - 1, origin="upper")

    def write(self, left: float, middle: float, text: str, *, size: float = 8.5, color: str = INK, **how: Any) -> None:
        """Text whose line is at a height; what would not fit or has no letter in the font is marked as left out."""
        room = int((self.layout.width - left - 10) / (CHAR_PX * size / 9))
        shown = text if len(text) <= room else f"{text[: room - 1]}…"
        shown = "".join(char if ord(char) in self.known else "□" for char in shown)
        x, y = left / self.layout.width, 1 - middle / self.layout.height
        self.figure.text(x, y, shown, fontsize=size, color=color, parse_math=False, va="center", **how)


def _known_characters() -> frozenset[int]:
    """What the font has letters for, in both weights."""
    from matplotlib import font_manager

    paths = [font_manager.findfont(font_manager.FontProperties(weight=weight)) for weight in ("normal", "bold")]
    normal, bold = ({*font_manager.get_font(path).get_charmap()} for path in paths)
    return frozenset(normal & bold)


def _draw_row(page: _Page, row: Row, index: int) -> None:
    layout = page.layout
    page.write(MARGIN_PX, layout.top(index) - HEADING_PX / 2, row.label, size=9, color="#1f4e8c")
    for column, visible in enumerate(row.visible):
        pixels = colours(visible, row.probabilities[column] if row.probabilities else None, layout.least)
        grown = pixels.repeat(layout.cell, axis=0).repeat(layout.cell, axis=1)
        page.paste(layout.left(column), layout.top(index), grown)


def _draw_axes(page: _Page) -> None:
    layout = page.layout
    last, end = str(layout.n_tokens - 1), layout.side - 6
    for row in range(layout.n_rows):
        for at, number in ((8, "0"), (end - 2, last)):
            page.write(MARGIN_PX - 8, layout.top(row) + at, number, size=7, color=PALE_INK, ha="right")
    bottom = layout.top(layout.n_rows - 1) + layout.side
    for column in range(layout.n_columns):
        page.write(layout.left(column), bottom + 16, "0", size=7, color=PALE_INK, ha="left")
        page.write(layout.left(column) + layout.side, bottom + 16, last, size=7, color=PALE_INK, ha="right")
    page.write(MARGIN_PX, bottom + 48, "key position →", size=8, color=PALE_INK)
    where = {"ha": "center", "rotation": 90}
    page.write(22, layout.top(0) + max(layout.side / 2, 90), "← query position", size=8, color=PALE_INK, **where)


def _draw_legend(page: _Page, *, with_probabilities: bool) -> None:
    top, pooled = page.layout.height - 100, page.layout.pooled
    square = np.ones((24, 24), np.float32)
    for left, share, what in ((MARGIN_PX, 0, "may not be seen"), (MARGIN_PX + 230, 1, "may be seen")):
        page.paste(left, top, colours(square * share, square * 0 if with_probabilities else None))
        page.write(left + 36, top + 12, what)
    if with_probabilities:
        _draw_scale(page, MARGIN_PX + 470, top)
    elif pooled > 1:
        what = f"a pixel is {pooled} x {pooled} positions, the paler the fewer of them may be seen"
        page.write(MARGIN_PX, top + 50, what, size=8, color=PALE_INK)


def _draw_scale(page: _Page, left: int, top: int) -> None:
    length, least, pooled = 400, page.layout.least, page.layout.pooled
    ramp = np.logspace(log10(least), 0, length, dtype=np.float32)
    bar = np.broadcast_to(ramp, (24, length))
    page.paste(left, top, colours(np.ones_like(bar), bar, least))
    for number, at in _ticks(least):
        page.write(left + at * length, top + 40, number, size=7.5, ha="center")
    what = "probability, on a scale of logarithms"
    if pooled > 1:
        what += f"; a pixel is the largest of {pooled} x {pooled}"
    page.write(left, top + 68, what, size=8, color=PALE_INK)


def _ticks(least: float) -> Iterator[tuple[str, float]]:
    """The powers of ten on the scale, and how far along it each is.

    >>> list(_ticks(0.01))
    [('0.01', 0.0), ('0.1', 0.5), ('1', 1.0)]
    """
    decades = round(-log10(least))
    return ((f"{10.0 ** (decade - decades):g}", decade / decades) for decade in range(decades + 1))
