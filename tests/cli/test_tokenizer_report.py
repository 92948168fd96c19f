"""`gpt tokenizer report`."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from gpt_command import Gpt
from gptrilogy.cli import tokenizer_report as verb
from gptrilogy.tokenizers import ByteLevelBPE, BytesTokenizer, save_tokenizer
from gptrilogy.tokenizers import report as module

TEXT = "the sea, the sea! η θάλασσα 東京\n"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus" / "sea.txt"
    path.parent.mkdir()
    path.write_text(TEXT, encoding="utf-8")
    return path.parent


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return save_tokenizer(BytesTokenizer(), tmp_path / "plain").parent


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    tokenizer = ByteLevelBPE([("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("s", "e"), ("\u011b", "[")])
    return save_tokenizer(tokenizer, tmp_path / "merged").parent


def test_tokenizers_stand_side_by_side_and_the_better_is_marked(gpt: Gpt, corpus: Path, plain: Path, merged: Path):
    said = gpt("tokenizer", "report", corpus, "--tokenizer", merged, "--tokenizer", plain)
    assert said.code == 0
    assert (
        said.out
        == """
43 bytes of text; * marks the best of a row
                      merged    plain
  vocabulary             262      257
  tokens of the text      37       43
  bytes a token         1.16 *   1.00
  unused vocabulary    91.6%    91.4%

tokens a word
                 words  merged    plain
  Latin              4    2.00 *   4.00
  Greek              2    9.00     9.00
  Han, a letter      2    3.00     3.00

tokens of merged
  most frequent        b'\\xce' 16.2%   ' ' 13.5%   b'\\xb1' 8.1%   'se' 5.4%   'a' 5.4%
  longest seen, bytes  ' the' 4   'he' 2   'se' 2
  longest, bytes       ' the' 4   ' t' 2   'he' 2
  unused               ' t'   '\\x1b['

tokens of plain
  most frequent        ' ' 14.0%   b'\\xce' 14.0%   'e' 9.3%   b'\\xb1' 7.0%   't' 4.7%
  longest seen, bytes  '\\n' 1   ' ' 1   '!' 1
  longest, bytes       '\\x00' 1   '\\x01' 1   '\\x02' 1
  unused               none
"""
    )


def test_one_tokenizer_alone_has_no_marks(gpt: Gpt, corpus: Path, plain: Path):
    said = gpt("tokenizer", "report", corpus, "--tokenizer", plain)
    assert "*" not in said.out
    assert "  Greek              2   9.00\n" in said.out
    assert "measured 43 bytes of text in" in said.err


def test_json_has_every_number_and_every_name(gpt: Gpt, corpus: Path, plain: Path, merged: Path):
    said = gpt("tokenizer", "report", corpus, "--tokenizer", merged, "--tokenizer", plain, "--json").json()
    assert set(said) == {"n_bytes", "scripts", "n_words_left_out", "tokenizers"}
    assert said["scripts"][2] == {"name": "Han", "counted": "letter", "n_words": 2}
    one, other = said["tokenizers"]
    assert (one["tokenizer"], other["tokenizer"]) == (str(merged), str(plain))
    assert (other["name"], other["n_vocab"], other["n_tokens"], other["bytes_per_token"]) == ("bytes", 257, 43, 1.0)
    assert one["tokens_per_word"] == {"Latin": 2.0, "Greek": 9.0, "Han": 3.0}
    assert one["longest"][0] == {"id": 258, "text": "' the'", "size_bytes": 4, "n_seen": 1}


def test_escapes_in_text_vocabulary_and_names_reach_no_terminal(gpt: Gpt, tmp_path: Path, merged: Path):
    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "text.txt").write_text("\x1b[2J\x1b[31m\x9b2J\u202e\x07 the " * 9, encoding="utf-8")
    (folder / "skipped\x1b[2J").touch()
    named = merged.rename(tmp_path / "bad\x1b[2J\x9bname")
    words = ["tokenizer", "report", folder, "--tokenizer", named]
    for said in (gpt(*words), gpt(*words, "--json")):
        assert said.code == 0
        assert all(character.isprintable() or character == "\n" for character in said.out + said.err)
        assert "\\x1b[" in said.out


def test_the_beginning_of_a_text_can_be_measured_alone(gpt: Gpt, corpus: Path, plain: Path, tmp_path: Path):
    twin = shutil.copytree(corpus, tmp_path / "twin")
    words = ["tokenizer", "report", corpus, twin, "--tokenizer", plain, "--json"]
    assert gpt(*words).json()["n_bytes"] == 86
    assert gpt(*words, "--limit-bytes", 50).json()["n_bytes"] == 50
    assert gpt(*words, "--limit-bytes", 22).json()["n_bytes"] == 21  # not half a θ


def test_words_left_out_are_told(gpt: Gpt, corpus: Path, plain: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "measure", partial(module.measure, max_distinct_words=3))
    said = gpt("tokenizer", "report", corpus, "--tokenizer", plain)
    assert "note: 2 words are not in the rows by script" in said.err
    assert "Han" not in said.out


def test_long_work_tells_how_far_it_is(gpt: Gpt, corpus: Path, plain: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verb, "QUICK_S", -1.0)
    said = gpt("tokenizer", "report", corpus, "--tokenizer", plain)
    assert said.err.splitlines()[0] == "measured 43 bytes of text"


def test_jsonl_has_its_field(gpt: Gpt, tmp_path: Path, plain: Path):
    (tmp_path / "posts.jsonl").write_text(json.dumps({"body": "né"}) + "\n")
    said = gpt("tokenizer", "report", tmp_path / "posts.jsonl", "--tokenizer", plain, "--text-field", "body", "--json")
    assert said.json()["n_bytes"] == 3


def test_what_is_missing_is_asked_for(gpt: Gpt, corpus: Path, plain: Path):
    said = gpt("tokenizer", "report", corpus)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "name at least one --tokenizer, for example" in said.err
    said = gpt("tokenizer", "report", "--tokenizer", plain)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "name at least one source of text, for example" in said.err
    said = gpt("tokenizer", "report", corpus, "--tokenizer", plain, "--limit-bytes", 0)
    assert (said.code, said.err) == (2, "gpt: --limit-bytes must be at least 1, got 0\n")


def test_what_cannot_be_read_is_one_line(gpt: Gpt, corpus: Path, plain: Path, tmp_path: Path):
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    said = gpt("tokenizer", "report", tmp_path / "picture.txt", "--tokenizer", plain)
    assert (said.code, said.err.count("\n"), said.out) == (1, 1, "")
    assert "picture.txt: not UTF-8 (byte 0x89 at offset 0)" in said.err
    said = gpt("tokenizer", "report", corpus, "--tokenizer", tmp_path / "nowhere" / "at-all")
    assert (said.code, said.err.count("\n"), said.out) == (1, 1, "")
    assert "at-all" in said.err


def test_an_empty_corpus_is_refused(gpt: Gpt, tmp_path: Path, plain: Path):
    (tmp_path / "empty.txt").write_text(" \n")
    said = gpt("tokenizer", "report", tmp_path / "empty.txt", "--tokenizer", plain)
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith("gpt: there is no text to measure")
