"""Questions with given answers are read from their published files and asked in the paper's words."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import Split, demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Choice, Item, Option
from gptrilogy.evaluation.task import Task
from gptrilogy.evaluation.tasks.questions import TASKS, passages

PIQA, ARC_EASY, ARC_CHALLENGE, OPENBOOKQA, RACE_MIDDLE, RACE_HIGH, SAT = TASKS

GOAL = {"goal": "Dry a wet book. ", "sol1": "Stand it in moving air.", "sol2": "Stand it in moving water."}
ICE = {
    "id": "x",
    "question": {
        "stem": "What is ice?",
        "choices": [
            {"text": "a gas", "label": "A"},
            {"text": "a solid", "label": "B"},
            {"text": "a fire", "label": "C"},
        ],
    },
    "answerKey": "B",
}
PASSAGE = {
    "article": "Ann keeps bees. They live in a hive.",
    "questions": ["What does Ann keep?", "The bees live in  _ ."],
    "options": [["cats", "bees", "dogs", "hens"], ["a hive", "a house", "a tree", "a box "]],
    "answers": ["B", "A"],
    "id": "middle1.txt",
}
ANALOGIES = """# kinds: n for noun
190 FROM REAL SATs
ostrich bird n:n
lion cat n:n
goose flock n:n
ewe sheep n:n
cub bear n:n
primate monkey n:n
a

