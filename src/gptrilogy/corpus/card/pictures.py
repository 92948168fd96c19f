"""The card's pictures: a set becoming smaller step by step, lengths, scores, the mixture."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from gptrilogy.corpus.card.blocks import Palette, Picture, Share, shown
from gptrilogy.corpus.card.forms import CorpusSet, Histogram, Scores, Step
from gptrilogy.corpus.card.printable import for_picture
from gptrilogy.extras import needs

WIDTH_INCHES = 4.6  # so that ten-point letters can be read on a page of 380 pixels
DOTS_PER_INCH = 150
BRIGHT = Palette(
    ink="#1b1f24",
    quiet="#6b7480",
    kept="#1f4e8c",
    dropped="#e3a397",
    series=("#1f4e8c", "#c8452f", "#4b8b5a", "#d99a2b", "#8a5a9e", "#5f9ea8"),
)
DARK = Palette(
    ink="#e6e9ee",
    quiet="#97a1ad",
    kept="#7fb0ec",
    dropped="#8c4a3f",
    series=("#7fb0ec", "#f08a76", "#86c796", "#edbf6a", "#c49ad6", "#86c5cf"),
)


def save_picture(picture: Picture, path: Path, palette: Palette) -> None:
    """Draw a picture into a PNG without a background.

    Raises: MissingExtraError without matplotlib.
    """
    with needs("plot", purpose="a corpus's card"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(WIDTH_INCHES, picture.height), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    picture.draw(axes, palette)
    _dress(axes, palette)
    figure.savefig(path, format="png", transparent=True, metadata={"Software": None})


def draw_flow(number: int, name: str, steps: Sequence[Step]) -> Picture:
    """A bar for each step: what was kept, and in a paler colour what this step dropped."""
    first = max(steps[0].taken, 1)

    def draw(axes: Any, palette: Palette) -> None:
        places = range(len(steps))
        axes.barh(places, [step.kept / first for step in steps], color=palette.kept, height=0.66)
        axes.barh(
            places,
            [step.dropped_total / first for step in steps],
            left=[step.kept / first for step in steps],
            color=palette.dropped,
            height=0.66,
        )
        for place, step in zip(places, steps, strict=True):
            label = f" {step.kept:,} ({shown(Share(step.kept, first))})"
            axes.text(step.taken / first, place, label, va="center", fontsize=8.5, color=palette.quiet)
        axes.set_yticks(places, [for_picture(step.step, 14) for step in steps], parse_math=False)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.5)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)

    last = steps[-1]
    alt = f"{name}: of {steps[0].taken:,} records {last.kept:,} are left after the step {last.step}"
    return Picture(f"flow-{number}", name, alt, 0.35 + 0.27 * len(steps), draw)


def draw_lengths(histograms: Mapping[str, Histogram]) -> Picture:
    """A line for each set: the share of its documents by their number of characters."""

    def draw(axes: Any, palette: Palette) -> None:
        for place, (name, histogram) in enumerate(histograms.items()):
            total = max(sum(histogram.counts), 1)
            edges = _above_zero(histogram.closed_edges)
            colour = palette.series[place % len(palette.series)]
            axes.stairs(
                [100 * count / total for count in histogram.counts],
                edges,
                color=colour,
                linewidth=1.6,
                label=for_picture(name),
                linestyle=("-", "--", ":")[place // len(palette.series) % 3],
            )
        axes.set_xscale("log")
        low, high = _occupied(histograms.values())
        axes.set_xlim(low, high)
        axes.minorticks_off()
        ticks = _round_numbers(low, high)
        axes.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
        axes.set_xlabel("characters of a document")
        axes.set_ylabel("documents, %")
        axes.set_ylim(bottom=0)
        _legend(axes, palette)

    alt = f"How long the documents are, in shares, for {', '.join(histograms)}"
    return Picture("lengths", "Documents by their length", alt, 3.1, draw)


def draw_scores(number: int, name: str, scores: Scores) -> Picture:
    """Kept and dropped documents over the classifier's score."""

    def draw(axes: Any, palette: Palette) -> None:
        both = [kept + dropped for kept, dropped in zip(scores.kept, scores.dropped, strict=True)]
        axes.stairs(both, scores.edges, fill=True, color=palette.dropped, label="dropped")
        axes.stairs(scores.kept, scores.edges, fill=True, color=palette.kept, label="kept")
        axes.set_xlabel("quality score")
        axes.set_ylabel("documents")
        axes.set_ylim(0, 1.05 * max(*both, 1))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        _legend(axes, palette)

    alt = f"{name}: {sum(scores.kept):,} kept and {sum(scores.dropped):,} dropped documents over their quality score"
    return Picture(f"scores-{number}", name, alt, 2.8, draw)


def draw_mixture(sets: Sequence[CorpusSet]) -> Picture:
    """Two bars for each set: its share of the corpus's characters and its share of what is trained on."""
    characters, weights = sum(one.characters for one in sets), sum(one.weight or 0 for one in sets)

    def draw(axes: Any, palette: Palette) -> None:
        for offset, colour, label, values in (
            (-0.19, palette.quiet, "of the characters", [one.characters / max(characters, 1) for one in sets]),
            (0.19, palette.kept, "of the training", [(one.weight or 0) / (weights or 1) for one in sets]),
        ):
            places = [place + offset for place in range(len(sets))]
            axes.barh(places, values, height=0.36, color=colour, label=label)
            for place, value in zip(places, values, strict=True):
                axes.text(value, place, f" {value:.1%}", va="center", fontsize=8, color=palette.quiet)
        axes.set_yticks(range(len(sets)), [for_picture(one.name, 16) for one in sets], parse_math=False)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.2 * max(axes.get_xlim()[1], 0.01))
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        _legend(axes, palette, loc="lower right")

    alt = "Shares of the sets in the corpus and in the mixture that is trained on"
    return Picture("mixture", "Shares", alt, 0.7 + 0.45 * len(sets), draw)


def _occupied(histograms: Iterable[Histogram]) -> tuple[float, float]:
    """The edges between which anything was counted."""
    bins = [
        (left, right)
        for one in histograms
        for (left, right), count in zip(pairwise(_above_zero(one.closed_edges)), one.counts, strict=True)
        if count
    ]
    return (min(left for left, _ in bins), max(right for _, right in bins)) if bins else (1, 10)


def _round_numbers(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: powers of ten, and within few of them their halves and fifths too.

    >>> _round_numbers(200, 100_000), _round_numbers(256, 2048)
    ([1000.0, 10000.0, 100000.0], [500.0, 1000.0, 2000.0])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1,) if high / low >= 100 else (1, 2, 5)
    return [tick for power in powers for step in steps if low <= (tick := step * 10.0**power) <= high]


def _above_zero(edges: Sequence[float]) -> list[float]:
    """Edges for a logarithmic axis: what begins at zero begins at one character, or at half of the next edge.

    >>> _above_zero([0, 10, 100]), _above_zero([0, 1, 2])
    ([1.0, 10, 100], [0.5, 1, 2])
    """
    first = edges[0] if edges[0] > 0 else min(1.0, edges[1] / 2)
    return [first, *edges[1:]]


def _legend(axes: Any, palette: Palette, loc: str = "best") -> None:
    for text in axes.legend(frameon=False, fontsize=8, labelcolor=palette.ink, loc=loc).get_texts():
        text.set_parse_math(False)


def _dress(axes: Any, palette: Palette) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(palette.quiet)
    axes.tick_params(which="both", colors=palette.quiet, labelcolor=palette.ink, labelsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=palette.ink, fontsize=9)
