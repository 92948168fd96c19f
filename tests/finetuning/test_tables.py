import csv
import gzip
import io
import json
import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.errors import DataError, MissingExtraError
from gptrilogy.finetuning import tables
from gptrilogy.finetuning.tables import Format, TableRow, read_lines, read_table


def rows(content: bytes | str, kind: Format, *, header: bool = True) -> list[TableRow]:
    stream = io.BytesIO(content.encode() if isinstance(content, str) else content)
    return list(read_lines(stream, kind, name="a", header=header))


def values(content: bytes | str, kind: Format, *, header: bool = True) -> list[Any]:
    return [row.values for row in rows(content, kind, header=header)]


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(DataError) as raised:
        action()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def write_parquet(path: Path, table: pa.Table) -> Path:
    pq.write_table(table, path)
    return path


CONTENTS: dict[str, str] = {
    "a.jsonl": '{"text": "one", "label": "0"}\n\n{"text": "two", "label": "1"}',
    "a.ndjson": '{"text": "one", "label": "0"}\n{"text": "two", "label": "1"}\n',
    "a.csv": 'text,label\none,0\n"two",1\n',
    "a.tsv": "text\tlabel\r\none\t0\r\ntwo\t1\r\n",
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", CONTENTS)
def test_the_suffix_tells_how_rows_are_read(tmp_path: Path, name: str, compressed: bool) -> None:
    path = tmp_path / (f"{name.upper()}.gz" if compressed else name)
    content = b"\xef\xbb\xbf" + CONTENTS[name].encode()
    path.write_bytes(gzip.compress(content) if compressed else content)
    found = list(read_table(path))
    assert [row.values for row in found] == [{"text": "one", "label": "0"}, {"text": "two", "label": "1"}]
    assert found[-1].where == f"{path}:{2 if name == 'a.ndjson' else 3}"


def test_a_format_given_overrides_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "snli.txt").write_text("gold_label\tsentence1\nneutral\tA man.\n")
    (row,) = read_table(tmp_path / "snli.txt", format="tsv")
    assert row.values == {"gold_label": "neutral", "sentence1": "A man."}


def test_parquet_keeps_lists_objects_and_gaps(tmp_path: Path) -> None:
    records = [
        {"question": "Why?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "score": 0.5},
        {"question": None, "choices": {"text": [], "label": []}, "score": None},
    ]
    path = write_parquet(tmp_path / "a.parquet", pa.Table.from_pylist(records))
    assert list(read_table(path)) == [TableRow(records[0], f"{path}:1"), TableRow(records[1], f"{path}:2")]


def test_parquet_is_numbered_through_batches_and_row_groups(tmp_path: Path) -> None:
    table = pa.table({"n": list(range(1, 3001))})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=700)
    assert all(row.where.endswith(f":{row.values['n']}") for row in read_table(tmp_path / "a.parquet"))


def test_without_a_header_columns_are_numbers_from_0() -> None:
    assert values("gj04\t1\t\tIt rained.\n", "tsv", header=False) == [
        {"0": "gj04", "1": "1", "2": "", "3": "It rained."}
    ]
    assert values('"a, b",2\n', "csv", header=False) == [{"0": "a, b", "1": "2"}]


def test_quotes_are_characters_in_tsv() -> None:
    assert values('text\tlabel\n"Open\t1\n""\t0\n', "tsv") == [
        {"text": '"Open', "label": "1"},
        {"text": '""', "label": "0"},
    ]


def test_a_quoted_cell_of_csv_spans_lines_and_its_row_is_where_it_begins() -> None:
    found = rows('text,label\n"one\ntwo ""three""",1\nfour,0\n', "csv")
    assert [(row.values["text"], row.where) for row in found] == [('one\ntwo "three"', "a:2"), ("four", "a:4")]


def test_lines_of_text_are_rows_and_blank_ones_too() -> None:
    assert rows("one\r\n\ntwo", "text") == [
        TableRow({"text": "one"}, "a:1"),
        TableRow({"text": ""}, "a:2"),
        TableRow({"text": "two"}, "a:3"),
    ]


@pytest.mark.parametrize(
    ("kind", "first"),
    [("jsonl", b'{"text": "one"}\n'), ("tsv", b"text\none\n"), ("csv", b'text\n"one"\n'), ("text", b"one\n")],
)
def test_a_row_is_given_out_before_the_next_is_written(kind: Format, first: bytes) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as pipe:
        too_late = threading.Timer(10, pipe.close)  # so that a reader which waits for more ends, and fails
        too_late.start()
        pipe.write(first)
        row = next(read_lines(stream, kind))
        assert not pipe.closed
        too_late.cancel()
    assert row.values == {"text": "one"}


