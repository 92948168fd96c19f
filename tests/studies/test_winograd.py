"""Winograd schemas are read as they were published."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.heuristics import Schema
from gptrilogy.studies.winograd import read_schemas


def test_the_first_word_of_a_referent_is_in_lower_case_inside_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "wsc.txt"
    path.write_text(
        "The dog chased the cat because  [MASK]  was hungry. \n[MASK]\n The dog , The cat \n The dog \n\n"
        "The dog chased the cat, which ran.  [MASK]  waited. \n[MASK]\nThe dog ,The cat\nThe dog\n\n"
        "Ann saw Joan, so she greeted  [MASK] . \n[MASK]\n Ann,Joan \n Joan\n\n"
        "[MASK] was late.\n[MASK]\nThe bus,The train\nThe train\n"
    )
    assert list(read_schemas(path)) == [
        (Schema("The dog chased the cat because ", ("the dog", "the cat"), " was hungry."), 0),
        (Schema("The dog chased the cat, which ran. ", ("The dog", "The cat"), " waited."), 0),
        (Schema("Ann saw Joan, so she greeted ", ("Ann", "Joan"), "."), 1),
        (Schema("", ("The bus", "The train"), " was late."), 1),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Ann saw Joan.\n[MASK]\nAnn,Joan\nAnn\n", "record 1 is not a sentence"),
        (b"[MASK] slept.\n[MASK]\nAnn,\nAnn\n", "record 1 is not a sentence"),
        (b"[MASK] slept.\n[MASK]\nAnn,Joan\nEve\n", "record 1 is not a sentence"),
        (b"[MASK] slept.\n[MASK]\nAnn,Joan\nAnn\n\nand more\n", "record 2 is not a sentence"),
        (b"", "record 1 is not a sentence"),
        (b"\xff", "not UTF-8 at byte 0"),
    ],
)
def test_what_is_no_schema_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "wsc.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_schemas(path))


def test_the_published_file_holds_273(shared_data: Callable[[str], Path]) -> None:
    rows = list(read_schemas(shared_data("eval/wsc273/wsc273.txt")))
    assert len(rows) == 273
    assert rows[0] == (
        Schema(
            "The city councilmen refused the demonstrators a permit because ",
            ("the city councilmen", "the demonstrators"),
            " feared violence.",
        ),
        0,
    )
