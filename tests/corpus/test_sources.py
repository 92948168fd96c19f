import bz2
import gzip
import io
import json
import lzma
import os
import re
import string
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gptrilogy.corpus import sources
from gptrilogy.corpus.documents import AnyDocument, Document, LongDocument
from gptrilogy.corpus.readers import plain, tables
from gptrilogy.corpus.sources import read_documents, stream_documents, text_files
from gptrilogy.errors import DataError, MissingExtraError

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


class Skipped(list[tuple[str, str]]):
    """Remembers what was passed over, by name, and why."""

    def __call__(self, path: Path, reason: str) -> None:
        self.append((path.name, reason))


@pytest.fixture
def skipped() -> Skipped:
    return Skipped()


def texts(*sources: str | Path) -> list[str]:
    return [document.text for document in read_documents(sources)]


def refusal(*sources: str | Path, text_field: str = "text") -> str:
    """The one line in which reading these sources ends."""
    with pytest.raises(DataError) as raised:
        list(read_documents(sources, text_field=text_field))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def jsonl(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def parquet(path: Path, columns: Mapping[str, object], *, rows_a_group: int = 100) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=rows_a_group)
    return path


def test_a_text_file_of_any_name_is_one_document(tmp_path: Path) -> None:
    path = tmp_path / "LICENSE"
    path.write_text("It is a truth\nuniversally\n")
    assert list(read_documents([path])) == [Document("It is a truth\nuniversally\n", "LICENSE", str(path))]


def test_a_jsonl_file_is_a_document_a_line_named_by_it(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "posts.jsonl", {"text": "one", "url": "http://a"}, {"text": "two"})
    first, second = read_documents([str(path)])
    assert (first.text, first.id, first.source, first.meta) == ("one", "posts.jsonl:1", str(path), {"url": "http://a"})
    assert (second.text, second.id) == ("two", "posts.jsonl:2")


def test_another_field_of_a_jsonl_file_can_hold_the_text(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "posts.ndjson", {"body": "one", "text": "not this"})
    (document,) = read_documents([path], text_field="body")
    assert (document.text, document.meta) == ("one", {"text": "not this"})


@pytest.mark.parametrize("suffix", PACKERS)
def test_compressed_text_is_read_like_plain_text(tmp_path: Path, suffix: str) -> None:
    lines = b'{"text": "n\xc3\xa9e"}\n\n{"text": "two"}'
    for name in (f"a.txt{suffix}", f"a{suffix}", f"A.TXT{suffix.upper()}"):
        (tmp_path / name).write_bytes(PACKERS[suffix]("née\n".encode()))
        assert texts(tmp_path / name) == ["née\n"]
    (tmp_path / f"a.jsonl{suffix}").write_bytes(PACKERS[suffix](lines[:12]) + PACKERS[suffix](lines[12:]))
    documents = read_documents([tmp_path / f"a.jsonl{suffix}"])
    assert [(one.text, one.id) for one in documents] == [("née", f"a.jsonl{suffix}:1"), ("two", f"a.jsonl{suffix}:3")]


def test_a_compressed_file_is_known_by_its_first_bytes_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(gzip.compress(b"text"))
    assert texts(tmp_path / "a.txt") == ["text"]


def test_an_archive_with_the_widest_window_is_read(tmp_path: Path) -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    (tmp_path / "a.txt.zst").write_bytes(packer.compress(b"text " * 1000) + packer.flush())
    assert texts(tmp_path / "a.txt.zst") == ["text " * 1000]


def test_a_parquet_file_is_a_document_a_row(tmp_path: Path, skipped: Skipped) -> None:
    columns = {"text": ["one\r\n", None, "two", " "], "url": ["http://a", None, None, None], "n": [1, 2, 3, 4]}
    path = parquet(tmp_path / "a.parquet", columns, rows_a_group=3)
    first, second = read_documents([tmp_path], on_skip=skipped)
    assert (first.text, first.id, first.meta) == ("one\n", f"{tmp_path.name}/a.parquet:0", {"url": "http://a"})
    assert (second.text, second.id, second.meta) == ("two", f"{tmp_path.name}/a.parquet:2", {})
    assert skipped == [("a.parquet", "2 records with an empty 'text', the first is number 1")]
    assert texts(path.rename(tmp_path / "a.PQ")) == ["one\n", "two"]


def test_another_column_can_hold_the_text(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"body": ["one"], "n": [1]})
    assert [document.text for document in read_documents([path], text_field="body")] == ["one"]
    assert refusal(path, text_field="bdy") == f"{path}: no column 'bdy': did you mean body?"
    assert refusal(path, text_field="n") == f"{path}: not text (column 'n' is of type int64): it must hold strings"


