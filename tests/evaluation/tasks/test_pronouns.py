"""A pronoun's candidates stand in its place as a writer would have put them; what follows is what is scored."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Choice, Item, Option
from gptrilogy.evaluation.task import Task
from gptrilogy.evaluation.tasks.pronouns import TASKS

WINOGRAD, WINOGRAD_FULL, WINOGRANDE, WINOGENDER = TASKS
HEADER = "pron,txt1,txt2,answer_0,answer_1,label"
Shared = Callable[[str], Path]


def choice(item: Item) -> Choice:
    assert isinstance(item, Choice)
    return item


def choices(task: Task, folder: Path, split: str = "test") -> list[Choice]:
    """The choice that each record is."""
    records = read_split(task, split, folder)
    return [choice(items_of(task, records, number, 0)[0]) for number in range(len(records.records))]


def collection(folder: Path, *rows: str) -> Path:
    (folder / "wsc273").mkdir()
    (folder / "wsc273/WSCollection.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return folder


def test_partial_evaluation_scores_what_follows_the_candidate(shared_data: Shared) -> None:
    schemas = choices(WINOGRAD, shared_data("eval"))
    assert len(schemas) == 273
    assert schemas[2] == Choice(
        (
            Option("The trophy doesn't fit into the brown suitcase because the trophy", " is too large."),
            Option("The trophy doesn't fit into the brown suitcase because the suitcase", " is too large."),
        ),
        gold=(0,),
    )
    assert schemas[0].options[1].context.endswith("a permit because the demonstrators")
    assert sum(schema.gold[0] for schema in schemas) == 136


def test_full_evaluation_scores_the_whole_sentence_from_its_beginning(shared_data: Shared) -> None:
    partial, full = (choices(task, shared_data("eval")) for task in (WINOGRAD, WINOGRAD_FULL))
    assert full[2].options[0] == Option(
        "", "The trophy doesn't fit into the brown suitcase because the trophy is too large."
    )
    assert [schema.demonstration for schema in full] == [schema.demonstration for schema in partial]
    assert [schema.gold for schema in full] == [schema.gold for schema in partial]


def test_candidates_are_written_as_their_place_asks(shared_data: Shared) -> None:
    schemas = choices(WINOGRAD, shared_data("eval"))
    assert schemas[40].demonstration.endswith("so we punished the older students.")
    assert schemas[53].demonstration.endswith("shows an oak tree. The oak tree is to the right of a house.")
    assert schemas[217].demonstration.endswith("gestured toward the barman's bathroom key.")
    assert not [schema for schema in schemas if re.search(r"[a-z,;] (The|A) ", schema.options[0].context)]


def test_both_published_files_hold_the_same_schemas(shared_data: Shared, tmp_path: Path) -> None:
    (tmp_path / "wsc273.txt").symlink_to(shared_data("eval/wsc273/wsc273.txt"))
    masked, told = choices(WINOGRAD, tmp_path), choices(WINOGRAD, shared_data("eval"))
    differing = [told[n].demonstration for n in range(273) if masked[n].demonstration != told[n].demonstration]
    assert len(differing) == 26
    assert all("'s " in sentence for sentence in differing)  # his and her, which the masks hide
    assert {schema.gold for schema in masked} == {(0,), (1,)}  # though the file lists the right one first


def test_a_row_of_the_hub_becomes_a_schema() -> None:
    assert WINOGRAD.hub is not None
    text = "Rain fell on the roof. It was wet."
    row = {"text": text, "pronoun": "It", "pronoun_loc": 23, "options": ["the roof", "the rain"], "label": 0}
    (schema,) = WINOGRAD.items(WINOGRAD.hub.record(row), 0)
    assert schema.demonstration == "Rain fell on the roof. The roof was wet."


def test_winogrande_scores_what_follows_the_gap(shared_data: Shared) -> None:
    questions = choices(WINOGRANDE, shared_data("eval"))
    assert len(questions) == 1267
    assert questions[0] == Choice(
        (
            Option("Sarah was a much better surgeon than Maria so Sarah", " always got the easier cases."),
            Option("Sarah was a much better surgeon than Maria so Maria", " always got the easier cases."),
        ),
        gold=(1,),
    )
    answers = shared_data("eval/winogrande/dev-labels.lst").read_text().split()
    assert [str(question.gold[0] + 1) for question in questions] == answers


def test_winogrande_demonstrates_from_the_largest_training_file(shared_data: Shared) -> None:
    split = read_split(WINOGRANDE, "train", shared_data("eval"))
    assert list(split.files) == ["train_s.jsonl"]
    assert demonstration_of(WINOGRANDE, split, 0, 1) == (
        "Ian volunteered to eat Dennis's menudo after already having a bowl because Dennis despised eating intestine."
    )


def test_winogender_asks_whom_the_pronoun_refers_to(shared_data: Shared) -> None:
    questions = choices(WINOGENDER, shared_data("eval"))
    assert len(questions) == 360
    context = 'The technician told the customer that she could pay with cash. "She" refers to the'
    assert questions[1] == Choice((Option(context, " technician"), Option(context, " customer")), gold=(1,))
    assert sum(question.gold[0] for question in questions) == 180
    assert {question.options[0].context.split('"')[1] for question in questions} == {
        *("He", "She", "They", "His", "Her", "Their", "Him", "Them")
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("he,Al saw Bo and,left.,Al,Bo,2", "record 1 of .*: the answer '2' is not among the choices 0, 1"),
        ("he,Al saw,,Al,Bo,0", "nothing follows the pronoun after 'Al saw'"),
    ],
)
def test_a_schema_that_cannot_be_scored_is_refused(row: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        choices(WINOGRAD, collection(tmp_path, row))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "WSCollection.csv").write_text("txt1,txt2,pron,answer_0,label\na,b.,he,c,0\n")
    with pytest.raises(DataError, match="has no field answer_1; it has txt1, txt2, pron, answer_0, label"):
        choices(WINOGRAD, tmp_path)


@pytest.mark.parametrize(
    "block",
    [
        "Al saw Bo and [MASK] left.\n[MASK]\nAl, Bo\nCy",
        "Al saw Bo and left.\n[MASK]\nAl, Bo\nAl",
        "Al saw Bo and [MASK] left.\n[MASK]\nAl, Bo",
    ],
)
def test_a_block_that_is_no_schema_is_refused(block: str, tmp_path: Path) -> None:
    (tmp_path / "wsc273.txt").write_text(f"{block}\n")
    with pytest.raises(DataError, match=r"wsc273\.txt record 1 is not a sentence, \[MASK\], two candidates"):
        choices(WINOGRAD, tmp_path)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"sentence": "A _ b.", "option1": "c", "option2": "d", "answer": ""}', "the answer '' is not among .* 1, 2"),
        ('{"sentence": "A b.", "option1": "c", "option2": "d", "answer": "1"}', "nothing follows the gap _ of 'A b.'"),
        ('{"sentence": "A _ b.", "option1": "c", "answer": "1"}', "has no field option2"),
    ],
)
def test_a_winogrande_record_that_cannot_be_asked_is_refused(record: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "dev.jsonl").write_text(f"{record}\n")
    with pytest.raises(DataError, match=message):
        choices(WINOGRANDE, tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "sentid\tsentence\ncook.guest.2.male.txt\tThe cook saw him.\n",
            "the answer '2' is not among the choices 0, 1",
        ),
        ("sentid\tsentence\ncook.guest.1.male.txt\tThe cook saw it.\n", "there is no pronoun in 'The cook saw it.'"),
        ("sentid\tsentence\ncook.guest\tThe cook saw him.\n", "is not as published: ValueError"),
        ("id\tsentence\ncook.guest.1.male.txt\tThe cook saw him.\n", "has no field sentid; it has id, sentence"),
    ],
)
def test_a_winogender_sentence_that_cannot_be_asked_is_refused(table: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "all_sentences.tsv").write_text(table)
    with pytest.raises(DataError, match=message):
        choices(WINOGENDER, tmp_path)
