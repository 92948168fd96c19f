"""Scores against the number of demonstrations, and against the size of the model, as in GPT-3's Figures 1.2 and 3.x."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gptrilogy.evaluation.summary import Row, scale_of
from gptrilogy.extras import needs
from gptrilogy.files import replacing

COLOURS = ("#1f4e8c", "#c8452f", "#4b8b5a", "#d99a2b", "#8a5a9e", "#7fa3cf", "#7a7a7a")
COLUMNS = 3


def draw_by_shots(summary: Sequence[Row], picture: Path) -> None:
    """A panel for each task and metric: score against K, a line for each model and rule.

    The band is one standard error over draws, the bars one over items; what is infinite is left out.
    Raises: MissingExtraError without matplotlib.
    """
    _draw(summary, picture, "shots", "K, demonstrations in the prompt", _line_by_shots)


def draw_by_size(summary: Sequence[Row], picture: Path) -> None:
    """The same against the models' parameters without embeddings, a line for each K."""
    _draw(summary, picture, "parameters", "parameters without embeddings", _line_by_size)


def _line_by_shots(row: Row) -> tuple[str, ...]:
    return (str(row["model"]), str(row["rule"]))


def _line_by_size(row: Row) -> tuple[str, ...]:
    return (f"K = {row['shots']}", str(row["rule"]))


def _draw(
    summary: Sequence[Row], picture: Path, x: str, x_label: str, line_of: Callable[[Row], tuple[str, ...]]
) -> None:
    with needs("plot", purpose="a picture of an evaluation"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    panels: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in summary:
        if math.isfinite(row["value"]):
            panels[row["task"], row["metric"]].append(row)
    columns = max(1, min(COLUMNS, len(panels)))
    lines = max(1, math.ceil(len(panels) / columns))
    figure = Figure(figsize=(4.2 * columns, 3.2 * lines), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    for place, ((task, metric), rows) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(lines, columns, place)
        _draw_panel(axes, rows, x, line_of)
        axes.set_title(task, loc="left", fontsize=10)
        axes.set_ylabel(metric if scale_of(metric)[0] == 1 else f"{metric}, %")
        axes.set_xlabel(x_label)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    with replacing(picture) as temporary:
        figure.savefig(temporary, format="png")


def _draw_panel(axes: Any, rows: Sequence[Row], x: str, line_of: Callable[[Row], tuple[str, ...]]) -> None:
    lines: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        lines[line_of(row)].append(row)
    differing = [place for place in range(2) if len({name[place] for name in lines}) > 1]
    for number, (name, points) in enumerate(lines.items()):
        label = ", ".join(name[place] for place in differing)
        _draw_line(axes, sorted(points, key=lambda row: row[x]), x, COLOURS[number % len(COLOURS)], label)
    places = sorted({row[x] for row in rows})
    if x == "shots":
        axes.set_xscale("symlog", linthresh=1, linscale=0.5)
        axes.set_xticks(places, [f"{place:,}" for place in places])
        axes.minorticks_off()
    else:
        axes.set_xscale("log")
    if differing:
        axes.legend(frameon=False, fontsize=7)


def _draw_line(axes: Any, points: Sequence[Row], x: str, colour: str, label: str) -> None:
    scale, _ = scale_of(points[0]["metric"])
    places = [row[x] for row in points]
    values, items, draws = ([row[name] * scale for row in points] for name in ("value", "stderr_items", "stderr_draws"))
    axes.errorbar(
        places, values, yerr=items, fmt="o-", color=colour, markersize=3, linewidth=1.3, capsize=2, label=label
    )
    low, high = (
        [v + sign * (0 if math.isnan(e) else e) for v, e in zip(values, draws, strict=True)] for sign in (-1, 1)
    )
    axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
