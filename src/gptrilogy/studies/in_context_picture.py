"""Accuracy over the number of demonstrations, a panel for each task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptrilogy.evaluation.metrics import Estimate
from gptrilogy.extras import needs
from gptrilogy.studies.picture import COLOURS

Curve = Sequence[tuple[int, Estimate]]  # demonstrations, and the share of right answers


@dataclass(frozen=True, slots=True)
class Panel:
    """The curves of one task, by model, and of the same models where answers in the demonstrations are random."""

    title: str
    chance: float
    curves: Mapping[str, Curve]
    controls: Mapping[str, Curve]


def draw_panels(panels: Sequence[Panel], picture: Path, *, title: str) -> None:
    """Draw a line with its band for each model, dashed and without one for the controls, and chance dotted.

    Raises: MissingExtraError without matplotlib.
    """
    with needs("plot", purpose="the picture of a study"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    n_columns = min(3, len(panels))
    n_rows = -(-len(panels) // n_columns)
    figure = Figure(figsize=(4 * n_columns, 0.6 + 3 * n_rows), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    grid = list(figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).flat)
    for axes, panel in zip(grid, panels, strict=False):
        _draw(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8)
    for axes in grid[-n_columns:]:
        axes.set_xlabel("demonstrations in the context", fontsize=9)
    figure.supylabel("right answers", fontsize=9)
    figure.suptitle(title, fontsize=11)
    figure.savefig(picture)


def _draw(axes: Any, panel: Panel) -> None:
    from matplotlib.ticker import NullLocator, PercentFormatter

    axes.set_title(panel.title, loc="left", fontsize=9)
    axes.axhline(panel.chance, color="#999999", linestyle=":", label="chance")
    places = sorted({place for curve in panel.curves.values() for place, _ in curve})
    for colour, (name, curve) in zip(COLOURS[::2], panel.curves.items(), strict=False):
        axes.plot(places, [estimate.value for _, estimate in curve], "o-", label=name, color=colour, markersize=3)
        low, high = ([estimate[side] for _, estimate in curve] for side in (1, 2))
        axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
        control = [(place, estimate.value) for place, estimate in panel.controls[name]]
        label = f"{name}, random answers shown"
        axes.plot(*zip(*control, strict=True), linestyle="--", label=label, color=colour, linewidth=1)
    axes.set_xscale("symlog", base=2, linthresh=1)
    axes.set_xticks(places, [str(place) for place in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
