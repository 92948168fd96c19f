"""The compiled kernel counts what the pattern finds and learns what the readable twin learns."""

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from ctypes import CDLL
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.tokenizers.bpe_training import learn_exactly
from gptrilogy.tokenizers.native_bpe import MAX_THREADS, STEP_MERGES, count_pieces, counted, learn_merges, library
from gptrilogy.tokenizers.piece_counts import Counted
from gptrilogy.tokenizers.reference import learn_merges as learn_reference
from gptrilogy.tokenizers.reference import split
from gptrilogy.tokenizers.symbols import MAX_TOKEN_BYTES, Pair, to_symbols
from gptrilogy.tokenizers.unicode16 import kinds

# Characters of Unicode 15 and before: the installed `regex` may know younger ones.
SNIPPETS = [
    "the", " cat", "'s", "'ll", "'l", "'S", "''", "1815", "½", "٣", "猫坐在", "。", "é", "e\u0301",
    "👩\u200d👧", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\x1c", "\x00", "!=", "ǅ",
]  # fmt: skip
TEXTS = st.one_of(
    st.lists(st.sampled_from(SNIPPETS), max_size=30).map("".join),
    st.text(alphabet="asrevl1'! \n\t\u00a0\u3000\x85", max_size=40),
)


@pytest.fixture(scope="module")
def native() -> CDLL:
    found = library()
    return found if found is not None else pytest.skip("there is no C++ compiler here")


def as_counter(found: Counted) -> Counter[bytes]:
    return Counter(dict(zip(found.pieces, found.counts.tolist(), strict=True)))


def as_counted(words: Sequence[str], weights: Sequence[int]) -> Counted:
    return Counted([word.encode() for word in words], np.array(weights, np.int64))


def expected_merges(found: Counted, n_merges: int) -> list[Pair]:
    """Of the slow twin, to which all 256 bytes have their age."""
    every_byte = {(symbol,): 0 for symbol in to_symbols(bytes(range(256)))}
    words = {tuple(to_symbols(piece)): int(count) for piece, count in zip(found.pieces, found.counts, strict=True)}
    return learn_reference(every_byte | words, n_merges, oldest_first=True)


@given(texts=st.lists(TEXTS, max_size=4))
def test_pieces_are_those_of_the_pattern_and_end_with_their_text(native: CDLL, texts: list[str]):
    words = Counter(word.encode() for text in texts for word in split(text))
    n_bytes, found = count_pieces(native, texts)
    assert n_bytes == sum(map(len, words.elements()))
    assert as_counter(found) == words
    assert found.pieces == list(words)  # in the order of their first occurrence


def test_a_long_piece_is_counted_in_parts(native: CDLL):
    _, found = count_pieces(native, ["a" * (2 * MAX_TOKEN_BYTES + 1)])
    assert as_counter(found) == {b"a" * MAX_TOKEN_BYTES: 2, b"a": 1}


@pytest.mark.parametrize("name", ["text/austen/emma.txt", "lm/wikitext-2-raw/wiki.test.raw"])
def test_pieces_of_real_text_are_those_of_the_pattern(native: CDLL, shared_data: Callable[[str], Path], name: str):
    text = shared_data(name).read_text(encoding="utf-8")
    _, found = count_pieces(native, [text])
    assert as_counter(found) == Counter(word.encode() for word in split(text))


def test_groups_counted_side_by_side_come_in_their_order(native: CDLL):
    groups = [[f"text {i}", "cat " * i] for i in range(40)]
    assert [found.pieces for _, found in counted(native, groups)] == [
        count_pieces(native, group)[1].pieces for group in groups
    ]


def test_few_groups_are_in_memory_at_a_time(native: CDLL):
    taken: list[int] = []

    def groups() -> Iterator[list[str]]:
        for number in range(100):
            taken.append(number)
            yield ["the cat"]

    assert next(counted(native, groups()))[0] == 7
    assert len(taken) <= MAX_THREADS + 1


def test_what_the_kernel_reads_stays_while_it_reads(native: CDLL, monkeypatch: pytest.MonkeyPatch):
    """Threads that begin together each make the table of characters, and only the last one's is kept."""
    tables: list[weakref.ref[Any]] = []

    def own_table() -> Any:
        tables.append(weakref.ref(table := kinds().copy()))
        return table

    class Watched:
        bpe_counted = native.bpe_counted

        @staticmethod
        def bpe_count(*arguments: Any) -> Any:
            assert tables[-1]() is not None, "the kernel would read memory that has been given back"
            return native.bpe_count(*arguments)

    monkeypatch.setattr("gptrilogy.tokenizers.native_bpe.kinds", own_table)
    n_bytes, found = count_pieces(cast("CDLL", Watched()), ["the cat"])
    assert (n_bytes, found.pieces) == (7, [b"the", b" cat"])
    assert tables[-1]() is None


def test_first_threads_count_alike(native: CDLL):
    groups = [["The cat's 23 mats über alles, 漢字.\n" * 3_000]] * 3
    for _ in range(30):
        kinds.cache_clear()
        first, *others = [found.pieces for _, found in counted(native, groups)]
        assert others == [first, first]


@given(
    words=st.lists(st.text(alphabet="aab", min_size=1, max_size=24), min_size=1, max_size=8, unique=True),
    weights=st.lists(st.integers(1, 3), min_size=8, max_size=8),
)
def test_merges_equal_those_of_the_twin_where_almost_all_pairs_tie(native: CDLL, words: list[str], weights: list[int]):
    found = as_counted(words, weights[: len(words)])
    assert learn_merges(native, found, 20) == expected_merges(found, 20)


@given(words=st.dictionaries(st.text(min_size=1, max_size=12), st.integers(1, 10**12), min_size=1, max_size=8))
def test_merges_of_any_words_equal_those_of_the_twin(native: CDLL, words: dict[str, int]):
    found = as_counted(list(words), list(words.values()))
    assert learn_merges(native, found, 20) == expected_merges(found, 20)


def test_merges_of_real_text_equal_those_of_tokenizers(native: CDLL, shared_data: Callable[[str], Path]):
    text = shared_data("text/austen/emma.txt").read_text(encoding="utf-8")
    reports: list[int] = []
    merges = learn_merges(native, count_pieces(native, [text])[1], 2 * STEP_MERGES + 1, reports.append)
    assert merges == learn_exactly([text], 2 * STEP_MERGES + 1)
    assert reports == [STEP_MERGES, 2 * STEP_MERGES, 2 * STEP_MERGES + 1]


def test_text_that_has_no_more_pairs_ends_the_learning(native: CDLL):
    assert learn_merges(native, as_counted(["ab", "cd"], [2, 1]), 5000) == [("a", "b")]
    assert learn_merges(native, as_counted([], []), 5000) == []


@pytest.mark.parametrize("piece", ["", "a" * (MAX_TOKEN_BYTES + 1)], ids=["empty", "long"])
def test_pieces_that_the_kernel_cannot_hold_are_our_own_bug(native: CDLL, piece: str):
    with pytest.raises(AssertionError, match="sizes in 16 bits"):
        learn_merges(native, as_counted(["ab", piece], [2, 1]), 5)


def test_every_byte_can_be_learned(native: CDLL):
    pieces = [bytes([byte, byte]) for byte in range(256)]
    merges = learn_merges(native, Counted(pieces, np.full(256, 2, np.int64)), 256)
    assert set(chain.from_iterable(merges)) == set(to_symbols(bytes(range(256))))
