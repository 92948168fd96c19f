import gzip
import json
import os
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptrilogy.corpus.documents import Document
from gptrilogy.corpus.sources import read_documents
from gptrilogy.errors import DataError


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


@pytest.mark.parametrize("name", ["a.txt.gz", "a.gz", "A.TXT.GZ"])
def test_compressed_text_is_read_like_plain_text(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress("née\n".encode(), mtime=0))
    assert texts(tmp_path / name) == ["née\n"]


def test_compressed_jsonl_is_read_like_plain_jsonl(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "one"}\n\n{"text": "two"}', mtime=0))
    assert [document.id for document in read_documents([tmp_path / "a.jsonl.gz"])] == ["a.jsonl.gz:1", "a.jsonl.gz:3"]


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
    assert [document.id for document in read_documents(["."])] == ["a.txt"]


def test_whatever_a_folder_holds_and_we_do_not_read_is_told(tmp_path: Path, skipped: Skipped) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD.txt").write_text("ref")
    os.mkfifo(tmp_path / "pipe.txt")
    assert [document.text for document in read_documents([tmp_path], on_skip=skipped)] == ["a"]
    assert sorted(skipped) == [
        (".git", "hidden"),
        ("gone.txt", "not a regular file, or a broken link"),
        ("photo.png", "not a kind of text file known by its name"),
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
    jsonl(tmp_path / "posts.jsonl", {"text": ""}, {"text": "one"}, {"text": " \n"})
    assert [document.id for document in read_documents([tmp_path], on_skip=skipped)] == [
        f"{tmp_path.name}/posts.jsonl:2"
    ]
    assert sorted(skipped) == [
        ("empty.txt", "empty"),
        ("posts.jsonl", "line 1 has an empty 'text'"),
        ("posts.jsonl", "line 3 has an empty 'text'"),
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
    assert "neither a file nor a folder: save its text" in refusal(tmp_path / "pipe")


def test_a_folder_without_text_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    assert re.search(r"holds no text: looked there .* \*\.txt .*\*\.jsonl .*\.gz", refusal(tmp_path))


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_bytes_that_are_not_utf8_are_refused_with_file_and_offset(tmp_path: Path, name: str) -> None:
    content = b"x" * 70_000 + b"caf\xe9 au lait"
    (tmp_path / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    assert f"{name} is not UTF-8 text: byte 0xe9 at offset 70003; convert it" in refusal(tmp_path / name)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_offset_in_a_jsonl_file_counts_from_the_start_of_the_file(tmp_path: Path, mark: bytes) -> None:
    content = mark + '{"text": "né"}\n'.encode() + b'{"text": "caf\xe9"}\n'
    (tmp_path / "a.jsonl").write_bytes(content)
    assert f"byte 0xe9 at offset {content.index(b'caf') + 3};" in refusal(tmp_path / "a.jsonl")


@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl.gz"])
def test_gzip_that_is_cut_damaged_or_none_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    whole = gzip.compress(b"".join(b'{"text": "%d"}\n' % number for number in range(5000)), mtime=0)
    path.write_bytes(whole[: len(whole) // 2])
    assert "is cut short: compress or download it again" in refusal(path)
    path.write_bytes(whole[:-8] + bytes(8))
    assert "is not a sound gzip file (CRC check failed" in refusal(path)
    path.write_bytes(whole[:20] + b"\xff" * 50 + whole[70:])
    assert refusal(path)
    path.write_bytes(b"plain text")
    assert "is not a sound gzip file" in refusal(path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "not JSON (Expecting value at column 1)"),
        ('{"text": "a"', "not JSON (Expecting ',' delimiter at column 13)"),
        ('["text"]', "a JSON list, where each line must be one object"),
        ('"text"', "a JSON str, where"),
        ('{"txt": "a", "url": "b"}', "no field 'text' to take the text from: did you mean txt?"),
        ("{}", "no field 'text'"),
        ('{"text": null}', "field 'text' must be a string, got NoneType"),
        ('{"text": ["a"]}', "field 'text' must be a string, got list"),
        (r'{"text": "a\ud83d"}', r"\ud83d is half a surrogate pair"),
        ('{"text": "a", "n": ' + "9" * 5000 + "}", "not JSON that can be read"),
        ('{"text": ' + "[" * 100_000, "JSON nested too deeply"),
    ],
)
def test_a_line_that_holds_no_text_is_refused_with_its_place(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n\n' + line + "\n")
    assert f"{path}:3: {reason}" in refusal(path)


def test_a_pair_of_surrogate_escapes_is_a_character(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(r'{"text": "\ud83d\ude00"}')
    assert texts(tmp_path / "a.jsonl") == ["😀"]


@pytest.mark.parametrize("method", ["open", "iterdir", "exists"])
def test_what_we_may_not_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    (tmp_path / "a.txt").write_text("a")

    def denied(self: Path, *arguments: object, **options: object) -> Iterator[None]:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, method, denied)  # the tests may run as a user who may read anything
    assert re.search("cannot read .*: Permission denied; check the name and its permissions", refusal(tmp_path))


def test_a_name_that_is_not_unicode_gives_an_id_that_is(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    path.write_text("a")
    assert [document.id for document in read_documents([path])] == ["caf?.txt"]