def test_damaged_parquet_is_refused_in_one_line(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"text": [f"text {number} " * 50 for number in range(6)]}, rows_a_group=2)
    whole = path.read_bytes()
    where = pq.ParquetFile(path).metadata.row_group(1).column(0).dictionary_page_offset
    for content, place in ((whole[:-9], ""), (b"", ""), (b"PAR1" + bytes(100) + b"PAR1", "")):
        path.write_bytes(content)
        assert refusal(path).startswith(f"{path}{place}: malformed Parquet (")
    path.write_bytes(whole[: where + 4] + b"\xff" * 40 + whole[where + 44 :])
    assert refusal(path).startswith(f"{path}:2: malformed Parquet (")


def test_a_large_row_group_is_read_in_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{number} {'text ' * 50}{number}" for number in range(2000)]
    path = parquet(tmp_path / "a.parquet", {"text": rows}, rows_a_group=2000)
    assert texts(path) == rows
    asked, read = list[int](), pq.ParquetFile.iter_batches

    def noted(table: pq.ParquetFile, size: int, *more: Any) -> Any:
        asked.append(size)
        return read(table, size, *more)

    monkeypatch.setattr(tables, "MAX_DIFFERENT_BYTES", 1 << 10)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noted)
    assert texts(path) == rows
    assert asked == [16]


def test_parquet_without_its_package_is_said_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "a.parquet", {"text": ["one"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"Parquet needs pyarrow.*gptrilogy\[parquet\]"):
        list(read_documents([path]))


def test_web_archives_are_not_taken_for_text(tmp_path: Path) -> None:
    (tmp_path / "crawl.warc.gz").write_bytes(gzip.compress(b"WARC/1.0"))
    assert "is an archive of web pages: `gpt corpus build` makes text of it" in refusal(tmp_path / "crawl.warc.gz")


def test_a_folder_is_read_in_the_order_of_names_whatever_the_disk_says(tmp_path: Path) -> None:
    folder = tmp_path / "novels"
    for name in ["b.txt", "a/z.md", "a/B.TXT", "c/d/e.rst", "aa.jsonl"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('{"text": "x"}')
    ids = [document.id for document in read_documents([folder])]
    assert ids == ["novels/a/B.TXT", "novels/a/z.md", "novels/aa.jsonl:1", "novels/b.txt", "novels/c/d/e.rst"]
    assert {document.source for document in read_documents([folder])} == {str(folder)}


def test_sources_come_in_the_order_given(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name)
    assert texts(tmp_path / "c", tmp_path / "a", tmp_path / "b") == ["c", "a", "b"]


def test_the_folder_one_stands_in_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("a")
    monkeypatch.chdir(tmp_path)
    assert texts(".") == ["a"]


def test_whatever_a_folder_holds_and_we_do_not_read_is_told(tmp_path: Path, skipped: Skipped) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    (tmp_path / "page.html").write_text("<p>")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD.txt").write_text("ref")
    os.mkfifo(tmp_path / "pipe.txt")
    assert [document.text for document in read_documents([tmp_path], on_skip=skipped)] == ["a"]
    assert sorted(skipped) == [
        (".git", "hidden"),
        ("gone.txt", "not a regular file, or a broken link"),
        ("page.html", "html, which is not text"),
        ("photo.png", "not a kind of file known by its name"),
        ("pipe.txt", "not a regular file, or a broken link"),
    ]


def test_links_that_loop_end_and_are_told(tmp_path: Path, skipped: Skipped) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "text.txt").write_text("once")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "self.txt").symlink_to(tmp_path / "self.txt")
    assert [document.text for document in read_documents([tmp_path], on_skip=skipped)] == ["once"]
    assert sorted(name for name, _ in skipped) == ["b", "self.txt", "up"]


def test_empty_texts_are_told_and_not_yielded(tmp_path: Path, skipped: Skipped) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "spaces.txt").write_text("\ufeff \n\t\r\n")
    jsonl(tmp_path / "posts.jsonl", {"text": ""}, {"text": "one"}, {"text": " \n"}, {"text": None})
    assert [document.id for document in read_documents([tmp_path], on_skip=skipped)] == [
        f"{tmp_path.name}/posts.jsonl:2"
    ]
    assert sorted(skipped) == [
        ("empty.txt", "empty"),
        ("posts.jsonl", "3 records with an empty 'text', the first is number 1"),
        ("spaces.txt", "empty"),
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfone", "one"),
        (b"one\r\ntwo\rthree\n\r", "one\ntwo\nthree\n\n"),
        (b"a\x0bb\x0cc\xe2\x80\xa8d", "a\x0bb\x0cc\u2028d"),  # not ours to change
    ],
)
def test_marks_of_origin_are_dropped_and_newlines_made_one(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    jsonl(tmp_path / "a.jsonl", {"text": content.decode("utf-8-sig")})
    assert texts(tmp_path / "a.txt", tmp_path / "a.jsonl") == [text, text]


def test_a_byte_order_mark_before_json_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "one"}\r\n')
    assert texts(tmp_path / "a.jsonl") == ["one"]


