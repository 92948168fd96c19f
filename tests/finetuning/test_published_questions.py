import csv
import io
import json
from pathlib import Path

import pytest
from sklearn.model_selection import (
    train_test_split,  # pyright: ignore[reportUnknownVariableType, reportMissingTypeStubs]
)

from gptrilogy.finetuning.published_questions import story_part
from gptrilogy.finetuning.tasks import Example
from published_files import MRPC_HEADER, folder, only, read, refusal, tsv


def test_mrpc_as_first_released_keeps_glues_validation_out_of_training(tmp_path: Path) -> None:
    one, two = ["1", "70", "71", "One", "Uno"], ["0", "80", "81", "Two", "Duo"]
    folder(tmp_path, {"msr_paraphrase_train.txt": "\ufeff" + tsv(MRPC_HEADER, one, two)})
    assert len(read("mrpc", tmp_path, "train")[0]) == 2
    folder(tmp_path, {"dev.tsv": tsv(MRPC_HEADER, two), "msr_paraphrase_test.txt": tsv(MRPC_HEADER, one)})
    assert only("mrpc", tmp_path, "train").texts == ("One", "Uno")
    assert only("mrpc", tmp_path, "valid").texts == ("Two", "Duo")
    assert only("mrpc", tmp_path, "test").texts == ("One", "Uno")


PASSAGE = {
    "article": "Tom went out.",
    "questions": ["Who went out?", "He _ out."],
    "options": [["Ann", "Tom", "Sue", "Bob"], ["B", "A", "went", "goes"]],
    "answers": ["B", "C"],
    "id": "middle1.txt",
}


def test_race_has_several_questions_a_file_and_a_file_a_passage(tmp_path: Path) -> None:
    other = {**PASSAGE, "questions": ["Which?"], "options": [["B", "A", "x", "y"]], "answers": ["A"]}
    folder(tmp_path, {"train/middle/1.txt": json.dumps(PASSAGE), "train/high/2.txt": json.dumps(other)})
    found, notes = read("race", tmp_path, "train")
    assert notes == []
    assert found == [
        Example(("Tom went out.", "Which?"), ("B", "A", "x", "y"), 0, f"{tmp_path}/train/high/2.txt: question 1"),
        Example(
            ("Tom went out.", "Who went out?"),
            ("Ann", "Tom", "Sue", "Bob"),
            1,
            f"{tmp_path}/train/middle/1.txt: question 1",
        ),
        Example(
            ("Tom went out.", "He _ out."),
            ("B", "A", "went", "goes"),
            2,
            f"{tmp_path}/train/middle/1.txt: question 2",
        ),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "1.txt is no passage of RACE (Invalid JSON"),
        ("[" * 100_000, "1.txt is no passage of RACE (Invalid JSON"),
        (json.dumps({**PASSAGE, "article": None}), "1.txt is no passage of RACE (Input should be a valid string)"),
        (json.dumps({**PASSAGE, "answers": ["A"]}), "1.txt has 2 questions, 2 lists of options and 1 answers"),
        (json.dumps({**PASSAGE, "answers": ["A", "E"]}), "1 of 2 rows cannot be used"),
    ],
)
def test_a_passage_of_race_that_is_damaged_is_named(tmp_path: Path, content: str, message: str) -> None:
    assert message in refusal("race", folder(tmp_path, {"dev/high/1.txt": content}), "valid")


STORY_HEADER = [
    "InputStoryid",
    *(f"InputSentence{number}" for number in (1, 2, 3, 4)),
    "RandomFifthSentenceQuiz1",
    "RandomFifthSentenceQuiz2",
    "AnswerRightEnding",
]
STORY_FILE = "cloze_test_{0}__spring2016 - cloze_test_ALL_{0}.csv"


def stories(n: int) -> str:
    buffer = io.StringIO()
    rows = [[str(k), f"Story {k}, a", "b", "c", "d", "Right.", "Wrong.", str(1 + k % 2)] for k in range(n)]
    csv.writer(buffer).writerows([STORY_HEADER, *rows])
    return buffer.getvalue()


def test_story_cloze_trains_and_validates_on_gpt1s_parts_of_the_validation_file(tmp_path: Path) -> None:
    folder(tmp_path, {STORY_FILE.format("val"): stories(1871), STORY_FILE.format("test"): stories(3)})
    train, valid, test = (read("storycloze", tmp_path, split)[0] for split in ("train", "valid", "test"))
    assert (len(train), len(valid), len(test)) == (1497, 374, 3)
    assert {example.texts for example in train}.isdisjoint(example.texts for example in valid)
    assert test[1] == Example(
        ("Story 1, a b c d", ""), ("Right.", "Wrong."), 1, f"{tmp_path}/{STORY_FILE.format('test')}:3"
    )


def test_the_parts_of_story_cloze_are_those_that_the_released_code_draws() -> None:
    train, valid = train_test_split(range(1871), test_size=374, random_state=3535999445)
    assert story_part(1871, "train") == sorted(train)
    assert story_part(1871, "valid") == sorted(valid)


def test_story_cloze_without_its_endings_names_the_column(tmp_path: Path) -> None:
    folder(tmp_path, {STORY_FILE.format("test"): stories(3).replace("RandomFifthSentenceQuiz2", "Quiz2")})
    assert "no column 'RandomFifthSentenceQuiz2'" in refusal("storycloze", tmp_path, "test")
