"""Predictions in the order of the examples, and the scores they get."""

import math

import numpy as np
import pytest
import torch

from finetuning_reference import outputs_reference, task_loss_reference
from gptrilogy.evaluation.metrics import accuracy, f1, pearson
from gptrilogy.finetuning import batches, judging
from gptrilogy.finetuning.batches import Item
from gptrilogy.finetuning.config import MetricName, TaskConfig
from gptrilogy.finetuning.judging import (
    Predicted,
    confusion_table,
    default_metrics,
    estimates,
    metric,
    predict,
    scores,
)
from gptrilogy.finetuning.model import predictions
from gptrilogy.training.signals import StopRequest
from tiny_tasks import TASKS, items_of, tuned


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few examples make several chunks, and each chunk several groups."""
    monkeypatch.setattr(batches, "GROUP_TOKENS", 60)
    monkeypatch.setattr(judging, "CHUNK", 8)


def predicted(values: list[float]) -> Predicted:
    return Predicted(np.array(values), [[] for _ in values], 0.0)


def labelled(targets: list[float]) -> list[Item]:
    return [Item(((257, 259),), target) for target in targets]


@pytest.mark.parametrize("name", TASKS)
def test_predictions_are_those_of_each_example_alone_in_their_order(name: str) -> None:
    task, items = TASKS[name], items_of(TASKS[name], 20)
    model = tuned(task)
    found = predict(model, items)
    assert found is not None
    losses: list[float] = []
    for item, value, probabilities in zip(items, found.values, found.probabilities, strict=True):
        with torch.no_grad():
            outputs = outputs_reference(model, item)
        alone, shares = predictions(task, outputs[None])
        assert value == pytest.approx(alone.item(), rel=1e-5, abs=1e-5)
        assert probabilities == pytest.approx(shares[0].tolist(), rel=1e-4, abs=1e-6)
        losses.append(task_loss_reference(task, outputs, item.target).item())
    assert found.loss_nats == pytest.approx(sum(losses) / len(losses), rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_predicting_draws_nothing_and_leaves_the_mode_as_it_was(training: bool) -> None:
    model, items = tuned(TASKS["classification"], head_dropout=0.5).train(training), items_of(TASKS["classification"])
    before = torch.get_rng_state()
    one, other = predict(model, items), predict(model, items)
    assert one is not None
    assert other is not None
    assert one.probabilities == other.probabilities
    assert model.training == training
    assert torch.equal(before, torch.get_rng_state())
    stop = StopRequest()
    stop.number = 15
    assert predict(model, items, stop) is None
    assert model.training == training


@pytest.mark.parametrize("name", TASKS)
def test_an_example_without_a_label_is_predicted_all_the_same(name: str) -> None:
    items = items_of(TASKS[name], 5)
    model, unknown = tuned(TASKS[name]), [item._replace(target=math.nan) for item in items]
    known, blind = predict(model, items), predict(model, unknown)
    assert known is not None
    assert blind is not None
    assert blind.values.tolist() == known.values.tolist()
    assert blind.probabilities == known.probabilities
    assert math.isnan(blind.loss_nats)


def test_an_example_may_be_there_twice() -> None:
    items = items_of(TASKS["classification"], 2)
    found = predict(tuned(TASKS["classification"]), [items[0], items[1], items[0]])
    assert found is not None
    one, other, again = found.probabilities
    assert one == pytest.approx(again, rel=1e-5)
    assert one != pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("classification", ("accuracy", "macro_f1", "matthews")),
        ("similarity", ("accuracy", "macro_f1", "matthews")),
        ("choice", ("accuracy",)),
        ("regression by classes", ("pearson", "spearman")),
        ("regression by error", ("pearson", "spearman")),
    ],
)
def test_a_task_without_metrics_of_its_own_has_those_of_its_kind(name: str, expected: tuple[MetricName, ...]) -> None:
    assert default_metrics(TASKS[name]) == expected


@pytest.mark.parametrize(
    ("labels", "positive"), [(("0", "1"), 1), (("1", "2"), 0), (("no", "yes"), 1), (("b", "c", "d"), 2)]
)
def test_f1_is_of_the_class_named_1_or_else_of_the_last(labels: tuple[str, ...], positive: int) -> None:
    truth, values = np.array([0, 1, 1, 0, 1, 2, 2, 2]), np.array([0, 1, 0, 1, 1, 2, 0, 2])
    of_each = [f1(truth, values, positive=place) for place in range(3)]
    assert len(set(of_each)) == 3
    assert metric(TaskConfig(labels=labels), "f1")(truth, values) == of_each[positive]


def test_scores_are_the_metrics_of_truth_and_prediction() -> None:
    truth, values = [0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]
    task = TaskConfig(labels=("0", "1"), metrics=("f1", "accuracy"))
    assert scores(task, labelled(truth), predicted(values)) == {
        "f1": f1(np.array(truth), np.array(values)),
        "accuracy": 0.75,
    }
    assert confusion_table(task, labelled(truth), predicted(values)) == [[2, 0], [1, 1]]


def test_scores_of_a_regression_keep_their_fractions() -> None:
    truth, values = [1.0, 2.5, 4.0, 4.5], [1.25, 2.0, 3.75, 4.0]
    task = TaskConfig(kind="regression", low=1, high=5, metrics=("pearson",))
    expected = pearson(np.array(truth), np.array(values))
    assert scores(task, labelled(truth), predicted(values)) == {"pearson": expected}


def test_estimates_are_the_scores_with_an_interval_of_the_same_metric() -> None:
    truth, values = [0.0, 1.0] * 20, [0.0, 1.0, 1.0, 1.0] * 10
    task = TaskConfig(labels=("a", "b"), metrics=("accuracy", "f1"))
    found = estimates(task, labelled(truth), predicted(values))
    assert {name: estimate.value for name, estimate in found.items()} == scores(
        task, labelled(truth), predicted(values)
    )
    assert found["accuracy"] == judging.bootstrap(accuracy, np.array(truth), np.array(values))
    assert found["f1"].low < found["f1"].value < found["f1"].high
