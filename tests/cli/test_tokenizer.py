"""`gpt tokenizer train|fetch|encode|decode`."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt_command import Gpt
from gptrilogy.corpus import sources
from gptrilogy.corpus.readers import plain

LINES = "It was the best of times,\n\n  naïve 東京 😀\nlast line without a newline"


@pytest.fixture
def tokenizer(gpt: Gpt, novel: Path, tmp_path: Path) -> Path:
    said = gpt("tokenizer", "train", novel, "--vocab-size", 280, "--out", tmp_path / "tok")
    assert said.code == 0
    assert "280 tokens" in said.out
    return tmp_path / "tok"


def pipe(gpt: Gpt, monkeypatch: pytest.MonkeyPatch, verb: str, tokenizer: Path | str, data: bytes, *flags: str) -> str:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
    said = gpt("tokenizer", verb, tokenizer, *flags)
    assert said.code == 0, said.err
    return said.out


def test_each_line_becomes_one_list_of_ids_and_back(gpt: Gpt, tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = pipe(gpt, monkeypatch, "encode", tokenizer, LINES.encode())
    lists = [json.loads(line) for line in ids.splitlines()]
    assert len(lists) == 4
    assert lists[1] == []
    assert pipe(gpt, monkeypatch, "decode", tokenizer, ids.encode()) == LINES + "\n"


@pytest.mark.parametrize("kind", ["byte_bpe", "gpt1"])
def test_a_text_too_long_to_be_held_teaches_the_same(
    gpt: Gpt, novel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    words = ["tokenizer", "train", novel, "--kind", kind, "--vocab-size", 300, "--out"]
    assert gpt(*words, tmp_path / "whole").code == 0
    monkeypatch.setattr(sources, "LONG_CHARS", 50)
    monkeypatch.setattr(plain, "PART_BYTES", 7)
    said = gpt(*words, tmp_path / "long")
    assert said.code == 0, said.err
    files = [tmp_path / name / "tokenizer.json" for name in ("whole", "long")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_gpt1s_kind_is_trained_by_name(gpt: Gpt, novel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = gpt("tokenizer", "train", novel, "--kind", "gpt1", "--vocab-size", 50, "--out", tmp_path / "tok")
    assert said.code == 0, said.err
    assert "gpt1_bpe-50, 50 tokens" in said.out
    ids = pipe(gpt, monkeypatch, "encode", tmp_path / "tok", b"It was the BEST")
    assert pipe(gpt, monkeypatch, "decode", tmp_path / "tok", ids.encode()) == "it was the best\n"
    assert gpt("tokenizer", "train", novel, "--kind", "gpt3", "--vocab-size", 60, "--out", tmp_path / "x").code == 2


def test_a_run_has_a_tokenizer_too(gpt: Gpt, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(pipe(gpt, monkeypatch, "encode", trained, b"It was"))


@pytest.mark.parametrize("line", ["[1, 2", '["a"]', "{}", "[true]", "[1.5]", "[" * 5000])
def test_what_is_no_list_of_ids_is_named(gpt: Gpt, tokenizer: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(line + "\n"))
    said = gpt("tokenizer", "decode", tokenizer)
    assert said.code == 1
    assert "line 1 of the input is not a JSON list of token ids" in said.err


def test_ids_outside_the_vocabulary_and_bad_text_are_named(
    gpt: Gpt, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("[280]\n"))
    assert "280" in gpt("tokenizer", "decode", tokenizer).err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ok\n\xff\n")))
    assert "line 2 of the input is not UTF-8 at byte 0" in gpt("tokenizer", "encode", tokenizer).err


def test_a_tokenizer_is_not_overwritten_without_force(gpt: Gpt, novel: Path, tokenizer: Path) -> None:
    words = ["tokenizer", "train", novel, "--vocab-size", 270, "--out", tokenizer]
    assert gpt(*words).code == 1
    assert gpt(*words, "--force").code == 0


def test_a_tokenizer_is_not_put_into_a_run(gpt: Gpt, novel: Path, trained: Path) -> None:
    before = sorted(trained.rglob("*"))
    said = gpt("tokenizer", "train", novel, "--vocab-size", 280, "--out", trained)
    assert (said.code, said.err) == (1, f"gpt: {trained} holds a run: choose another --out\n")
    assert sorted(trained.rglob("*")) == before


def test_a_vocabulary_too_small_for_the_bytes_is_refused(gpt: Gpt, novel: Path, tmp_path: Path) -> None:
    said = gpt("tokenizer", "train", novel, "--vocab-size", 100, "--out", tmp_path / "small")
    assert said.code == 2
    assert "257" in said.err


def test_a_special_token_is_one_only_where_it_is_allowed(
    gpt: Gpt, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = b"a<|endoftext|>b"
    plain = json.loads(pipe(gpt, monkeypatch, "encode", tokenizer, line))
    special = json.loads(pipe(gpt, monkeypatch, "encode", tokenizer, line, "--allow-special", "<|endoftext|>"))
    assert 279 not in plain
    assert special[1:2] == [279]
    assert len(special) == 3


def test_an_unknown_special_token_is_refused(gpt: Gpt, tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"text")))
    said = gpt("tokenizer", "encode", tokenizer, "--allow-special", "<|endoftext|>", "--allow-special", "<|im_start|>")
    assert said.code == 1
    assert "'<|im_start|>' is not a special token of this tokenizer" in said.err


def test_a_fetched_vocabulary_is_used_by_its_name(
    gpt: Gpt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_data: Callable[[str], Path]
) -> None:
    monkeypatch.setenv("GPTRILOGY_CACHE", str(tmp_path))
    said = gpt("tokenizer", "fetch", "gpt2", "--from", shared_data("vocab/gpt2"))
    assert said.code == 0
    assert said.out.startswith(f"{tmp_path}/tokenizers/gpt2: byte_bpe-50257, 50,257 tokens, fingerprint ")
    assert pipe(gpt, monkeypatch, "encode", "gpt2", b"Hello world") == "[15496, 995]\n"


def test_a_vocabulary_that_cannot_be_had_ends_in_one_line(
    gpt: Gpt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPTRILOGY_CACHE", str(tmp_path))
    unknown = gpt("tokenizer", "fetch", "gpt9")
    assert (unknown.code, unknown.err.count("\n")) == (2, 1)
    assert "no vocabulary is published as 'gpt9'; did you mean gpt" in unknown.err
    missing = gpt("tokenizer", "fetch", "gpt2", "--from", tmp_path)
    assert (missing.code, missing.err.count("\n")) == (1, 1)
    assert "encoder.json': No such file or directory" in missing.err
    absent = gpt("tokenizer", "encode", "gpt2")
    assert (absent.code, absent.err.count("\n")) == (1, 1)
    assert "`gpt tokenizer fetch gpt2` brings it" in absent.err


def test_bytes_are_a_tokenizer_by_name(gpt: Gpt, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(pipe(gpt, monkeypatch, "encode", "bytes", "né".encode())) == [110, 195, 169]
