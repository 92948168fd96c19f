import json
import tracemalloc
from pathlib import Path

import pytest

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers.untrusted import MAX_VALUES, read_bytes, read_lines, read_object


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


def test_an_object_is_read(path: Path):
    path.write_text('{"a": {"b": [1, "é"]}}', encoding="utf-8")
    assert read_object(path) == {"a": {"b": [1, "é"]}}


def test_a_file_of_as_many_bytes_as_allowed_is_read_and_no_larger_one(path: Path):
    path.write_bytes(b"12345")
    assert read_bytes(path, max_bytes=5) == b"12345"
    with pytest.raises(TokenizerError, match=r"file\.json has more than 4 bytes, more than it should"):
        read_bytes(path, max_bytes=4)


def test_a_file_of_a_gigabyte_is_not_read_to_its_end(path: Path):
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(TokenizerError, match="has more than 16,777,216 bytes"):
        read_object(path)


@pytest.mark.parametrize(
    ("unit", "n_marks"),
    [(b"[],", 2), (b"{},", 2)],
)
def test_values_are_as_many_as_memory_allows_and_no_more(path: Path, unit: bytes, n_marks: int):
    most = (MAX_VALUES - 2) // n_marks  # the object and the list around them count too
    path.write_bytes(b'{"a":[' + unit * most + b"0]}")
    tracemalloc.start()
    try:
        read_object(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < path.stat().st_size + (64 << 20)
    path.write_bytes(b'{"a":[' + unit * (most + 1) + b"0]}")
    with pytest.raises(TokenizerError, match=r"file\.json has more than 600,000 values"):
        read_object(path)


def test_lines_are_as_many_as_values(path: Path):
    path.write_bytes(b"a\n" * MAX_VALUES)
    assert len(read_lines(path)) == MAX_VALUES
    path.write_bytes(b"a\n" * (MAX_VALUES + 1))
    with pytest.raises(TokenizerError, match="has more than 600,000 values"):
        read_lines(path)


@pytest.mark.parametrize("name", ["absent", "nul\0byte", "x" * 5000, ""])
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str):
    with pytest.raises(TokenizerError, match="cannot read '") as caught:
        read_bytes(tmp_path / name)
    assert str(tmp_path) in str(caught.value)


def test_lines_end_at_a_newline_only_and_the_last_may_have_none(path: Path):
    for content in ("one\ntwo\u2028\x85\r\n\nend", "one\ntwo\u2028\x85\r\n\nend\n"):
        path.write_bytes(content.encode())
        assert read_lines(path) == ["one", "two\u2028\x85\r", "", "end"]
    path.write_bytes("caf\u00e9".encode("latin-1"))
    with pytest.raises(TokenizerError, match="is not UTF-8 at byte 3"):
        read_lines(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"a": 1, "b": 2, "a": 1}', "the field 'a' is given twice"),
        (b'{"x": [{"deep": 1, "deep": 2}]}', "the field 'deep' is given twice"),
        (b'{"' + b"k" * 10_000 + b'": 1, "' + b"k" * 10_000 + b'": 1}', "the field 'kkk"),
        (b"[1]", "must hold a JSON object, got list"),
        (b"null", "must hold a JSON object, got NoneType"),
        (b'{"a": ' * 100_000, "is nested too deeply"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not a JSON file that can be read: .*4300"),
        (b'{"a": 1', "is not a JSON file that can be read"),
        (b"", "is not a JSON file that can be read"),
        (b'\xef\xbb\xbf{"a": 1}', "is not a JSON file that can be read: .*BOM"),
        ('{"a": 1}'.encode("utf-16"), "is no tokenizer file: it is not UTF-8 at byte"),
        ('{"a": 1}'.encode("utf-32-le"), "is not a JSON file that can be read"),
        (b'{"a": "\xff"}', "is no tokenizer file: it is not UTF-8 at byte"),
        (b"!!python/object/apply:os.system ['touch pwned']", "is not a JSON file that can be read"),
        (b"cos\nsystem\n(S'touch pwned'\ntR.", "is not a JSON file that can be read"),
        (
            b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix",
            "is no tokenizer file: it is not UTF-8",
        ),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_what_is_no_plain_json_object_is_refused_in_one_short_line(path: Path, content: bytes, complaint: str):
    path.write_bytes(content)
    with pytest.raises(TokenizerError, match=complaint) as caught:
        read_object(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200


def test_words_that_name_code_are_words(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    hostile = {"__reduce__": ["os.system", ["touch pwned"]], "__class__": "subprocess.Popen", "py/object": "os.system"}
    path.write_text(json.dumps(hostile))
    assert read_object(path) == hostile
    assert [file.name for file in tmp_path.iterdir()] == ["file.json"]
