"""SuperGLUE's short tasks stand in the printed words; what WSC writes is held against its label."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Choice, Free, Item, Option, Outcome
from gptrilogy.evaluation.task import Task
from gptrilogy.evaluation.tasks.superglue import REFERENCES_FOUND, TASKS

BOOLQ, CB, COPA, RTE, WIC, WSC = TASKS
IS_OLD = {"passage": "Bridge -- It opened in 1903.", "question": "is the bridge old", "label": True}
MAY_RAIN = {"premise": "Did he say it rained?", "hypothesis": "it rained", "label": "neutral"}
WET_LAWN = {
    "premise": "The lawn was wet.",
    "choice1": "It rained.",
    "choice2": "I'd slept.",
    "question": "cause",
    "label": 0,
}
OPENED = {"premise": "It opened in 1903.", "hypothesis": "It is open.", "label": "not_entailment"}
BANKS = {"word": "bank", "sentence1": "The bank paid.", "sentence2": "The bank flooded.", "label": False}
SAME_USE = "Is the word 'bank' used in the same way in the two sentences above?"
LOSER: dict[str, Any] = {
    "text": "Tom beat Mr. Ray, and he cried because he lost.",
    "target": {"span1_text": "Mr. Ray", "span1_index": 2, "span2_text": "he", "span2_index": 8},
    "label": True,
}
EXAM_QUESTION = (
    "Passage: Tom beat Mr. Ray, and he cried because *he* lost.\n"
    'Question: In the passage above, what does the pronoun "*he*" refer to?\n'
    "Answer:"
)


def publish(folder: Path, task: Task, *records: Mapping[str, Any]) -> Path:
    """A folder of SuperGLUE whose splits hold the same records."""
    for split in ("train", "val"):
        file = folder / f"{task.folder}/{split}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return folder


def ask(task: Task, folder: Path, record: Mapping[str, Any]) -> Item:
    (item,) = items_of(task, read_split(task, "test", publish(folder, task, record)), 0, 0)
    return item


@pytest.mark.parametrize(
    ("task", "record", "context", "words", "gold"),
    [
        (
            BOOLQ,
            IS_OLD,
            "Bridge -- It opened in 1903.\nquestion: is the bridge old?\nanswer:",
            [" yes", " no"],
            0,
        ),
        (
            CB,
            MAY_RAIN,
            "Did he say it rained?\nquestion: it rained. true, false, or neither?\nanswer:",
            [" true", " false", " neither"],
            2,
        ),
        (COPA, WET_LAWN, "The lawn was wet because", [" it rained.", " I'd slept."], 0),
        (
            RTE,
            OPENED,
            "It opened in 1903.\nquestion: It is open. True or False?\nanswer:",
            [" True", " False"],
            1,
        ),
        (
            WIC,
            BANKS,
            f"The bank paid.\nThe bank flooded.\nquestion: {SAME_USE}\nanswer:",
            [" yes", " no"],
            1,
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Task) else "",
)
def test_a_record_is_asked_in_the_printed_words(
    task: Task, record: Mapping[str, Any], context: str, words: list[str], gold: int, tmp_path: Path
) -> None:
    assert ask(task, tmp_path, record) == Choice(tuple(Option(context, word) for word in words), (gold,))
    assert demonstration_of(task, read_split(task, "train", tmp_path), 0, 32) == context + words[gold]


def test_an_effect_follows_after_so(tmp_path: Path) -> None:
    record = {**WET_LAWN, "choice1": "The match was cancelled.", "question": "effect"}
    assert ask(COPA, tmp_path, record).demonstration == "The lawn was wet so the match was cancelled."


@pytest.mark.parametrize(
    ("task", "record", "row"),
    [
        (BOOLQ, IS_OLD, {"label": 1}),
        (CB, MAY_RAIN, {"label": 2}),
        (COPA, WET_LAWN, {"label": 0}),
        (RTE, OPENED, {"label": 1}),
        (WIC, BANKS, {"label": 0}),
        (WSC, LOSER, {**LOSER["target"], "label": 1}),
    ],
    ids=lambda value: value.name if isinstance(value, Task) else "",
)
def test_rows_of_the_hub_ask_the_same(task: Task, record: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    assert task.hub is not None
    published = {name: value for name, value in record.items() if name != "target"}
    assert task.items(task.hub.record({**published, **row}), 0) == task.items(record, 0)


@pytest.mark.parametrize(
    ("task", "record", "choices"),
    [
        (BOOLQ, {**IS_OLD, "label": "maybe"}, "True, False"),
        (CB, {**MAY_RAIN, "label": "maybe"}, "entailment, contradiction, neutral"),
        (COPA, {**WET_LAWN, "label": "maybe"}, "0, 1"),
        (COPA, {**WET_LAWN, "question": "maybe"}, "cause, effect"),
        (RTE, {**OPENED, "label": "maybe"}, "entailment, not_entailment"),
        (WIC, {**BANKS, "label": "maybe"}, "True, False"),
        (WSC, {**LOSER, "label": "maybe"}, "False, True"),
    ],
    ids=lambda value: value.name if isinstance(value, Task) else "",
)
def test_a_label_that_is_none_is_refused(task: Task, record: Mapping[str, Any], choices: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"record 1 of .*: the answer 'maybe' is not among the choices {choices};"):
        ask(task, tmp_path, record)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_an_unlabelled_record_is_refused(task: Task, tmp_path: Path) -> None:
    records = {BOOLQ: IS_OLD, CB: MAY_RAIN, COPA: WET_LAWN, RTE: OPENED, WIC: BANKS, WSC: LOSER}
    record = {name: value for name, value in records[task].items() if name != "label"}
    with pytest.raises(DataError, match=r"record 1 of .*val\.jsonl has no field label; it has "):
        ask(task, tmp_path, record)


def test_wsc_asks_for_the_noun_in_lower_case(tmp_path: Path) -> None:
    item = ask(WSC, tmp_path, LOSER)
    assert isinstance(item, Free)
    assert (item.context, item.answers) == (EXAM_QUESTION, ("mr. ray",))
    assert WSC.description.startswith("Final Exam with Answer Key\n")
    assert WSC.description.endswith("\n=====\n")
    assert WSC.fixed_draw


def test_wsc_demonstrates_only_nouns_that_are_right(tmp_path: Path) -> None:
    wrong = {**LOSER, "target": {**LOSER["target"], "span1_text": "Tom"}, "label": False}
    split = read_split(WSC, "train", publish(tmp_path, WSC, wrong, LOSER, wrong))
    assert len(split.records) == 1
    assert demonstration_of(WSC, split, 0, 32) == f"{EXAM_QUESTION} mr. ray"
    assert len(read_split(WSC, "test", tmp_path).records) == 3


def test_wsc_without_its_pronoun_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the word 'he' does not occur in 'The hen left\.'"):
        ask(WSC, tmp_path, {**LOSER, "text": "The hen left."})


@pytest.mark.parametrize(
    ("written", "label", "right"),
    [(" Mr. Ray", True, True), (" tom", True, False), (" Mr. Ray", False, False), (" tom", False, True)],
)
def test_what_is_written_is_right_where_it_agrees_with_the_label(
    written: str, label: bool, right: bool, tmp_path: Path
) -> None:
    outcome = Outcome(ask(WSC, tmp_path, {**LOSER, "label": label}), record=0, text=written)
    other = Outcome(ask(WSC, tmp_path, LOSER), record=1, text="mr. ray")
    assert REFERENCES_FOUND([outcome, other]).value == (1.0 if right else 0.5)
