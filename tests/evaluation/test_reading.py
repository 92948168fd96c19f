"""Published files give their records one at a time, and say with file and place what is wrong with one."""

import bz2
import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.errors import DataError
from gptrilogy.evaluation.reading import json_document, json_lines, position, table_rows, text_lines

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    match path.suffix:
        case ".gz":
            data = gzip.compress(data)
        case ".bz2":
            data = bz2.compress(data)
        case _:
            pass
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["x.txt", "x.txt.gz", "x.txt.bz2"])
def test_lines_come_without_their_ends(tmp_path: Path, name: str, ending: str):
    path = write(tmp_path / name, f"né {ending}{ending} b\tc{ending}last")
    assert list(text_lines(path)) == ["né ", "", " b\tc", "last"]


def test_lines_are_read_one_at_a_time(tmp_path: Path):
    path = write(tmp_path / "x.txt", b"fine\n" + b"x" * 100_000 + b"\n\xff\n")
    lines = text_lines(path)
    assert next(lines) == "fine"
    with pytest.raises(DataError, match="cannot be read as text"):
        list(lines)


@pytest.mark.parametrize("name", ["x.txt", "x.txt.gz", "x.txt.bz2"])
def test_what_is_not_utf8_is_refused(tmp_path: Path, name: str):
    path = write(tmp_path / name, b"caf\xe9\n")
    with pytest.raises(DataError, match=rf"{name} cannot be read as text .*; get the file again"):
        list(text_lines(path))


@pytest.mark.parametrize("name", ["x.txt.gz", "x.txt.bz2"])
def test_a_compressed_file_cut_short_is_refused(tmp_path: Path, name: str):
    path = write(tmp_path / name, "".join(f"line {number}\n" for number in range(1_000)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read as text"):
        list(text_lines(path))


@pytest.mark.parametrize("name", ["x.txt.gz", "x.txt.bz2"])
def test_a_file_that_is_not_compressed_as_it_says_is_refused(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_text("plain", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read as text"):
        list(text_lines(path))


@given(records=st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=4))
def test_objects_come_back_from_their_lines(tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]):
    path = write(tmp_path_factory.mktemp("json") / "x.jsonl", "\n\n".join(map(json.dumps, records)) + "\n")
    assert list(json_lines(path)) == records


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"a": 1', "x.jsonl line 3 is not JSON: Expecting"),
        ("[1]", "x.jsonl line 3 is not a JSON object; get the file again"),
        ("[" * 100_000, "x.jsonl line 3 is not JSON: "),
    ],
)
def test_a_line_that_is_no_object_is_refused_with_its_place(tmp_path: Path, line: str, said: str):
    path = write(tmp_path / "x.jsonl", f'{{"a": 1}}\n\n{line}\n')
    records = json_lines(path)
    assert next(records) == {"a": 1}
    with pytest.raises(DataError, match=said):
        next(records)


def test_a_document_is_one_value(tmp_path: Path):
    assert json_document(write(tmp_path / "x.json.gz", '[{"a":\n"é"}]\n')) == [{"a": "é"}]


@pytest.mark.parametrize("content", ["", "[1,", "[" * 100_000])
def test_a_document_that_is_not_json_is_refused(tmp_path: Path, content: str):
    with pytest.raises(DataError, match=r"x.json is not JSON: .*; get the file again"):
        json_document(write(tmp_path / "x.json", content))


def test_a_table_with_commas_has_quotes(tmp_path: Path):
    path = write(tmp_path / "x.csv", 'a,b\n"one, two","say ""hi""\nagain"\n,é\n')
    assert list(table_rows(path, delimiter=",")) == [{"a": "one, two", "b": 'say "hi"\nagain'}, {"a": "", "b": "é"}]


def test_a_table_with_tabs_has_none(tmp_path: Path):
    path = write(tmp_path / "x.tsv.gz", 'a\tb\r\n"one\ttwo"\r\n')
    assert list(table_rows(path)) == [{"a": '"one', "b": 'two"'}]


def test_a_table_without_a_header_is_given_one(tmp_path: Path):
    path = write(tmp_path / "x.tsv", "1\t2\n3\t4\n")
    assert list(table_rows(path, header=["a", "b"])) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


@pytest.mark.parametrize(("header", "number"), [(None, 3), (["a", "b"], 2)])
def test_a_row_of_another_length_is_refused_with_its_place(tmp_path: Path, header: list[str] | None, number: int):
    path = write(tmp_path / "x.tsv", "1\t2\n3\t4\n5\n" if header is None else "3\t4\n5\n")
    with pytest.raises(DataError, match=f"x.tsv row {number} has 1 fields, its header 2; get the file again"):
        list(table_rows(path, header=header))


def test_a_table_that_is_not_utf8_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"x\.tsv cannot be read as a table"):
        list(table_rows(write(tmp_path / "x.tsv", b"a\tb\n\xff\tc\n")))


def test_an_answer_is_found_among_its_names():
    assert [position(answer, ["A", "B", "B"]) for answer in ("A", "B")] == [0, 1]
    assert position(2, range(4)) == 2


@pytest.mark.parametrize(("answer", "names"), [("c", "AB"), (1, "12"), (None, [])])
def test_an_answer_that_is_no_choice_is_refused(answer: object, names: list[str]):
    with pytest.raises(DataError, match=r"is not among the choices .*; mend or leave out the record"):
        position(answer, names)


def test_a_table_row_of_nothing_is_not_lost_in_silence(tmp_path: Path):
    with pytest.raises(DataError, match="row 3 has 0 fields"):
        list(table_rows(write(tmp_path / "x.tsv", "a\tb\n1\t2\n\n3\t4\n")))


def refusals(tmp_path: Path, read: Callable[[Path], Iterable[object]]) -> None:
    """Read a gzip file with one bit turned over, at every seventh byte."""
    whole = gzip.compress(b"".join(b"%d\t%d\n" % (number, number**3) for number in range(200)), mtime=0)
    path = tmp_path / "x.tsv.gz"
    for place in range(10, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="get the file again"):
            list(read(path))


def test_lines_of_a_damaged_compressed_file_are_refused(tmp_path: Path):
    refusals(tmp_path, text_lines)


def test_rows_of_a_damaged_compressed_file_are_refused(tmp_path: Path):
    refusals(tmp_path, table_rows)


@pytest.mark.parametrize("read", [json_lines, json_document])
def test_a_number_of_too_many_digits_is_refused(tmp_path: Path, read: Any):
    path = write(tmp_path / "x.json", '{"a": ' + "1" * 5_000 + "}")
    with pytest.raises(DataError, match="is not JSON"):
        list(read(path))
