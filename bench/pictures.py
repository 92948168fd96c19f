"""Curves over the context's length, on logarithmic axes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLOURS = ("#1f4e8c", "#7fa3cf", "#c8452f", "#d99a2b", "#4b8b5a", "#8a8a8a")

Points = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes. Each curve keeps the colour of its place, in every panel."""

    title: str
    unit: str
    curves: Mapping[str, Points]


def draw(rows: Sequence[Sequence[Panel]], picture: Path, x_label: str) -> bool:
    """Draw rows of panels. False where matplotlib is missing."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    columns = len(rows[0])
    figure = Figure(figsize=(5.5 * columns, 4.5 * len(rows)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for panels, axes_of_row in zip(rows, axes, strict=True):
        for panel, its_axes in zip(panels, axes_of_row, strict=True):
            _draw_panel(its_axes, panel)
            its_axes.set_xlabel(x_label)
    figure.savefig(picture)
    return True


def _draw_panel(axes: Any, panel: Panel) -> None:
    from matplotlib.ticker import LogFormatter, NullLocator, StrMethodFormatter

    for place, (label, points) in enumerate(panel.curves.items()):
        if points:  # the first are the widest, so that one which another covers leaves its rim
            look = {"color": COLOURS[place], "markersize": 5.5 - 0.5 * place, "linewidth": 2.8 - 0.35 * place}
            axes.plot(*zip(*points, strict=True), "o-", label=label, **look)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sorted({n for points in panel.curves.values() for n, _ in points}))
    axes.xaxis.set_minor_locator(NullLocator())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.set_minor_formatter(LogFormatter())
    axes.set_ylabel(panel.unit)
    axes.set_title(panel.title, loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
