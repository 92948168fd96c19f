"""`loss.png`: a run's learning curve, drawn from its metrics."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gptrilogy.metrics import Row, read_metrics


def draw_loss(metrics: Path, picture: Path, *, title: str) -> bool:
    """Draw training and held-out loss over tokens. False where matplotlib is missing."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    rows = read_metrics(metrics)
    train = [row for row in rows if row["event"] == "train" and row.get("loss_nats") is not None]
    valid = [row for row in rows if row["event"] in ("valid", "end") and row["loss_nats"] is not None]
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    unit = valid[0]["bits_per_byte"] / valid[0]["loss_nats"] if valid else 1.0  # nats a token -> bits a byte
    millions = [row["tokens"] / 1e6 for row in train]
    losses = [row["loss_nats"] * unit for row in train]
    axes.plot(millions, losses, color="#9db7d5", linewidth=0.6, alpha=0.6)
    axes.plot(millions, _smooth(losses), color="#1f4e8c", linewidth=1.6, label="training, smoothed")
    _draw_valid(axes, valid)
    axes.set_xlabel("million tokens")
    axes.set_ylabel("bits per byte" if valid else "nats per token")
    axes.set_xlim(left=0)
    axes.set_ylim(top=_top(losses), bottom=_bottom(losses, [row["bits_per_byte"] for row in valid]))
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if train:
        axes.legend(frameon=False)
    figure.savefig(picture)
    return True


def _draw_valid(axes: Any, valid: Sequence[Row]) -> None:
    if not valid:
        return
    millions = [row["tokens"] / 1e6 for row in valid]
    bits = [row["bits_per_byte"] for row in valid]
    axes.plot(millions, bits, "o-", color="#c8452f", markersize=4, linewidth=1.2, label="held-out text")
    axes.annotate(
        f"{bits[-1]:.3f}",
        (millions[-1], bits[-1]),
        xytext=(0, -14),
        textcoords="offset points",
        ha="right",
        color="#c8452f",
    )


def _smooth(values: Sequence[float], memory: float = 0.97) -> list[float]:
    """An exponential average that starts unbiased."""
    smoothed: list[float] = []
    total, weight = 0.0, 0.0
    for value in values:
        total = memory * total + (1 - memory) * value
        weight = memory * weight + (1 - memory)
        smoothed.append(total / weight)
    return smoothed


def _top(losses: Sequence[float]) -> float | None:
    """Leave the first steep moments out of the picture."""
    return losses[len(losses) // 50] * 1.02 if losses else None


def _bottom(losses: Sequence[float], valid: Sequence[float]) -> float | None:
    return 0.9 * min([*_smooth(losses), *valid]) if losses else None