def test_a_cell_may_be_long_and_the_limit_of_other_readers_stays() -> None:
    before = csv.field_size_limit()
    long = "x" * (before + 1)
    assert values(f"text\n{long}\n", "csv") == [{"text": long}]
    assert csv.field_size_limit() == before


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=5))
def test_csv_comes_back_as_it_was_written(cells: list[list[str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["a", "b"], *cells])
    expected = [[cell.replace("\r\n", "\n") for cell in row] for row in cells]  # inside a cell too, a line end is \n
    assert [list(row.values()) for row in values(buffer.getvalue(), "csv")] == expected


@given(st.lists(st.lists(CELLS.filter(lambda cell: not set(cell) & set("\t\n\r")), min_size=2, max_size=2), max_size=5))
def test_tsv_comes_back_as_it_was_written(cells: list[list[str]]) -> None:
    content = "".join("\t".join(row) + "\n" for row in [["a", "b"], *cells])
    assert [list(row.values()) for row in values(content, "tsv")] == cells


JSON = st.recursive(st.none() | st.booleans() | st.integers() | CELLS, lambda inner: st.lists(inner, max_size=3))


@given(st.lists(st.dictionaries(CELLS, JSON, max_size=3), max_size=5))
def test_jsonl_comes_back_as_it_was_written(records: list[dict[str, Any]]) -> None:
    assert values("".join(json.dumps(record) + "\n" for record in records), "jsonl") == records


REFUSED: list[tuple[Format, bytes, str]] = [
    ("tsv", b"a\tb\n1\t2\n1\t2\t3\n", "a:3: a row of 3 cells, where the header has 2: correct it or remove it"),
    ("csv", b'a,b\n"1\n",2\n1\n', "a:4: a row of 1 cells, where the header has 2: correct it or remove it"),
    ("tsv", b"text\tlabel\ttext\n", "a:1: 2 columns are named 'text': rename one, or, where the file has no header"),
    ("csv", b'text\n"never closed\nmore\n', "a:2: not CSV (unexpected end of data): close each quote"),
    ("csv", b'text\n"a" b\n', "a:2: not CSV"),
    ("jsonl", b"{}\n[1]\n", "a:2: a JSON list, where each line must be one object"),
    ("jsonl", b"{]\n", "a:1: not JSON that can be read (Expecting property name"),
    ("jsonl", b'{"a": ' + b"9" * 5000 + b"}", "a:1: not JSON that can be read (Exceeds the limit"),
    ("jsonl", b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "a:1: JSON nested too deeply"),
    ("text", b"one\ncaf\xe9\n", "a:2: not UTF-8 text: byte 0xe9 at offset 7; convert it"),
]


@pytest.mark.parametrize(("kind", "content", "message"), REFUSED)
def test_what_is_no_table_is_refused_with_its_line(kind: Format, content: bytes, message: str) -> None:
    assert refusal(lambda: rows(content, kind)).startswith(message)


def test_rows_of_the_wrong_width_can_be_passed_over() -> None:
    bad: list[DataError] = []
    stream = io.BytesIO(b"a\tb\n1\t2\n3\n4\t5\n")
    assert [row.where for row in read_lines(stream, "tsv", on_bad=bad.append)] == ["stdin:2", "stdin:4"]
    assert [str(error) for error in bad] == [
        "stdin:3: a row of 1 cells, where the header has 2: correct it or remove it"
    ]


def test_an_endless_line_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 1 << 20)
    assert rows(b"x" * (1 << 20), "text")
    assert refusal(lambda: rows(b"x" * ((1 << 20) + 1), "text")).startswith("a:1: a line of more than 1 MiB")
    open_quote = b'"' + b"never closed\n" * 100_000
    assert "field larger than field limit" in refusal(lambda: rows(b"a\n" + open_quote, "csv"))


@pytest.mark.parametrize("name", ["notes.txt", "table.xlsx", "train", "a.parquet.gz", "a.json"])
def test_a_file_that_is_no_table_is_told_which_are(tmp_path: Path, name: str) -> None:
    message = refusal(lambda: list(read_table(tmp_path / name)))
    assert message.startswith(f"cannot read {tmp_path / name}: No such file or directory")
    (tmp_path / name).touch()
    message = refusal(lambda: list(read_table(tmp_path / name)))
    assert message.startswith(f"{tmp_path / name} is no table known by its name: save it as .jsonl, .csv or .tsv")


def test_a_file_that_is_not_there_or_damaged_is_said_in_one_line(tmp_path: Path) -> None:
    whole = gzip.compress(b"text\none\n" * 1000)
    for name, content, reason in [
        ("absent.tsv", None, "cannot read .*: No such file or directory"),
        ("absent.parquet", None, "cannot read .*: .*No such file or directory"),
        ("plain.tsv.gz", b"text\none\n", "is not a sound gzip file"),
        ("cut.tsv.gz", whole[:-9], "is cut short"),
        ("flipped.tsv.gz", whole[:-8] + b"\0\0\0\0" + whole[-4:], "is not a sound gzip file"),
        ("text.parquet", b"text\none\n", "cannot be read as Parquet"),
    ]:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        assert re.search(reason, refusal(lambda path=path: list(read_table(path)))), name


def test_parquet_without_its_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"needs pyarrow, .* pip install 'gptrilogy\[parquet\]'"):
        list(read_table(tmp_path / "a.parquet"))


def test_parquet_with_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))
    assert "2 columns are named 'a'" in refusal(lambda: list(read_table(path)))


@pytest.mark.parametrize("bit", [0x01, 0x10, 0x80])
def test_damaged_parquet_ends_in_one_line_whatever_byte_is_wrong(tmp_path: Path, bit: int) -> None:
    path = write_parquet(tmp_path / "a.parquet", pa.table({"text": ["one", "two"] * 50, "label": [0, 1] * 50}))
    sound, messages = path.read_bytes(), list[str]()
    for position in range(0, len(sound), 7):
        path.write_bytes(sound[:position] + bytes([sound[position] ^ bit]) + sound[position + 1 :])
        try:
            list(read_table(path))
        except DataError as error:
            messages.append(str(error))
    assert messages
    assert all("cannot be read as Parquet" in message and "\n" not in message for message in messages)
