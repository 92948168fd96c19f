"""`gpt tokenizer train|encode|decode`."""

import io
import json
from pathlib import Path

import pytest

from gpt_command import Gpt

LINES = "It was the best of times,\n\n  naïve 東京 😀\nlast line without a newline"


@pytest.fixture
def tokenizer(gpt: Gpt, novel: Path, tmp_path: Path) -> Path:
    said = gpt("tokenizer", "train", novel, "--vocab-size", 280, "--out", tmp_path / "tok")
    assert said.code == 0
    assert "280 tokens" in said.out
    return tmp_path / "tok"


def pipe(gpt: Gpt, monkeypatch: pytest.MonkeyPatch, verb: str, tokenizer: Path, data: bytes) -> str:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
    said = gpt("tokenizer", verb, tokenizer)
    assert said.code == 0, said.err
    return said.out


def test_each_line_becomes_one_list_of_ids_and_back(gpt: Gpt, tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = pipe(gpt, monkeypatch, "encode", tokenizer, LINES.encode())
    lists = [json.loads(line) for line in ids.splitlines()]
    assert len(lists) == 4
    assert lists[1] == []
    assert pipe(gpt, monkeypatch, "decode", tokenizer, ids.encode()) == LINES + "\n"


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


def test_a_vocabulary_too_small_for_the_bytes_is_refused(gpt: Gpt, novel: Path, tmp_path: Path) -> None:
    said = gpt("tokenizer", "train", novel, "--vocab-size", 100, "--out", tmp_path / "small")
    assert said.code == 2
    assert "257" in said.err
