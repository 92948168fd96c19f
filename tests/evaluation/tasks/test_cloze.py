"""LAMBADA and the Children's Book Test ask what the papers describe, of published files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Choice, Cloze, Option
from gptrilogy.evaluation.task import Task
from gptrilogy.evaluation.tasks.cloze import STOP_WORDS, TASKS

BY_NAME = {task.name: task for task in TASKS}
LAMBADA = BY_NAME["lambada"]
PASSAGES = [task for name, task in BY_NAME.items() if name.startswith("lambada")]
BOOKS = [task for name, task in BY_NAME.items() if name.startswith("cbt")]

STORY = [f"Sentence {number} was n't long ." for number in range(1, 20)] + ["`` Who ? '' asked Mr. Fox ."]
CANDIDATES = ["hen", "dog", "fox"]


def lambada(folder: Path, *texts: str, file: str = "lambada_test.jsonl") -> Path:
    (folder / file).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return folder


def cbt(folder: Path, question: str, *, answer: str = "dog", kind: str = "CN", copies: int = 1) -> Path:
    lines = [f"{number} {sentence}" for number, sentence in enumerate(STORY, start=1)]
    lines.append(f"21 {question}\t{answer}\t\t{'|'.join(CANDIDATES)}")
    text = "".join("\n".join(lines) + "\n\n" for _ in range(copies))
    (folder / f"cbtest_{kind}_valid_2000ex.txt").write_text(text, encoding="utf-8")
    return folder


def test_lambada_without_demonstrations_goes_on(tmp_path: Path):
    split = read_split(LAMBADA, "test", lambada(tmp_path, 'She asked:\n\n"Who met the old king'))
    assert items_of(LAMBADA, split, 0, 0) == [Cloze('She asked:\n\n"Who met the old', " king")]


def test_lambada_with_demonstrations_fills_a_blank(tmp_path: Path):
    split = read_split(LAMBADA, "test", lambada(tmp_path, "Who met the old king"))
    context = "Fill in blank:\n\nWho met the old ____. ->"
    assert items_of(LAMBADA, split, 0, 1) == [Cloze(context, " king")]
    assert demonstration_of(LAMBADA, split, 0, 15) == f"{context} king"


@pytest.mark.parametrize(
    ("name", "last_token", "banned"),
    [
        ("lambada-plain", False, frozenset[str]()),
        ("lambada-last-token", True, frozenset[str]()),
        ("lambada-stop-words", False, STOP_WORDS),
    ],
)
def test_the_other_lambadas_go_on_in_every_setting(tmp_path: Path, name: str, last_token: bool, banned: frozenset[str]):
    task = BY_NAME[name]
    split = read_split(task, "test", lambada(tmp_path, "Who met the old king"))
    expected = [Cloze("Who met the old", " king", last_token=last_token, banned=banned)]
    assert [items_of(task, split, 0, shots) for shots in (0, 15)] == [expected, expected]
    assert demonstration_of(task, split, 0, 15) == "Who met the old king"


def test_the_stop_words_are_function_words_in_lower_case():
    assert {"the", "of", "and", "was", "n't", "you"} <= STOP_WORDS
    assert not {"king", "door", "said", "signs"} & STOP_WORDS
    assert all(word == word.lower().strip() for word in STOP_WORDS)


def test_lambada_reads_its_5153_passages(shared_data: Callable[[str], Path]):
    split = read_split(LAMBADA, "test", shared_data("eval"))
    items = [items_of(LAMBADA, split, number, 0)[0] for number in range(len(split.records))]
    assert len(items) == 5_153
    assert [item.demonstration for item in items] == [record["text"] for record in split.records]
    words = [item.completion.strip() for item in items if isinstance(item, Cloze)]
    assert words[:2] == ["signs", "Shane"]
    assert sum(len(word.split()) > 1 for word in words) == 6  # parted by a line break; a seventh begins with one
    assert sum(word.lower() in STOP_WORDS for word in words) == 57


def test_lambada_demonstrates_from_its_development_text(shared_data: Callable[[str], Path]):
    folder = shared_data("eval")
    split = read_split(LAMBADA, "train", folder, limit=10)
    lines = Path(split.origin).read_text(encoding="utf-8").splitlines()
    opening = 'Fill in blank:\n\n"nineteen," she said, and he loosed a breath that could have been sadness or relief'
    assert demonstration_of(LAMBADA, split, 1, 15).startswith(opening)
    assert [record["text"].split(" ")[-1] for record in split.records] == [line.split()[-1] for line in lines[:10]]


def test_the_development_set_in_json_comes_before_the_text(tmp_path: Path):
    lambada(tmp_path, "The dog ran to its bed", file="lambada_dev.jsonl")
    (tmp_path / "lambada_development_plain_text.txt").write_text("a cat , it sat\n", encoding="utf-8")
    assert read_split(LAMBADA, "train", tmp_path).records == [{"text": "The dog ran to its bed"}]


@pytest.mark.parametrize("text", ["", "king", " king", "the old king "])
@pytest.mark.parametrize("shots", [0, 15])
@pytest.mark.parametrize("task", PASSAGES, ids=lambda task: task.name)
def test_a_passage_of_less_than_a_context_and_a_word_is_refused(tmp_path: Path, task: Task, shots: int, text: str):
    split = read_split(task, "test", lambada(tmp_path, "It is well", text))
    with pytest.raises(DataError, match=r"record 2 of .*must end with a space and one word, got"):
        items_of(task, split, 1, shots)


def test_a_passage_without_text_is_refused(tmp_path: Path):
    (tmp_path / "lambada_test.jsonl").write_text('{"passage": "a b"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"record 1 of .* has no field text; it has passage"):
        items_of(LAMBADA, read_split(LAMBADA, "test", tmp_path), 0, 0)


@pytest.mark.parametrize(
    ("question", "ending", "rest"),
    [
        ("He met the XXXXX , and fled .", " He met the", " {}, and fled."),
        ("XXXXX did n't come .", "", " {} didn't come."),
        ("`` XXXXX , '' he said .", ' "', '{}," he said.'),
        ("He saw the XXXXX", " He saw the", " {}"),
    ],
)
@pytest.mark.parametrize("task", BOOKS, ids=lambda task: task.name)
def test_a_book_goes_on_with_each_candidate(tmp_path: Path, task: Task, question: str, ending: str, rest: str):
    split = read_split(task, "test", cbt(tmp_path, question, kind=task.name[4:].upper()))
    story = " ".join(f"Sentence {number} wasn't long." for number in range(1, 20)) + ' "Who?" asked Mr. Fox.'
    options = tuple(Option(story + ending, rest.format(word)) for word in CANDIDATES)
    assert items_of(task, split, 0, 0) == [Choice(options, gold=(1,))]
    assert demonstration_of(task, split, 0, 1) == story + ending + rest.format("dog")


def test_a_file_of_questions_gives_each(tmp_path: Path):
    (task, *_) = BOOKS
    split = read_split(task, "test", cbt(tmp_path, "A XXXXX .", copies=3))
    assert [len(record["sentences"]) for record in split.records] == [20, 20, 20]
    assert [record["question"] for record in split.records] == ["A XXXXX ."] * 3


@pytest.mark.parametrize(
    ("question", "answer", "said"),
    [
        ("He met a dog .", "dog", "the question has no blank XXXXX: 'He met a dog.'"),
        ("He met a XXXXX .", "cat", "the answer 'cat' is not among the choices hen, dog, fox"),
    ],
)
def test_a_question_says_what_is_wrong_with_it(tmp_path: Path, question: str, answer: str, said: str):
    (task, *_) = BOOKS
    split = read_split(task, "test", cbt(tmp_path, question, answer=answer))
    with pytest.raises(DataError, match=said):
        items_of(task, split, 0, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 One .\n3 Three .\n", "line 2 is not sentence 2 of a question: '3 Three .'"),
        ("1 One .\n2 A XXXXX .\tdog\n", "line 2 is not sentence 2"),
        ("1 One .\n2 Two .\n", "ends within a question, after its sentence 2"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, said: str):
    (task, *_) = BOOKS
    (tmp_path / "cbtest_CN_valid_2000ex.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_split(task, "test", tmp_path)
