from typing import Any

import pytest

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers.gpt1_symbols import gpt1_vocabulary, symbol_bytes
from gptrilogy.tokenizers.symbols import MAX_TOKEN_BYTES


def test_a_symbol_made_twice_keeps_its_first_id():
    ids = gpt1_vocabulary("abc", [("a", "b"), ("b", "c</w>"), ("ab", "c</w>"), ("a", "bc</w>"), ("c", "c")])
    assert [ids[symbol] for symbol in ("ab", "bc</w>", "abc</w>", "cc", "\n</w>")] == [7, 8, 9, 10, 11]
    assert list(ids.values()) == list(range(12))


def test_characters_of_any_plane_are_taken():
    ids = gpt1_vocabulary("\xad\u200b\u0301🙂", [("🙂", "\u0301</w>")])
    assert symbol_bytes(list(ids)[9]) == "🙂\u0301 ".encode()


@pytest.mark.parametrize(
    ("characters", "complaint"),
    [
        (["a", ""], "character 1 must be one character that is no white space, got ''"),
        (["ab"], "character 0 must be one character that is no white space, got 'ab'"),
        (["\n"], "character 0 must be one character"),
        (["\u00a0"], "character 0 must be one character"),
        (["\ud800"], "character 0 must be one character"),
        ([7], "character 0 must be one character that is no white space, got 7"),
        (["a", "b", "a"], "character 2 'a' comes twice"),
    ],
)
def test_what_is_no_character_is_refused(characters: list[Any], complaint: str):
    with pytest.raises(TokenizerError, match=complaint) as caught:
        gpt1_vocabulary(characters, [])
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("merges", "complaint"),
    [
        ([("a", "b"), ("bc", "a")], "merge 1 .* uses 'bc' before it exists"),
        ([("ab", "a"), ("a", "b")], "merge 0 .* uses 'ab' before it exists"),
        ([("a", "")], "uses '' before it exists"),
        ([("a", "\n</w>")], "before it exists"),
        ([("a", "\ud800")], "before it exists"),
        ([("<unk>", "a")], "uses <unk>, which is no part of a word"),
        ([("a", "b"), ("a", "b")], r"merge 1 \('a', 'b'\) comes twice"),
        ([("a", "b"), ("ab", "a"), ("aba", "b"), ("abab", "ab"), ("ab", "ab")], "merge 4 makes 'abab' again"),
        ([("a</w>", "b")], "makes 'a</w>b', in which a word ends too early"),
        ([("a</w>", "b</w>")], "makes 'a</w>b</w>', in which a word ends too early"),
        ([("<", "/"), ("</", "w"), ("</w", ">")], "merge 2 .* makes '</w>', in which a word ends too early"),
        ([("<", "u"), ("<u", "n"), ("<un", "k"), ("<unk", ">")], "merge 3 .* makes '<unk>'"),
        ([("a", "b", "c")], "merge 0 must be a pair of strings, got"),
        ([("a", 7)], "merge 0 must be a pair of strings, got"),
        (["ab"], "merge 0 must be a pair of strings, got 'ab'"),
        (
            [("a" * 2**i, "a" * 2**i) for i in range(12)],
            f"merge 10 makes .* 2048 bytes; the limit is {MAX_TOKEN_BYTES}",
        ),
    ],
)
def test_merges_that_nobody_can_have_learned_are_refused(merges: list[Any], complaint: str):
    with pytest.raises(TokenizerError, match=complaint) as caught:
        gpt1_vocabulary("abunk<>/w", merges)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()
