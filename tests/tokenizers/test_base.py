import subprocess
import sys

import pytest

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers.base import END_OF_TEXT, bytes_of, cut_special, utf8


def test_a_lone_surrogate_is_refused_with_its_place():
    with pytest.raises(TokenizerError, match=r"position 6 \(after 'before'\) holds U\+D800") as caught:
        utf8("before\ud800after")
    assert "\n" not in str(caught.value)
    str(caught.value).encode()  # the message itself can be printed


def test_both_halves_of_a_pair_of_surrogates_are_not_a_character_in_python():
    with pytest.raises(TokenizerError, match="position 0"):
        utf8("\ud83d\ude00")
    assert utf8("\U0001f600") == b"\xf0\x9f\x98\x80"


def test_a_text_ends_with_the_token_of_the_released_vocabularies():
    assert END_OF_TEXT == "<|endoftext|>"


def test_every_id_of_a_table_has_its_bytes():
    assert [bytes_of(token_id, [b"a", b"b"]) for token_id in (0, 1)] == [b"a", b"b"]


@pytest.mark.parametrize("token_id", [-1, 2, 10**30])
def test_an_id_outside_the_table_is_refused_with_the_limit(token_id: int):
    with pytest.raises(TokenizerError, match=rf"token id {token_id} is outside 0\.\.1"):
        bytes_of(token_id, [b"a", b"b"])


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, gptrilogy.tokenizers; print({'torch', 'numpy', 'pydantic', 'transformers'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_a_lone_surrogate_is_shown_with_the_twenty_characters_before_it():
    with pytest.raises(TokenizerError, match=r"position 30 \(after 'klmnopqrstuvwxyz0123'\) holds U\+DC80"):
        utf8("abcdefghijklmnopqrstuvwxyz0123\udc80")


SPECIAL = {"<|a|>": 7, "<|a|><|b|>": 8, "(.": 9}


@pytest.mark.parametrize(
    ("text", "allowed", "parts"),
    [
        ("one<|a|>two", ["<|a|>"], ["one", 7, "two"]),
        ("<|a|><|a|>", ["<|a|>"], [7, 7]),
        ("<|a|><|b|>", ["<|a|>", "<|a|><|b|>"], [8]),  # of two that begin alike the longer one
        ("<|a|><|b|>", ["<|a|>"], [7, "<|b|>"]),
        ("a(.b<|a|>", ["(."], ["a", 9, "b<|a|>"]),  # no pattern, though it looks like one
        ("", ["<|a|>"], []),
        ("", [], [""]),
        ("plain", ["<|a|>"], ["plain"]),
        ("a(.b<|a|>", ["<|a|>", "(."], ["a", 9, "b", 7]),
    ],
)
def test_special_tokens_are_cut_out_where_they_are_allowed(text: str, allowed: list[str], parts: list[str | int]):
    assert list(cut_special(text, allowed, SPECIAL)) == parts


@pytest.mark.parametrize(("special", "known"), [(SPECIAL, r"<\|a\|>, <\|a\|><\|b\|>, \(\."), ({}, "none")])
def test_a_name_that_is_no_special_token_is_refused_with_those_that_are(special: dict[str, int], known: str):
    with pytest.raises(TokenizerError, match=rf"'<\|c\|>' is not a special token .*; its special tokens: {known}$"):
        list(cut_special("text", ["<|d|>", "<|c|>"], special))
