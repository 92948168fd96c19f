import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers import ByteLevelBPE, BytesTokenizer, Tokenizer, load_tokenizer, save_tokenizer
from gptrilogy.tokenizers.symbols import to_symbols


def save_changed(folder: Path, **changes: Any) -> Path:
    """A tokenizer file with some fields replaced, and its hash left as it was."""
    path = save_tokenizer(ByteLevelBPE([("a", "b"), ("ab", "c")]), folder)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_a_tokenizer_comes_back_from_its_folder_and_from_its_file(tokenizer: ByteLevelBPE, tmp_path: Path):
    path = save_tokenizer(tokenizer, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "tokenizer.json"
    for place in (path, path.parent):
        loaded = load_tokenizer(place)
        assert loaded.fingerprint == tokenizer.fingerprint
        assert loaded.encode("the cat's mat") == tokenizer.encode("the cat's mat")


@pytest.mark.parametrize("original", [BytesTokenizer(), ByteLevelBPE([]), ByteLevelBPE([("Ġ", "a")])])
def test_every_kind_comes_back_as_its_own_class(original: Tokenizer, tmp_path: Path):
    loaded = load_tokenizer(save_tokenizer(original, tmp_path))
    assert type(loaded) is type(original)
    assert (loaded.name, loaded.fingerprint) == (original.name, original.fingerprint)


def test_saving_again_replaces_the_file_and_leaves_no_other(tmp_path: Path):
    save_tokenizer(BytesTokenizer(), tmp_path)
    save_tokenizer(ByteLevelBPE([("a", "b")]), tmp_path)
    assert load_tokenizer(tmp_path).n_vocab == 258
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]


def test_a_saved_file_says_what_it_is(tmp_path: Path):
    document = json.loads(save_tokenizer(ByteLevelBPE([("Ġ", "a")]), tmp_path).read_text(encoding="utf-8"))
    fingerprint = document.pop("sha256")
    assert document == {"format": "gptrilogy.tokenizer", "version": 1, "kind": "byte_bpe", "merges": ["Ġ a"]}
    assert fingerprint == ByteLevelBPE([("Ġ", "a")]).fingerprint


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_any_flipped_byte_is_refused_or_changes_nothing(tmp_path: Path, place: int, flip: int):
    path = save_tokenizer(ByteLevelBPE([("a", "b"), ("ab", "c"), ("Ġ", "Ã")]), tmp_path)
    fingerprint = load_tokenizer(path).fingerprint
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= flip
    path.write_bytes(content)
    try:
        loaded = load_tokenizer(path)
    except TokenizerError:
        return
    assert loaded.fingerprint == fingerprint  # a space between two fields became a tab


def test_a_changed_merge_is_refused_by_the_hash(tmp_path: Path):
    with pytest.raises(TokenizerError, match=r"the content has SHA-256 .* damaged or edited"):
        load_tokenizer(save_changed(tmp_path, merges=["a b", "ab d"]))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"version": 2}, "saved in version 2 of the format, this program reads 1: upgrade gptrilogy"),
        ({"version": True}, "'version' must be a whole number from 1, got True"),
        ({"version": 1.0}, "'version' must be a whole number from 1, got 1.0"),
        ({"version": float("nan")}, "'version' must be a whole number from 1, got nan"),
        ({"version": 0}, "'version' must be a whole number from 1, got 0"),
        ({"version": None}, "'version' must be a whole number"),
        ({"format": "1.0"}, "not a tokenizer saved by gptrilogy"),
        ({"format": ["x"] * 9999}, "not a tokenizer saved by gptrilogy"),
        ({"kind": "unigram"}, "unknown kind of tokenizer 'unigram'; known: byte_bpe, bytes"),
        ({"kind": ["bytes"]}, "unknown kind of tokenizer .*; known: byte_bpe, bytes"),
        ({"kind": "bytes"}, r"has the one field 'kind', got \['kind', 'merges'\]"),
        ({"colour": "red"}, "has the fields 'kind' and 'merges', got .*'colour'"),
        ({"merges": {"a": "b"}}, "merges must be a list of strings like 'Ġ t', got dict"),
        ({"merges": "a b"}, "merges must be a list of strings"),
        ({"merges": [["a", "b"]]}, "merge 0 must be two symbols with a space between"),
        ({"merges": ["a b c"]}, "merge 0 must be two symbols with a space between"),
        ({"merges": ["a b", 7]}, "merge 1 must be two symbols with a space between, got 7"),
        ({"merges": ["a \ud800"]}, "before it exists"),
        ({"sha256": None}, "the file says None"),
        ({"sha256": "0" * 64}, "the content has SHA-256"),
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_refused(tmp_path: Path, changes: dict[str, Any], complaint: str):
    path = save_changed(tmp_path, **changes)
    with pytest.raises(TokenizerError, match=complaint) as caught:
        load_tokenizer(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 400


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"\x00\xff\xfe",
        b'{"format": "gptrilogy.tok',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"version": ' + b"9" * 10_000 + b"}",
        b'{"version": 1, "version": 1}',
        b"[]",
        b"null",
        b"NaN",
        b'"text"',
        b"{}",
        b'{"format": "gptrilogy.tokenizer", "version": 1e999}',
        b'{"format": "gptrilogy.tokenizer", "version": 1, "kind": "\\ud800"}',
        b'{"format": "gptrilogy.tokenizer", "version": 1, "kind": "bytes", "\\ud800\\n": 1}',
        b'{"format": "gptrilogy.tokenizer", "version": 1, "kind": "bytes"}',
    ],
    ids=lambda content: repr(content[:50]),
)
def test_a_file_of_anything_else_is_refused_in_one_line(tmp_path: Path, content: bytes):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(TokenizerError) as caught:
        load_tokenizer(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()


@given(document=st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_no_value_of_any_field_gets_past_as_another_error(tmp_path: Path, document: object):
    for field in ("format", "version", "kind", "merges", "sha256"):
        with pytest.raises(TokenizerError):
            load_tokenizer(save_changed(tmp_path, **{field: document}))


def test_a_missing_tokenizer_says_what_was_looked_for_and_how_to_make_one(tmp_path: Path):
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(TokenizerError, match=r"looked for .*tokenizer\.json.*gpt tokenizer train SOURCE") as caught:
            load_tokenizer(place)
        assert str(place) in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 5000, "nul\0byte"])
