from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.pre_tokenizers import ByteLevel

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers.symbols import MAX_TOKEN_BYTES, byte_symbols, to_bytes, to_symbols, vocabulary


def test_every_byte_has_its_own_symbol_that_is_no_space():
    table = byte_symbols()
    assert sorted(table) == list(range(256))
    assert len(set(table.values())) == 256
    assert not any(symbol.isspace() for symbol in table.values())
    assert set(table.values()) == set(ByteLevel.alphabet())


def test_the_printable_bytes_come_first_and_the_others_borrow_from_u0100():
    table = byte_symbols()
    assert list(table)[:188] == [*range(33, 127), *range(161, 173), *range(174, 256)]
    assert (table[0], table[32], table[173]) == ("\u0100", "\u0120", "\u0143")


@given(st.binary())
def test_symbols_and_bytes_are_inverse(data: bytes):
    assert to_bytes(to_symbols(data)) == data


def test_a_symbol_made_twice_keeps_its_first_id():
    ids = vocabulary([("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc"), ("c", "c")])
    assert [ids[symbol] for symbol in ("ab", "bc", "abc", "cc")] == [256, 257, 258, 259]
    assert len(ids) == 260


@pytest.mark.parametrize(
    ("merges", "complaint"),
    [
        ([("a", "b"), ("bc", "d")], "merge 1 .* uses 'bc' before it exists"),
        ([("ab", "c"), ("a", "b")], "merge 0 .* uses 'ab' before it exists"),
        ([("a", "")], "uses '' before it exists"),
        ([("a", " ")], "uses ' ' before it exists"),
        ([("a", "\ud800")], "before it exists"),
        ([("a", "b"), ("a", "b")], r"merge 1 \('a', 'b'\) comes twice"),
        ([("a", "b", "c")], "merge 0 must be a pair of strings, got"),
        ([("a", 7)], "merge 0 must be a pair of strings, got"),
        (["ab"], "merge 0 must be a pair of strings, got 'ab'"),
        ([None], "merge 0 must be a pair of strings, got None"),
    ],
)
def test_merges_that_nobody_can_have_learned_are_refused(merges: list[Any], complaint: str):
    with pytest.raises(TokenizerError, match=complaint):
        vocabulary(merges)


def test_merges_that_double_are_refused_before_they_fill_the_memory():
    merges = [("a" * 2**i, "a" * 2**i) for i in range(12)]
    with pytest.raises(TokenizerError, match=f"merge 10 makes a token of 2048 bytes; the limit is {MAX_TOKEN_BYTES}"):
        vocabulary(merges)


def test_a_symbol_is_not_made_again_once_it_is_in_use():
    with pytest.raises(TokenizerError, match="merge 4 makes 'abab' again, which an earlier merge uses"):
        vocabulary([("a", "b"), ("ab", "a"), ("aba", "b"), ("abab", "ab"), ("ab", "ab")])