190 FROM REAL SATs
paltry significance a:n
redundant discussion a:n
austere landscape a:n
opulent wealth a:n
oblique familiarity a:n
banal originality a:n
e
"""


def write(file: Path, *lines: Mapping[str, Any] | str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return file


def ask(task: Task, folder: Path) -> Sequence[Item]:
    """What is asked of the first record."""
    return items_of(task, read_split(task, "test", folder), 0, 0)


def race(task: Task, folder: Path) -> Split:
    """The test passages, out of the published folder."""
    return read_split(task, "test", folder)


@pytest.mark.parametrize("name", ["piqa/valid", "piqa/physicaliqa-train-dev/dev", "valid"])
def test_piqa_is_a_goal_and_two_ways_to_it(name: str, tmp_path: Path) -> None:
    write(tmp_path / f"{name}.jsonl", GOAL, GOAL)
    write(tmp_path / f"{name}-labels.lst", "0", "1")
    split = read_split(PIQA, "test", tmp_path)
    options = (
        Option("Dry a wet book.", " Stand it in moving air."),
        Option("Dry a wet book.", " Stand it in moving water."),
    )
    assert [items_of(PIQA, split, number, 0) for number in (0, 1)] == [[Choice(options, (0,))], [Choice(options, (1,))]]
    assert demonstration_of(PIQA, split, 1, 50) == "Dry a wet book. Stand it in moving water."


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["0"], "valid-labels.lst has fewer lines than valid.jsonl"),
        (["0", "1", "1"], "valid-labels.lst has more lines than valid.jsonl"),
        (["2", "1"], "record 1 of .*: the answer '2' is not among the choices 0, 1"),
    ],
)
def test_piqa_needs_an_answer_to_each_record(labels: list[str], message: str, tmp_path: Path) -> None:
    write(tmp_path / "valid.jsonl", GOAL, GOAL)
    write(tmp_path / "valid-labels.lst", *labels)
    with pytest.raises(DataError, match=message):
        ask(PIQA, tmp_path)


def test_piqa_without_its_file_of_answers_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "valid.jsonl", GOAL)
    with pytest.raises(DataError, match=r"put valid-labels\.lst beside it"):
        ask(PIQA, tmp_path)


@pytest.mark.parametrize(("task", "which"), [(ARC_EASY, "Easy"), (ARC_CHALLENGE, "Challenge")])
def test_arc_asks_after_question_and_before_answer(task: Task, which: str, tmp_path: Path) -> None:
    for split in ("Test", "Train"):
        write(tmp_path / f"ARC-V1-Feb2018-2/ARC-{which}/ARC-{which}-{split}.jsonl", ICE)
    context = "Question: What is ice?\nAnswer:"
    options = (Option(context, " a gas"), Option(context, " a solid"), Option(context, " a fire"))
    assert ask(task, tmp_path) == [Choice(options, (1,), answer_context="Answer:")]
    assert demonstration_of(task, read_split(task, "train", tmp_path), 0, 1) == f"{context} a solid"
    assert task.rule == "unconditional"


def test_arc_has_choices_by_number_too(tmp_path: Path) -> None:
    choices = [{"text": text, "label": str(number)} for number, text in enumerate("abcde", start=1)]
    record = {"question": {"stem": "Which?", "choices": choices}, "answerKey": "5"}
    write(tmp_path / "ARC-Easy-Test.jsonl", record)
    (item,) = ask(ARC_EASY, tmp_path)
    assert item.demonstration == "Question: Which?\nAnswer: e"


@pytest.mark.parametrize(
    "name", ["openbookqa/test", "OpenBookQA-V1-Sep2018/Data/Main/test", "Data/Main/test", "some/openbookqa/test"]
)
def test_openbookqa_is_its_stem_and_a_choice(name: str, tmp_path: Path) -> None:
    write(tmp_path / f"{name}.jsonl", ICE)
    options = tuple(Option("What is ice?", f" a {kind}") for kind in ("gas", "solid", "fire"))
    assert ask(OPENBOOKQA, tmp_path) == [Choice(options, (1,), answer_context="Answer:")]
    assert OPENBOOKQA.rule == "unconditional"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answerKey": "D"}, "record 1 of .*: the answer 'D' is not among the choices A, B, C"),
        ({"question": {"stem": "What?"}}, "has no field choices"),
        ({"question": "What?"}, "is not as published: TypeError"),
    ],
)
def test_a_science_question_that_cannot_be_asked_is_refused(
    change: Mapping[str, Any], message: str, tmp_path: Path
) -> None:
    write(tmp_path / "ARC-Easy-Test.jsonl", {**ICE, **change})
    write(tmp_path / "test.jsonl", {**ICE, **change})
    for task in (ARC_EASY, OPENBOOKQA):
        with pytest.raises(DataError, match=message):
            ask(task, tmp_path)


@pytest.mark.parametrize(("task", "field"), [(ARC_EASY, "question"), (OPENBOOKQA, "question_stem")])
def test_rows_of_the_hub_become_the_published_question(task: Task, field: str) -> None:
    assert task.hub is not None
    choices = {"text": ["a gas", "a solid", "a fire"], "label": ["A", "B", "C"]}
    row = {field: "What is ice?", "choices": choices, "answerKey": "B"}
    assert task.items(task.hub.record(row), 0) == task.items(ICE, 0)


@pytest.mark.parametrize(("task", "which"), [(RACE_MIDDLE, "middle"), (RACE_HIGH, "high")])
def test_race_shows_the_questions_before_with_their_answers(task: Task, which: str, tmp_path: Path) -> None:
    write(tmp_path / f"test/{which}/2.txt", {**PASSAGE, "questions": ["Who?"], "options": [["Ann"]], "answers": ["A"]})
    write(tmp_path / f"test/{which}/1.txt", PASSAGE)
    split = race(task, tmp_path)
    assert len(split.records) == 2
    first = "Article:\nAnn keeps bees. They live in a hive.\n\nQ: What does Ann keep?\n\nA:"
    second = f"{first} bees\n\nQ: The bees live in  _ .\n\nA:"
    assert items_of(task, split, 0, 0) == [
        Choice(tuple(Option(first, f" {a}") for a in ("cats", "bees", "dogs", "hens")), (1,), answer_context="A:"),
        Choice(tuple(Option(second, f" a {a}") for a in ("hive", "house", "tree", "box")), (0,), answer_context="A:"),
    ]
    assert demonstration_of(task, split, 0, 10) == f"{second} a hive"
    assert task.rule == "unconditional"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answers": ["B", "E"]}, "record 1 of .*: the answer 'E' is not among the choices A, B, C, D"),
        ({"answers": ["B"]}, "is not as published: ValueError"),
        ({"article": None}, "is not as published: AttributeError"),
    ],
)
def test_a_passage_that_cannot_be_asked_is_refused(change: Mapping[str, Any], message: str, tmp_path: Path) -> None:
    write(tmp_path / "test/high/1.txt", {**PASSAGE, **change})
    with pytest.raises(DataError, match=message):
        items_of(RACE_HIGH, race(RACE_HIGH, tmp_path), 0, 0)


def test_a_passage_that_is_no_json_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "high1.txt", "Ann keeps bees.")
    with pytest.raises(DataError, match=f"{file} is not JSON"):
        list(passages(tmp_path))


def test_analogies_are_two_pairs_of_words(tmp_path: Path) -> None:
    write(tmp_path / "sat-analogies/SAT-package-V3.txt", ANALOGIES)
    split = read_split(SAT, "test", tmp_path)
    assert len(split.records) == 2
    pairs = ("lion is to cat", "goose is to flock", "ewe is to sheep", "cub is to bear", "primate is to monkey")
    options = tuple(Option("ostrich is to bird as", f" {pair}") for pair in pairs)
    assert items_of(SAT, split, 0, 0) == [Choice(options, (0,))]
    assert demonstration_of(SAT, split, 1, 20) == "paltry is to significance as banal is to originality"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n:n\na\n", "n:n\nf\n", "the answer 'f' is not among the choices a, b, c, d, e"),
        ("lion cat n:n", "lion", "question 1 is not an origin, a stem, 5 choices and a letter"),
        ("a:n\ne\n", "a:n\n", "question 2 is not an origin"),
    ],
)
def test_an_analogy_that_cannot_be_asked_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in ANALOGIES
    write(tmp_path / "SAT-package-V3.txt", ANALOGIES.replace(old, new))
    with pytest.raises(DataError, match=message):
        ask(SAT, tmp_path)