unicode_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\ufeff"), min_size=1).filter(
    lambda text: not text.isspace()
)


@settings(deadline=None)
@given(contents=st.lists(unicode_text, min_size=1, max_size=5))
def test_any_unicode_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, contents: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    for letter, content in zip(string.ascii_letters, contents, strict=False):
        (folder / f"{letter}.txt").write_bytes(content.encode())
        (folder / f"{letter}.md.gz").write_bytes(gzip.compress(content.encode(), mtime=0))
    jsonl(folder / "z.jsonl", *({"text": content} for content in contents))
    expected = [content for content in contents for _ in range(2)] + contents
    assert texts(folder) == texts(folder) == expected


def test_a_jsonl_file_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\nnot json\n')
    documents = read_documents([path])
    assert next(documents).text == "one"
    with pytest.raises(DataError, match=r"a\.jsonl:2: not JSON"):
        next(documents)


def test_a_source_that_is_not_there_is_refused_before_any_is_read(tmp_path: Path) -> None:
    (tmp_path / "novels").mkdir()
    with pytest.raises(DataError, match=rf"does not exist: did you mean {re.escape(str(tmp_path))}/novels\?"):
        read_documents([tmp_path / "novles"])
    with pytest.raises(DataError, match="does not exist: check the name"):
        read_documents([tmp_path / "quite another"])
    with pytest.raises(DataError, match="there is no folder"):
        read_documents([tmp_path / "no" / "a.txt"])
    with pytest.raises(DataError, match="'' does not exist"):
        read_documents([""])


def test_a_source_that_can_be_read_only_once_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "neither a file nor a folder: save what it gives to a file first" in refusal(tmp_path / "pipe")


