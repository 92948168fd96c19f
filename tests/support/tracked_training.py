"""A run of few rows, which is stopped, resumed and ended while somebody follows it."""

from pathlib import Path

from gptrilogy.metrics import MetricsLog, Row, cut_metrics
from gptrilogy.runs import Run

CONFIG: Row = {"seed": 1, "model": {"n_layer": 2, "attention": ["dense", "banded"], "sub_blocks": None}}


class Training:
    """What a run's process would write, by hand."""

    def __init__(self, folder: Path) -> None:
        self.run = Run.create(folder, CONFIG, {})
        self.log = MetricsLog(self.run.metrics_path)

    def train(self, first: int, last: int, loss_nats: float = 1.0) -> None:
        for n in range(first, last + 1):
            row: Row = {"event": "train", "step": n, "tokens": 64 * n, "loss_nats": loss_nats / n, "lr": 0.1}
            self.log.append(row | {"grad_norm": 2.0, "tokens_per_s": 900.0, "elapsed_s": 0.5 * n})

    def validate(self, event: str, step: int, loss_nats: float) -> None:
        row: Row = {"event": event, "step": step, "tokens": 64 * step, "loss_nats": loss_nats, "bits_per_byte": 1.5}
        self.log.append(row | {"valid_loss_by_set": {"books": 1.25}, "elapsed_s": 0.5 * step})

    def resume(self, step: int) -> None:
        cut_metrics(self.run.metrics_path, step)
        self.log.append({"event": "resume", "step": step, "tokens": 64 * step, "elapsed_s": 0.5 * step})
