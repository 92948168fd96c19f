"""ANLI is asked in the printed words, from its published files or the hub's rows."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Choice, Option
from gptrilogy.evaluation.tasks.inference import TASKS

RECORD = {"context": "The bridge opened in 1903.", "hypothesis": "The bridge is old.", "label": "n"}


def publish(folder: Path, record: Mapping[str, str]) -> Path:
    for number in (1, 2, 3):
        for split in ("test", "train"):
            file = folder / f"anli_v1.0/R{number}/{split}.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(record) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_question_stands_as_printed_with_its_prefix_twice(number: int, tmp_path: Path) -> None:
    task = TASKS[number - 1]
    assert task.name == f"anli-r{number}"
    split = read_split(task, "test", publish(tmp_path, RECORD))
    context = (
        f"anli {number}: anli {number}: The bridge opened in 1903.\n"
        "Question: The bridge is old. True, False, or Neither?"
    )
    assert items_of(task, split, 0, 0) == [
        Choice((Option(context, " True"), Option(context, " False"), Option(context, " Neither")), gold=(2,))
    ]
    assert demonstration_of(task, read_split(task, "train", tmp_path), 0, 1) == f"{context} Neither"


@pytest.mark.parametrize(("label", "row_label", "word"), [("e", 0, "True"), ("n", 1, "Neither"), ("c", 2, "False")])
def test_labels_of_files_and_of_the_hub_are_the_same_words(label: str, row_label: int, word: str) -> None:
    task = TASKS[0]
    assert task.hub is not None
    row = {"premise": RECORD["context"], "hypothesis": RECORD["hypothesis"], "label": row_label}
    for record in ({**RECORD, "label": label}, task.hub.record(row)):
        (item,) = task.items(record, 0)
        assert item.demonstration.endswith(f" {word}")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({**RECORD, "label": "x"}, "record 1 of .*: the answer 'x' is not among the choices e, c, n"),
        ({"context": "a", "label": "e"}, "has no field hypothesis; it has context, label"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(record: Mapping[str, str], message: str, tmp_path: Path) -> None:
    split = read_split(TASKS[0], "test", publish(tmp_path, record))
    with pytest.raises(DataError, match=message):
        items_of(TASKS[0], split, 0, 0)