def test_a_path_that_cannot_be_is_refused(tmp_path: Path, name: str):
    with pytest.raises(TokenizerError):
        load_tokenizer(tmp_path / name)


@pytest.mark.parametrize("name", ["tokenizer.json", "any name at all"])
def test_a_file_of_ours_may_have_any_name(tmp_path: Path, name: str):
    path = save_tokenizer(ByteLevelBPE([("a", "b")]), tmp_path).rename(tmp_path / name)
    assert load_tokenizer(path).n_vocab == load_tokenizer(str(path)).n_vocab == 258


def test_a_run_or_checkpoint_folder_stands_for_the_tokenizer_in_it(tmp_path: Path):
    save_tokenizer(ByteLevelBPE([("a", "b")]), tmp_path / "run" / "tokenizer")
    assert load_tokenizer(tmp_path / "run").n_vocab == 258


def test_files_of_others_are_read_too(tmp_path: Path):
    theirs = ByteLevelBPE([("a", "b")])
    ids = {to_symbols(theirs.token_bytes(i)): i for i in range(theirs.n_vocab)}
    (tmp_path / "encoder.json").write_text(json.dumps(ids))
    (tmp_path / "vocab.bpe").write_text("#version: 0.2\na b\n")
    for place in (tmp_path, tmp_path / "vocab.bpe"):
        assert load_tokenizer(place).fingerprint == theirs.fingerprint


def test_our_file_goes_before_those_of_others(tmp_path: Path):
    save_tokenizer(BytesTokenizer(), tmp_path)
    (tmp_path / "vocab.bpe").write_text("damaged")
    assert load_tokenizer(tmp_path).name == "bytes"


def test_a_name_stands_for_a_tokenizer_where_no_path_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert load_tokenizer("bytes").name == load_tokenizer(Path("bytes")).name == "bytes"
    save_tokenizer(ByteLevelBPE([("a", "b")]), Path("bytes"))
    assert load_tokenizer("bytes").name == "byte_bpe-258"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("gpt-2", "did you mean gpt2?"), ("byte", "did you mean bytes?"), ("novels", "known: bytes, gpt1, gpt2")],
)
def test_an_unknown_name_is_answered_with_the_nearest_and_both_ways_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, hint: str
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TokenizerError) as caught:
        load_tokenizer(name)
    message = str(caught.value)
    assert message.startswith(f"no tokenizer at {name}: ")
    assert hint in message
    assert "`gpt tokenizer fetch gpt2`" in message
    assert "`gpt tokenizer train SOURCE" in message


HOSTILE = [
    b"!!python/object/apply:os.system ['touch pwned']",
    b"cos\nsystem\n(S'touch pwned'\ntR.",
    b'{"__reduce__": ["os.system", ["touch pwned"]]}',
    b'{"format": "gptrilogy.tokenizer", "version": 1, "kind": "os.system", "merges": ["touch pwned"]}',
    b'{"format": "gptrilogy.tokenizer", "version": 1, "kind": "__import__(\'os\').system(\'touch pwned\')"}',
    b'{"model": {"type": "BPE", "__class__": "os.system", "vocab": {}, "merges": ["touch pwned"]}, "added_tokens": []}',
    b'{"auto_map": {"AutoTokenizer": "pwned.Tokenizer"}, "model": {"type": "BPE"}}',
    b'{"model": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"model": {"vocab": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001 + b"}",
    b'{"model": {"vocab": {"a": ' + b"9" * 5000 + b"}}}",
    b'{"model": {"vocab": {"a": 1e999999999}}}',
]


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "encoder.json", "vocab.json", "encoder_bpe_40000.json", "x.tiktoken"]
)
@pytest.mark.parametrize("content", HOSTILE, ids=lambda content: repr(content[:40]))
def test_hostile_files_run_nothing_and_end_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes
):
    monkeypatch.chdir(tmp_path)
    before = {"vocab.bpe", "merges.txt", "vocab_40000.bpe", name}
    for path in before:
        (tmp_path / path).write_bytes(b"a b\n")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TokenizerError) as caught:
        load_tokenizer(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("depth", range(100, 1100, 50))
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", '{"format": %s}'),
        ("tokenizer.json", '{"format": "gptrilogy.tokenizer", "version": 1, "kind": %s}'),
        ("tokenizer.json", '{"model": {}, "added_tokens": [], "normalizer": %s}'),
        ("encoder.json", '{"a": %s}'),
    ],
)
def test_no_depth_of_nesting_gets_past_as_another_error(tmp_path: Path, name: str, content: str, depth: int):
    (tmp_path / "vocab.bpe").touch()
    (tmp_path / name).write_text(content % ("[" * depth + "]" * depth))
    with pytest.raises(TokenizerError) as caught:
        load_tokenizer(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