def test_a_folder_without_text_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    found = refusal(tmp_path)
    assert re.search(r"holds nothing to read: looked there .* \*\.txt .*\*\.jsonl .*\*\.parquet .*\.gz", found)
    assert "warc" not in found


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_bytes_that_are_not_utf8_are_refused_with_file_and_offset(tmp_path: Path, name: str) -> None:
    content = b"x" * 70_000 + b"caf\xe9 au lait"
    (tmp_path / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    assert f"{name}: not UTF-8 (byte 0xe9 at offset 70,003): convert it" in refusal(tmp_path / name)


def test_bytes_of_a_jsonl_file_that_are_not_utf8_are_refused_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"text": "né"}\n'.encode() + b'{"text": "caf\xe9"}\n')
    assert "a.jsonl:2: not UTF-8 (byte 0xe9 at offset 13): convert it" in refusal(tmp_path / "a.jsonl")


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("kind", [".txt", ".jsonl"])
def test_archives_that_are_cut_damaged_or_none_are_refused(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"a{kind}{suffix}"
    whole = PACKERS[suffix](b"".join(b'{"text": "%d"}\n' % number for number in range(5000)))
    for cut in (len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert "truncated archive (the file ends within compressed data): it is cut short" in refusal(path)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    path.write_bytes(damaged)
    assert refusal(path)  # for what its bytes have become, where those are met before its checksum
    for content in (whole + b"garbage", b"plain text"):
        path.write_bytes(content)
        assert re.search(r"malformed archive \(.+\): compress or download it again", refusal(path))


@pytest.mark.parametrize("name", ["bomb.txt.gz", "bomb.jsonl.gz"])
def test_a_small_file_cannot_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(sources, "ALWAYS_BYTES", 1 << 16)
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=content, mode="wb") as file:
        file.write(b'{"text": "' + b"a" * (1 << 22) + b'"}')
    (tmp_path / name).write_bytes(content.getvalue())
    assert "inflates past the limit (more than " in refusal(tmp_path / name)
    assert "split it" in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "not JSON (Expecting value: line 1 column 1 (char 0)): each line must be one JSON object"),
        ('{"text": "a"', "not JSON (Expecting ',' delimiter"),
        ('["text"]', "not JSON (a list, where each line must be one object)"),
        ('{"txt": "a", "url": "b"}', "no field 'text': did you mean txt?"),
        ("{}", "no field 'text'"),
        ('{"text": ["a"]}', "not text (field 'text' is of type list): it must hold strings"),
        (r'{"text": "a\ud83d"}', r"half a surrogate pair (\ud83d): this is no character"),
        ('{"text": "a", "n": ' + "9" * 5000 + "}", "not JSON (Exceeds the limit"),
        ('{"text": ' + "[" * 100_000, "not JSON (nested too deeply)"),
    ],
)
def test_a_line_that_holds_no_text_is_refused_with_its_place(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n\n' + line + "\n")
    assert f"{path}:3: {reason}" in refusal(path)


def test_a_pair_of_surrogate_escapes_is_a_character(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(r'{"text": "\ud83d\ude00"}')
    assert texts(tmp_path / "a.jsonl") == ["😀"]


@pytest.mark.parametrize("method", ["builtins.open", "pathlib.Path.iterdir", "pathlib.Path.exists"])
def test_what_we_may_not_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    (tmp_path / "a.txt").write_text("a")

    def denied(path: str | Path, *arguments: object, **options: object) -> Iterator[None]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(method, denied)  # the tests may run as a user who may read anything
    with pytest.raises(DataError, match=r"cannot read .*: Permission denied; check the name and its permissions"):
        list(read_documents([tmp_path]))


def test_the_files_of_a_source_are_those_that_are_read(tmp_path: Path) -> None:
    for name in ("b.txt", "a.jsonl.zst", "c.png"):
        (tmp_path / name).write_text("x")
    assert text_files(tmp_path) == [tmp_path / "a.jsonl.zst", tmp_path / "b.txt"]
    assert text_files(tmp_path / "b.txt") == [tmp_path / "b.txt"]


def test_a_name_that_is_not_unicode_gives_an_id_that_is(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    path.write_text("a")
    assert [document.id for document in read_documents([path])] == ["caf?.txt"]


@pytest.fixture
def little_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are long from 11 characters on, and read three bytes at a time, so that every character is torn."""
    monkeypatch.setattr(sources, "LONG_CHARS", 10)
    monkeypatch.setattr(plain, "PART_BYTES", 3)


@pytest.mark.usefixtures("little_at_once")
@pytest.mark.parametrize("suffix", ["", *PACKERS])
@settings(max_examples=30)
@given(
    content=st.one_of(
        st.binary(max_size=40), st.text(st.sampled_from("\ufeff\r\n é猫😀a"), max_size=30).map(str.encode)
    )
)
def test_a_text_in_parts_is_the_whole_text(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("long") / f"a.txt{suffix}"
    path.write_bytes(PACKERS[suffix](content) if suffix else content)

    def read(reader: Callable[..., Iterator[AnyDocument]]) -> tuple[list[tuple[str, str, str]] | str, Skipped]:
        skipped = Skipped()
        try:
            found = [(one.id, one.source, "".join(one.parts())) for one in reader([path], on_skip=skipped)]
        except DataError as error:
            return str(error), skipped
        return found, skipped

    assert read(stream_documents) == read(read_documents)


@pytest.mark.usefixtures("little_at_once")
def test_only_a_long_text_file_comes_in_parts_and_it_can_be_read_again(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", {"text": "a line of many characters"})
    (tmp_path / "b.txt").write_text("a file of many characters")
    (tmp_path / "c.txt").write_text("of few")
    line, long, short = stream_documents([tmp_path])
    assert isinstance(long, LongDocument)
    assert [len(list(long.parts())) for _ in range(2)] == [9, 9]
    assert isinstance(line, Document)
    assert isinstance(short, Document)


def test_a_long_text_may_be_larger_than_what_is_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, little_at_once: None
) -> None:
    del little_at_once
    monkeypatch.setattr(sources, "MAX_DOCUMENT_BYTES", 20)
    (tmp_path / "a.txt").write_text("a file of many characters")
    assert "larger than the limit" in refusal(tmp_path / "a.txt")
    (long,) = stream_documents([tmp_path / "a.txt"])
    assert "".join(long.parts()) == "a file of many characters"


def test_a_long_text_that_inflates_past_its_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, little_at_once: None
) -> None:
    del little_at_once
    monkeypatch.setattr(sources, "ALWAYS_BYTES", 20)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"a" * 100_000))
    (long,) = stream_documents([tmp_path / "a.txt.gz"])
    with pytest.raises(DataError, match="inflates past the limit"):
        list(long.parts())
