import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.corpus.readers.conftest import Reading

from gptrilogy.corpus.documents import Page
from gptrilogy.corpus.readers import Limits, find_files, read_pages
from gptrilogy.corpus.sources import read_documents


def lines(*records: object) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def parquet(
    rows: Sequence[str | bytes | None] | pa.Array,
    *,
    rows_a_group: int = 100,
    write_page_checksum: bool = False,
    **columns: Sequence[object],
) -> bytes:
    file, table = io.BytesIO(), pa.table({"text": pa.array(rows), **columns})
    pq.write_table(table, file, row_group_size=rows_a_group, write_page_checksum=write_page_checksum)
    return file.getvalue()


def test_a_line_is_a_page_with_its_url_and_other_fields(reading: Reading) -> None:
    (page,), _ = reading("posts.jsonl", lines({"text": "one\r\ntwo", "url": "http://a", "score": 3}))
    assert (page.content, page.id, page.url, page.meta) == ("one\ntwo", "posts.jsonl:1", "http://a", {"score": 3})


def test_another_field_can_hold_the_text(reading: Reading) -> None:
    (page,), _ = reading("posts.jsonl", lines({"body": "one", "text": "not this"}), text_field="body")
    assert page.content == "one"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{not json}", "not JSON"),
        (b'"a string"', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"text": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"title": "no text"}', "no text field"),
        (b'{"text": 3}', "not text"),
        (b'{"text": null}', "empty"),
        (b'{"text": " \\n"}', "empty"),
        (b'{"text": "\\ud800"}', "half a surrogate pair"),
        (b'{"text": "caf\xe9"}', "not UTF-8"),
        (b'{"text": "' + b"a" * 200_000 + b'"}', "larger than the limit"),
    ],
)
def test_a_bad_line_is_a_loss_and_reading_goes_on(reading: Reading, line: bytes, reason: str) -> None:
    good = lines({"text": "good"})
    pages, (loss,) = reading("a.jsonl", good + line + b"\n\n" + good, max_line_bytes=150_000)
    assert [page.id for page in pages] == ["a.jsonl:1", "a.jsonl:4"]
    assert (loss.id, loss.reason.name) == ("a.jsonl:2", reason)


def test_the_end_of_a_cut_file_is_a_loss(reading: Reading) -> None:
    content = b"".join(gzip.compress(lines({"text": word}), mtime=0) for word in ("one", "two", "three"))
    pages, (loss,) = reading("a.jsonl.gz", content[:-20])
    assert [page.content for page in pages] == ["one", "two"]
    assert (loss.id, loss.reason.name) == ("a.jsonl.gz:3", "truncated archive")


def test_the_strict_reader_finds_the_same_texts(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("eval/lambada/lambada_test.jsonl")
    (file,) = find_files([str(path)])
    pages = [(page.id, page.content) for page in read_pages(file, Limits()) if isinstance(page, Page)]
    assert len(pages) == 5153
    assert pages == [(document.id, document.text) for document in read_documents([path])]


def test_a_row_of_parquet_is_a_page_with_its_url(reading: Reading) -> None:
    content = parquet(["one", "two\r\n", None, " "], url=["http://a", None, None, None], rows_a_group=3)
    pages, losses = reading("a.parquet", content)
    assert [(page.id, page.content, page.url) for page in pages] == [
        ("a.parquet:0", "one", "http://a"),
        ("a.parquet:1", "two\n", ""),
    ]
    assert [(loss.id, loss.reason.name) for loss in losses] == [("a.parquet:2", "empty"), ("a.parquet:3", "empty")]


def test_bytes_in_parquet_are_read_as_text(reading: Reading) -> None:
    pages, losses = reading("a.parquet", parquet([b"one", b"caf\xe9"]))
    assert [page.content for page in pages] == ["one"]
    assert [loss.reason.name for loss in losses] == ["not UTF-8"]


def test_a_parquet_string_that_is_none_is_a_loss(reading: Reading) -> None:
    wrong = pa.array([b"one", b"caf\xe9"]).view(pa.string())
    pages, (loss,) = reading("a.parquet", parquet(wrong))
    assert ([page.content for page in pages], loss.reason.name) == (["one"], "not UTF-8")


def test_a_column_that_is_missing_or_no_text_is_a_loss(reading: Reading) -> None:
    _, (loss,) = reading("a.parquet", parquet(["one"]), text_field="txt")
    assert loss.reason == ("no text field", "no column 'txt': did you mean text?")
    for other in ([3], [["one"]]):
        _, (loss,) = reading("b.parquet", parquet(["one"], other=other), text_field="other")
        assert loss.reason.name == "not text"


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", parquet(["one"])[:-9]])
def test_a_file_that_is_no_parquet_is_a_loss(reading: Reading, content: bytes) -> None:
    pages, (loss,) = reading("a.parquet", content)
    assert (pages, loss.reason.name) == ([], "malformed Parquet")
    assert "\n" not in loss.reason.detail


def test_a_damaged_row_group_is_one_loss_and_reading_goes_on(reading: Reading) -> None:
    content = bytearray(parquet([f"text {number} " * 50 for number in range(6)], rows_a_group=2))
    where = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(1).column(0).dictionary_page_offset
    content[where : where + 10] = bytes(10)
    pages, (loss,) = reading("a.parquet", bytes(content))
    assert [page.id for page in pages] == ["a.parquet:0", "a.parquet:1", "a.parquet:4", "a.parquet:5"]
    assert (loss.id, loss.reason.name) == ("a.parquet:2", "malformed Parquet")


def test_a_wrong_page_checksum_is_a_loss(reading: Reading) -> None:
    content = bytearray(parquet(["one"], write_page_checksum=True))
    content[content.index(b"one")] ^= 1
    pages, (loss,) = reading("a.parquet", bytes(content))
    assert (pages, loss.reason.name) == ([], "malformed Parquet")


def test_a_text_repeated_a_million_times_is_read_one_row_at_a_time(reading: Reading) -> None:
    pages, losses = reading("a.parquet", parquet(["a" * 10_000] * 500), max_record_bytes=9_999)
    assert (pages, {loss.reason.name for loss in losses}, len(losses)) == ([], {"inflates past the limit"}, 500)


def test_a_row_group_beyond_the_limit_is_a_loss(reading: Reading) -> None:
    _, (loss,) = reading("a.parquet", parquet([str(number) * 9 for number in range(100)]), max_group_bytes=200)
    assert loss.reason.name == "inflates past the limit"
