"""`loss.png` of a fine-tuning run: what was learnt over the examples seen, and what is still confused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gptrilogy.finetuning.config import TaskConfig
from gptrilogy.metrics import Row, read_metrics

TRAINING, VALIDATION = "#1f4e8c", "#c8452f"
MOST_CLASSES_DRAWN = 20


def draw_tuning(metrics: Path, picture: Path, task: TaskConfig, *, title: str) -> bool:
    """Draw the task's loss and its first metric, and beside them the confusion of classes. False without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    rows = read_metrics(metrics)
    end = next((row for row in reversed(rows) if row["event"] == "end"), None)
    confusion = end.get("confusion") if end and len(task.labels) <= MOST_CLASSES_DRAWN else None
    figure = Figure(figsize=(11 if confusion else 7.5, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, width_ratios=(3, 2)) if confusion else [figure.subplots()]
    _draw_learning(panels[0], rows, end, task.metrics[0])
    panels[0].set_title(title, loc="left", fontsize=11)
    if confusion:
        _draw_confusion(panels[1], confusion, task.labels)
    figure.savefig(picture)
    return True


def _draw_learning(axes: Any, rows: Sequence[Row], end: Row | None, metric: str) -> None:
    """Losses on the left scale, the metric on the right one, with its 95% interval at the best checkpoint."""
    train = [row for row in rows if row["event"] == "train" and row.get("task_loss_nats") is not None]
    valid = [row for row in rows if row["event"] == "valid" and row.get("loss_nats") is not None]
    seen, losses = [row["examples"] for row in train], [row["task_loss_nats"] for row in train]
    axes.plot(seen, losses, color=TRAINING, linewidth=0.6, alpha=0.35)
    axes.plot(seen, _running_mean(losses), color=TRAINING, linewidth=1.6, label="training loss")
    axes.plot([row["examples"] for row in valid], [row["loss_nats"] for row in valid], "s--", color=TRAINING,
              markersize=4, linewidth=1, label="validation loss")  # fmt: skip
    axes.set_xlabel("examples seen")
    axes.set_ylabel("loss of the task", color=TRAINING)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)
    axes.spines["top"].set_visible(False)
    scores = axes.twinx()
    scores.plot([row["examples"] for row in valid], [row[metric] for row in valid], "o-", color=VALIDATION,
                markersize=5, linewidth=1.6, label=f"validation {metric}")  # fmt: skip
    if end and valid:
        best = max(valid, key=lambda row: row[metric])
        low, high = end[f"{metric}_95"]
        scores.plot(
            [best["examples"]] * 2, [low, high], color=VALIDATION, linewidth=5, alpha=0.25, label="95% interval"
        )
        scores.annotate(f"{end[metric]:.3f}", (best["examples"], end[metric]), xytext=(-6, 6),
                        textcoords="offset points", ha="right", color=VALIDATION)  # fmt: skip
    scores.set_ylabel(metric, color=VALIDATION)
    scores.spines["top"].set_visible(False)
    handles = [*axes.get_legend_handles_labels()[0], *scores.get_legend_handles_labels()[0]]
    axes.legend(handles=handles, frameon=False, fontsize=8, loc="best")


def _draw_confusion(axes: Any, confusion: Sequence[Sequence[int]], labels: Sequence[str]) -> None:
    """Shares of each true class, darker where more of it went there."""
    shares = [[count / max(1, sum(row)) for count in row] for row in confusion]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(confusion):
        for j, count in enumerate(row):
            axes.text(j, i, f"{count:,}", ha="center", va="center", color="white" if shares[i][j] > 0.5 else "black")
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    axes.set_title("best checkpoint, validation", loc="left", fontsize=11)


def _running_mean(values: Sequence[float], width: int = 25) -> list[float]:
    """The mean of the last few values."""
    return [sum(part) / len(part) for i in range(len(values)) if (part := values[max(0, i - width + 1) : i + 1])]
