"""How the results of studies are told: numbers with their intervals, in words and in pictures."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gptrilogy.evaluation.metrics import Estimate
from gptrilogy.extras import needs
from gptrilogy.metrics import Row
from gptrilogy.studies.picture import COLOURS

VERBS = "helps", "hurts", "has no settled effect on"


def scores(rows: Iterable[Row], **where: object) -> list[float]:
    """Scores times 100, as the papers print them, of the rows with these fields, in their order."""
    return [100 * row["score"] for row in rows if where.items() <= row.items()]


def cell(estimate: Estimate, *, signed: bool = False) -> str:
    """A mean with half its interval, where it has one.

    >>> cell(Estimate(4.5, 4.2, 4.8)), cell(Estimate(4.5, math.nan, math.nan), signed=True)
    ('4.5 ± 0.3', '+4.5')
    """
    mean = f"{estimate.value:{'+' if signed else ''}.1f}"
    return mean if math.isnan(estimate.high) else f"{mean} ± {estimate.high - estimate.value:.1f}"


def judged(what: str, gains: Mapping[str, Estimate], verbs: tuple[str, str, str] = VERBS) -> str:
    """What each gain's interval says, with its numbers; `verbs` for one above 0, below 0, and around it.

    >>> judged("rain", {"wheat": Estimate(2, 1, 3), "roofs": Estimate(-2, -3, -1), "stones": Estimate(1, -1, 3)})
    'rain helps wheat (+2.0 ± 1.0), hurts roofs (-2.0 ± 1.0), has no settled effect on stones (+1.0 ± 2.0)'
    """
    sorted_by_sign: dict[str, list[str]] = {verb: [] for verb in verbs}
    up, down, neither = verbs
    for name, gain in gains.items():
        verb = up if gain.low > 0 else down if gain.high < 0 else neither
        sorted_by_sign[verb].append(f"{name} ({cell(gain, signed=True)})")
    return f"{what} " + ", ".join(f"{verb} {', '.join(names)}" for verb, names in sorted_by_sign.items() if names)


def opening(rows: Sequence[Row], *, quick: bool) -> str:
    """How a verdict begins: what it is worth."""
    seeds = len({row["seed"] for row in rows})
    where = f"With {seeds} seed{'s' if seeds > 1 else ''} of one base, in points out of 100 with 95% intervals, "
    return f"A test of the path, whose numbers mean nothing. {where}" if quick else where


def draw(
    lines: Mapping[str, Sequence[tuple[float, Estimate]]],
    ticks: Mapping[float, str],
    picture: Path,
    *,
    title: str,
    labels: tuple[str, str],
    bands: bool = False,
    log: bool = False,
) -> None:
    """Draw means with their intervals, and a line through those of one name, or with `bands` a band around it.

    Raises: MissingExtraError without matplotlib.
    """
    with needs("plot", purpose="the picture of a study"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11)
    axes.axhline(0, color="#999999", linewidth=0.8)
    if log:
        axes.set_xscale("log")
    for colour, (name, points) in zip(COLOURS, lines.items(), strict=False):
        x, (mean, low, high) = [place for place, _ in points], zip(*(estimate for _, estimate in points), strict=True)
        style: dict[str, Any] = {"label": name, "color": colour, "markersize": 4}
        if bands:
            axes.plot(x, mean, "o-", **style)
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        else:
            axes.errorbar(x, mean, np.abs(np.subtract([low, high], mean)), fmt="o", capsize=3, **style)
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, -100), min(top, 100))  # the interval of a few runs reaches far beyond what can be
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(picture)
