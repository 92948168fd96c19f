"""Curves of shares, from -100% to 100%, with their 95% bands."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gptrilogy.evaluation.metrics import Estimate
from gptrilogy.extras import needs

COLOURS = ("#1f4e8c", "#7fa3cf", "#c8452f", "#d99a2b", "#4b8b5a", "#8a5a9e")

Curve = Sequence[tuple[float, Estimate]]


def draw_curves(
    curves: Mapping[str, Curve], picture: Path, *, title: str, x_label: str, y_label: str, linear_until: float
) -> None:
    """Draw a line with a band for each name: shares, over an axis that is logarithmic from `linear_until` on.

    Raises: MissingExtraError without matplotlib.
    """
    with needs("plot", purpose="the picture of a study"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import NullLocator, PercentFormatter, StrMethodFormatter
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.axhline(0, color="#999999", linewidth=0.8)
    for colour, (name, curve) in zip(COLOURS, curves.items(), strict=False):
        _draw_curve(axes, name, curve, colour)
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, -1), min(top, 1))  # the interval of a few runs reaches far beyond what can be
    axes.set_xscale("symlog", linthresh=linear_until, linscale=0.5)
    places = sorted({x for curve in curves.values() for x, _ in curve})
    axes.set_xlim(places[0] - 0.2 * linear_until, places[-1] * 1.1)
    axes.set_xticks(places)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(picture)


def _draw_curve(axes: Any, name: str, curve: Curve, colour: str) -> None:
    places = [x for x, _ in curve]
    axes.plot(places, [estimate.value for _, estimate in curve], "o-", label=name, color=colour, markersize=4)
    low, high = ([estimate[side] for _, estimate in curve] for side in (1, 2))
    axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
