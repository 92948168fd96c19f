"""Data sets are read as they were published, or refused by line; each task gives the scores of its heuristic."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.heuristics import roc_auc
from gptrilogy.evaluation.metrics import matthews
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.studies.zero_shot_tasks import TASKS, evenly, read_tasks
from gptrilogy.tokenizers import BytesTokenizer
from study_data import write_data
from tiny_run import write_run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """A model that reads bytes and can hold any of the short texts."""
    tokenizer = BytesTokenizer()
    return LanguageModel(write_run(tmp_path_factory.mktemp("run"), tokenizer, n_ctx=128), tokenizer)


def test_every_task_scores_within_its_bounds(data: Path, model: LanguageModel) -> None:
    said: list[str] = []
    tasks = read_tasks(data, said.append)
    assert [task.name for task in tasks] == list(TASKS)
    assert said == []
    for task in tasks:
        scores = task.score(model)
        assert scores.keys() == task.chance.keys()
        assert all(-1 <= score <= 1 for score in scores.values())
        assert scores == task.score(model)


def test_what_is_missing_is_said_and_left_out(data: Path, tmp_path: Path) -> None:
    (tmp_path / "finetune").mkdir()
    (tmp_path / "finetune" / "sst2").symlink_to(data / "finetune" / "sst2")
    said: list[str] = []
    assert [task.name for task in read_tasks(tmp_path, said.append)] == ["SST-2"]
    assert [line.split(" is left out: ")[0] for line in said] == ["CoLA", "OpenBookQA", "ARC-easy", "Winograd"]
    with pytest.raises(DataError, match="no data set of this study"):
        read_tasks(tmp_path / "finetune", said.append)


def test_a_limit_takes_examples_from_everywhere(data: Path) -> None:
    whole, part = (read_tasks(data, print, limit=limit) for limit in (None, 3))
    assert [task.examples for task in part] == [3] * len(whole)
    assert all(one.digest != other.digest for one, other in zip(whole, part, strict=True))


def test_chance_follows_from_the_number_of_answers(data: Path) -> None:
    chance = {task.name: task.chance for task in read_tasks(data, print)}
    assert chance["OpenBookQA"]["accuracy"].value == pytest.approx(1 / 4)
    assert chance["ARC-easy"]["accuracy"].value == pytest.approx((1 / 4 + 1 / 3) / 2)


def test_random_answers_lie_within_chance_95_times_of_100(shared_data: Callable[[str], Path]) -> None:
    tasks = {task.name: task for task in read_tasks(shared_data("finetune/cola").parents[1], lambda _: None)}
    labels = np.array([1] * 719 + [0] * 324)
    assert len(labels) == tasks["CoLA"].examples
    random = np.random.default_rng(0)
    found: dict[str, list[float]] = {"Matthews": [], "ROC AUC": [], "accuracy": []}
    for _ in range(1000):
        scores = random.random(len(labels))
        found["Matthews"].append(matthews(labels, (scores > 0.3).astype(np.int64)))
        found["ROC AUC"].append(roc_auc(scores.tolist(), labels.tolist()))
        found["accuracy"].append(float(random.integers(0, 2, tasks["Winograd"].examples).mean()))
    chance = {**tasks["CoLA"].chance, **tasks["Winograd"].chance}
    for measure, values in found.items():
        inside = sum(chance[measure].low < value < chance[measure].high for value in values)
        assert 925 < inside < 975  # p below 0.001: the deviation of 1,000 draws is 7


def test_a_label_of_another_task_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "finetune" / "sst2" / "dev.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("sentence\tlabel\na fine film\tgood\n")
    with pytest.raises(DataError, match=r"dev\.tsv:2: the label must be 0 or 1, got 'good'"):
        read_tasks(tmp_path, lambda _: None)


def test_rows_are_taken_evenly_from_all() -> None:
    assert evenly(range(10), 5) == [0, 2, 4, 6, 8]
    assert evenly(range(3), 5) == evenly(range(3), None) == [0, 1, 2]


def test_sentences_of_one_label_cannot_be_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "finetune" / "cola"
    folder.mkdir(parents=True)
    for name in ("in_domain_train", "in_domain_dev", "out_of_domain_dev"):
        (folder / f"{name}.tsv").write_text("x1\t1\t\tThe people elect the Senate.\n")
    with pytest.raises(DataError, match="sentences of one label"):
        read_tasks(tmp_path, lambda _: None)


def test_the_published_files_are_read_whole(shared_data: Callable[[str], Path]) -> None:
    cola = shared_data("finetune/cola/in_domain_train.tsv")
    shared_data("eval/wsc273/wsc273.txt")
    tasks = {task.name: task for task in read_tasks(cola.parents[2], lambda _: None)}
    assert tasks["CoLA"].examples == 527 + 516
    assert tasks["Winograd"].examples == 273
