"""HellaSwag and StoryCloze ask what Figures G.9 and G.17 show."""

import bz2
import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Choice, Option
from gptrilogy.evaluation.tasks.endings import TASKS, storycloze_row

HELLASWAG, STORYCLOZE = TASKS
SWIMMING = {
    "activity_label": "Swimming",
    "ctx": "A boy stands by the pool. Then [substeps] he waits. he",
    "endings": ["jumps.", "[title] Flies away.", "sings [step] loudly.", "sleeps"],
    "label": 0,
}
STORY = {
    "InputStoryid": "1",
    "InputSentence1": "Ann had a cat, and a dog. ",
    "InputSentence2": 'She said "hi".',
    "InputSentence3": "It purred.",
    "InputSentence4": "It slept.",
    "RandomFifthSentenceQuiz1": "Ann flew.",
    "RandomFifthSentenceQuiz2": "Ann smiled.",
    "AnswerRightEnding": "2",
}


def hellaswag(folder: Path, **changes: object) -> Path:
    record = {name: value for name, value in (SWIMMING | changes).items() if value is not None}
    (folder / "hellaswag_val.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    return folder


def stories(file: Path, *rows: Mapping[str, str]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def test_hellaswag_shows_activity_and_context_without_marks(tmp_path: Path):
    split = read_split(HELLASWAG, "test", hellaswag(tmp_path))
    context = "Swimming: A boy stands by the pool. Then he waits. He"
    endings = [" jumps.", " Flies away.", " sings loudly.", " sleeps"]
    assert items_of(HELLASWAG, split, 0, 0) == [Choice(tuple(Option(context, ending) for ending in endings), gold=(0,))]
    assert demonstration_of(HELLASWAG, split, 0, 20) == f"{context} jumps."


def test_hellaswag_reads_its_10042_questions(shared_data: Callable[[str], Path]):
    split = read_split(HELLASWAG, "test", shared_data("eval"))
    assert len(split.records) == 10_042
    (item,) = items_of(HELLASWAG, split, 0, 0)
    assert isinstance(item, Choice)
    assert item.gold == (3,)
    assert demonstration_of(HELLASWAG, split, 0, 0) == (
        "Roof shingle removal: A man is sitting on a roof. He starts pulling up roofing on a roof."
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ctx": None}, "record 1 of .*hellaswag_val.jsonl has no field ctx; it has activity_label, endings, label"),
        ({"label": 4}, "the answer '4' is not among the choices 0, 1, 2, 3"),
        ({"label": ""}, "the answer '' is not among"),
        ({"endings": 5}, "is not as published: TypeError"),
    ],
)
def test_hellaswag_says_what_is_wrong_with_a_record(tmp_path: Path, changes: dict[str, object], said: str):
    split = read_split(HELLASWAG, "test", hellaswag(tmp_path, **changes))
    with pytest.raises(DataError, match=said):
        items_of(HELLASWAG, split, 0, 0)


def test_hellaswag_in_six_lines_cut_short_is_refused(tmp_path: Path):
    (tmp_path / "hellaswag_val_full.txt.bz2").write_bytes(bz2.compress(b"Swimming: A boy\n0\njumps.\n"))
    with pytest.raises(DataError, match="3 lines of its last question, not 6"):
        read_split(HELLASWAG, "test", tmp_path)


def test_storycloze_shows_four_sentences_then_the_fifth(tmp_path: Path):
    stories(tmp_path / "storycloze" / "cloze_test_test__spring2016 - cloze_test_ALL_test.csv", STORY)
    split = read_split(STORYCLOZE, "test", tmp_path)
    context = 'Ann had a cat, and a dog. She said "hi". It purred. It slept.'
    options = (Option(context, " Ann flew."), Option(context, " Ann smiled."))
    assert items_of(STORYCLOZE, split, 0, 0) == [Choice(options, gold=(1,))]
    assert demonstration_of(STORYCLOZE, split, 0, 70) == f"{context} Ann smiled."


def test_storycloze_demonstrates_from_the_validation_set(tmp_path: Path):
    stories(tmp_path / "cloze_test_test__spring2016.csv", STORY)
    with pytest.raises(DataError, match="lacks the train file of storycloze"):
        read_split(STORYCLOZE, "train", tmp_path)
    stories(tmp_path / "cloze_test_val__winter2018.csv", STORY, STORY)
    assert len(read_split(STORYCLOZE, "train", tmp_path).records) == 2


def test_storycloze_without_its_answers_is_refused(tmp_path: Path):
    stories(tmp_path / "cloze_test_test__spring2016.csv", {k: v for k, v in STORY.items() if k != "AnswerRightEnding"})
    split = read_split(STORYCLOZE, "test", tmp_path)
    with pytest.raises(DataError, match="has no field AnswerRightEnding"):
        items_of(STORYCLOZE, split, 0, 0)


def test_storycloze_with_an_answer_that_is_no_ending_is_refused(tmp_path: Path):
    stories(tmp_path / "cloze_test_test__spring2016.csv", STORY | {"AnswerRightEnding": "3"})
    with pytest.raises(DataError, match="the answer '3' is not among the choices 1, 2"):
        items_of(STORYCLOZE, read_split(STORYCLOZE, "test", tmp_path), 0, 0)


def test_a_row_of_the_hub_is_the_published_record():
    sentences = {f"input_sentence_{number}": STORY[f"InputSentence{number}"] for number in (1, 2, 3, 4)}
    endings = {f"sentence_quiz{number}": STORY[f"RandomFifthSentenceQuiz{number}"] for number in (1, 2)}
    record = storycloze_row({**sentences, **endings, "answer_right_ending": 2})
    assert STORYCLOZE.items(record, 0) == STORYCLOZE.items(STORY, 0)
