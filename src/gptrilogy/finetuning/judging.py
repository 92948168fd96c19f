"""How good a fine-tuned model is: its predictions on labelled examples, and the scores GPT-1's tables use."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from gptrilogy.errors import DivergedError
from gptrilogy.evaluation.metrics import (
    Estimate,
    Numbers,
    accuracy,
    bootstrap,
    confusion,
    f1,
    macro_f1,
    matthews,
    pearson,
    spearman,
)
from gptrilogy.finetuning.batches import Batch, Item, in_groups
from gptrilogy.finetuning.config import MetricName, TaskConfig
from gptrilogy.finetuning.model import FineTuned, predictions, task_loss
from gptrilogy.training.signals import StopRequest

CHUNK = 256  # examples among which sequences of like length are sought


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a model says of some examples, in their order.

    Shapes: values (N,), indices of classes or answers, or scores; probabilities one (n,) an example, n = 0 where there
    are none. `loss_nats`: the mean task loss, nan where an example has no label.
    """

    values: NDArray[np.float64]
    probabilities: list[list[float]]
    loss_nats: float


@torch.no_grad()
def predict(model: FineTuned, items: Sequence[Item], stop: StopRequest | None = None) -> Predicted | None:
    """Run a model over examples, those of like length together. None where a request to stop came in between.

    Raises: DivergedError where a score is not finite.
    """
    training = model.training
    model.eval()
    values = np.zeros(len(items))
    probabilities: list[list[float]] = [[] for _ in items]
    total = 0.0
    for start in range(0, len(items), CHUNK):
        places: dict[int, list[int]] = {}  # of an item: one may be there several times
        for number, item in enumerate(items[start : start + CHUNK]):
            places.setdefault(id(item), []).append(start + number)
        for group in in_groups(items[start : start + CHUNK]):
            if stop:
                model.train(training)
                return None
            batch = Batch.of(group, model.head.weight.device)
            outputs, _ = model(batch)
            known = not batch.targets.isnan().any()
            total += task_loss(model.task, outputs, batch.targets).item() * len(group) if known else math.nan
            found, shares = predictions(model.task, outputs)
            if not found.isfinite().all():
                raise DivergedError("the model predicts scores that are not finite: lower --train.learning-rate")
            for row, item in enumerate(group):
                place = places[id(item)].pop()
                values[place] = found[row].item()
                share = shares[row, : len(item.sequences)] if model.task.kind == "choice" else shares[row]
                probabilities[place] = cast("list[float]", share.tolist())
    model.train(training)
    return Predicted(values, probabilities, total / max(1, len(items)))


def default_metrics(task: TaskConfig) -> tuple[MetricName, ...]:
    """What is reported of a task that names no metrics of its own."""
    match task.kind:
        case "regression":
            return ("pearson", "spearman")
        case "choice":
            return ("accuracy",)
        case _:
            return ("accuracy", "macro_f1", "matthews")


def metric(task: TaskConfig, name: MetricName) -> Callable[..., float]:
    """The function of truth and prediction behind a name. F1 is that of the class `1`, or else of the last one."""
    positive = task.labels.index("1") if "1" in task.labels else len(task.labels) - 1

    def f1_of_positive(truth: Numbers, predicted: Numbers) -> float:
        return f1(truth, predicted, positive=positive)

    functions: dict[MetricName, Callable[..., float]] = {
        "accuracy": accuracy,
        "f1": f1_of_positive,
        "macro_f1": macro_f1,
        "matthews": matthews,
        "pearson": pearson,
        "spearman": spearman,
    }
    return functions[name]


def scores(task: TaskConfig, items: Sequence[Item], predicted: Predicted) -> dict[MetricName, float]:
    truth, values = _pair(task, items, predicted)
    return {name: metric(task, name)(truth, values) for name in task.metrics}


def estimates(task: TaskConfig, items: Sequence[Item], predicted: Predicted) -> dict[MetricName, Estimate]:
    """The same with 95% intervals, by bootstrap over the examples."""
    truth, values = _pair(task, items, predicted)
    return {name: bootstrap(metric(task, name), truth, values) for name in task.metrics}


def confusion_table(task: TaskConfig, items: Sequence[Item], predicted: Predicted) -> list[list[int]]:
    """How often each class, a row, was taken for each other, a column."""
    truth, values = _pair(task, items, predicted)
    return confusion(truth, values, len(task.labels)).tolist()


def _pair(task: TaskConfig, items: Sequence[Item], predicted: Predicted) -> tuple[Numbers, Numbers]:
    truth = np.array([item.target for item in items])
    if task.kind == "regression":
        return truth, predicted.values
    return truth.astype(np.int64), predicted.values.astype(np.int64)
