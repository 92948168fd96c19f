"""MultiRC and ReCoRD: a record is a question of a passage, and more than one of its answers may be right."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Choice, Option, Outcome
from gptrilogy.evaluation.measures import ALL_RIGHT, ANSWER_F1
from gptrilogy.evaluation.task import Task
from gptrilogy.evaluation.tasks.superglue_passages import ENTITY_F1, TASKS

MULTIRC, RECORD = TASKS
BEES = {
    "idx": 0,
    "version": 1.1,
    "passage": {
        "text": "Ann keeps bees and hens.",
        "questions": [
            {"idx": 0, "question": "Who keeps bees?", "answers": [{"text": "Ann", "idx": 0, "label": 1}]},
            {
                "idx": 1,
                "question": "What does Ann keep?",
                "answers": [
                    {"text": "Bees", "idx": 1, "label": 1},
                    {"text": "Cats", "idx": 2, "label": 0},
                    {"text": "Hens", "idx": 3, "label": 1},
                ],
            },
        ],
    },
}
KEEPS = "Ann keeps bees and hens.\n\nWhat does Ann keep?"
TEXT = "Ann Lee met Bo Ray in Oslo. Lee left.\n@highlight\n\nAnn Lee met a man\n@highlight\n\nLee left Oslo"


def place(name: str, after: int = 0) -> dict[str, Any]:
    start = TEXT.index(name, after)
    return {"start": start, "end": start + len(name) - 1}


LEE: dict[str, Any] = {
    "source": "test",
    "passage": {
        "text": TEXT,
        "entities": [place("Ann Lee"), place("Bo Ray"), place("Oslo"), place("Lee", 20), place("Ann Lee", 30)],
    },
    "qas": [
        {
            "query": "Mr Ray said that @placeholder had gone",
            "answers": [{**place("Ann Lee"), "text": "Ann Lee"}, {**place("Lee", 20), "text": "Lee"}],
        }
    ],
}


def publish(folder: Path, task: Task, line: Mapping[str, Any]) -> Path:
    for split in ("train", "val"):
        file = folder / f"{task.folder}/{split}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(line) + "\n", encoding="utf-8")
    return folder


def outcomes(task: Task, folder: Path, *chosen: int) -> list[Outcome]:
    """What a model that chooses so makes of the first records."""
    split = read_split(task, "test", folder)
    items = [(number, item) for number in range(len(split.records)) for item in items_of(task, split, number, 0)]
    return [Outcome(item, number, chosen=choice) for (number, item), choice in zip(items, chosen, strict=True)]


def test_multirc_asks_of_each_answer_whether_it_is_right(tmp_path: Path) -> None:
    split = read_split(MULTIRC, "test", publish(tmp_path, MULTIRC, BEES))
    assert len(split.records) == 2
    assert items_of(MULTIRC, split, 1, 0) == [
        Choice((Option(KEEPS, f"\n- [True] {answer}"), Option(KEEPS, f"\n- [False] {answer}")), (gold,))
        for answer, gold in (("Bees", 0), ("Cats", 1), ("Hens", 0))
    ]
    assert MULTIRC.description == "READING COMPREHENSION ANSWER KEY\n"


def test_multirc_demonstrates_all_answers_of_a_question(tmp_path: Path) -> None:
    split = read_split(MULTIRC, "train", publish(tmp_path, MULTIRC, BEES))
    assert demonstration_of(MULTIRC, split, 1, 32) == f"{KEEPS}\n- [True] Bees\n- [False] Cats\n- [True] Hens"
    assert MULTIRC.fixed_draw


def test_multirc_counts_questions_of_which_every_answer_is_judged_rightly(tmp_path: Path) -> None:
    judged = outcomes(MULTIRC, publish(tmp_path, MULTIRC, BEES), 0, 0, 0, 1)
    assert ALL_RIGHT(judged).value == 0.5
    assert ANSWER_F1(judged).value == pytest.approx(2 * 2 / (3 + 3))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"passage": {"text": "Ann."}}, "val.jsonl passage 1 is not as published: KeyError: 'questions'"),
        ({"passage": "Ann."}, "val.jsonl passage 1 is not as published: TypeError"),
        (
            {"passage": {"text": "Ann.", "questions": [{"question": "Who?", "answers": [{"text": "Ann"}]}]}},
            "record 1 of .* has no field label",
        ),
        (
            {
                "passage": {
                    "text": "Ann.",
                    "questions": [{"question": "Who?", "answers": [{"text": "Ann", "label": 2}]}],
                }
            },
            "record 1 of .*: the answer 2 is not among the choices 1, 0",
        ),
    ],
)
def test_a_multirc_passage_that_cannot_be_asked_is_refused(
    line: Mapping[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        items_of(MULTIRC, read_split(MULTIRC, "test", publish(tmp_path, MULTIRC, line)), 0, 0)


def test_record_goes_on_with_the_query_filled_with_each_entity(tmp_path: Path) -> None:
    split = read_split(RECORD, "test", publish(tmp_path, RECORD, LEE))
    (item,) = items_of(RECORD, split, 0, 0)
    assert isinstance(item, Choice)
    context = "Ann Lee met Bo Ray in Oslo. Lee left.\n\n- Ann Lee met a man\n- Lee left Oslo"
    assert item.options == tuple(
        Option(context, f"\n- Mr Ray said that {name} had gone") for name in ("Ann Lee", "Bo Ray", "Oslo", "Lee")
    )
    assert item.gold == (0, 3)
    demonstration = demonstration_of(RECORD, read_split(RECORD, "train", tmp_path), 0, 32)
    assert demonstration == f"{context}\n- Mr Ray said that Ann Lee had gone"


@pytest.mark.parametrize(("chosen", "f1"), [(0, 1.0), (3, 1.0), (1, 0.0)])
def test_record_is_scored_by_the_right_entity_that_is_most_alike(chosen: int, f1: float, tmp_path: Path) -> None:
    assert ENTITY_F1(outcomes(RECORD, publish(tmp_path, RECORD, LEE), chosen)).value == f1


def test_an_entity_may_be_right_in_part(tmp_path: Path) -> None:
    line = {**LEE, "qas": [{**LEE["qas"][0], "answers": [{"text": "Ann Lee"}]}]}
    judged = outcomes(RECORD, publish(tmp_path, RECORD, line), 3)
    assert ENTITY_F1(judged).value == pytest.approx(2 / 3)


def test_a_row_of_the_hub_asks_the_same(tmp_path: Path) -> None:
    split = read_split(RECORD, "test", publish(tmp_path, RECORD, LEE))
    assert RECORD.hub is not None
    row = {
        "passage": TEXT,
        "query": "Mr Ray said that @placeholder had gone",
        "entities": ["Ann Lee", "Bo Ray", "Oslo", "Lee"],
        "answers": ["Ann Lee", "Lee"],
    }
    assert RECORD.items(RECORD.hub.record(row), 0) == items_of(RECORD, split, 0, 0)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"query": "Ray said @placeholder", "answers": []}, "the query 'Ray said @placeholder' has no answer"),
        ({"query": "Ray said so", "answers": [{"text": "Lee"}]}, "the query 'Ray said so' has no @placeholder"),
        (
            {"query": "@placeholder", "answers": [{"text": "Cy"}]},
            "record 1 of .*: the answer 'Cy' is not among the cho",
        ),
        ({"query": "@placeholder"}, "passage 1 is not as published: KeyError: 'answers'"),
    ],
)
def test_a_query_that_cannot_be_asked_is_refused(query: Mapping[str, Any], message: str, tmp_path: Path) -> None:
    line = {**LEE, "qas": [query]}
    with pytest.raises(DataError, match=message):
        items_of(RECORD, read_split(RECORD, "test", publish(tmp_path, RECORD, line)), 0, 0)
