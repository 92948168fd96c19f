import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus import gram_search as module
from gptrilogy.corpus.gram_search import find_matches, spans_reference
from gptrilogy.corpus.gram_set import GramSet

WORDS = st.sampled_from(["a", "B", "a,", "--", "«é»", "e\u0301", "\u00a0", "\n", "(b", "c" * 9])
TEXTS = st.one_of(st.text(alphabet="ab -'\u00a0é"), st.lists(WORDS, max_size=60).map(" ".join))


def spans(texts: list[str], grams: GramSet, block_chars: int) -> list[list[tuple[int, int]]]:
    found = find_matches(texts, grams, block_chars=block_chars)
    return [list(zip(one.starts.tolist(), one.ends.tolist(), strict=True)) for one in found]


@given(
    texts=st.lists(TEXTS, max_size=5),
    tests=st.lists(TEXTS, max_size=3),
    n=st.integers(1, 4),
    block_chars=st.sampled_from([1, 5, 20, 1 << 18]),
)
def test_matches_are_those_of_the_readable_twin_whatever_the_blocks(
    texts: list[str], tests: list[str], n: int, block_chars: int
) -> None:
    grams = GramSet.build([("t", test) for test in tests], n)
    assert spans(texts, grams, block_chars) == [spans_reference(text, tests, n) for text in texts]


@given(text=TEXTS, near_chars=st.sampled_from([1, 4, 16]), n=st.integers(1, 4))
def test_the_last_words_of_a_block_are_found_however_far_back_they_are(text: str, near_chars: int, n: int) -> None:
    grams = GramSet.build([("t", text)], n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_NEAR_CHARS", near_chars)
        assert spans([text], grams, 8) == [spans_reference(text, [text], n)]


def test_each_match_names_its_gram_and_its_text() -> None:
    grams = GramSet.build([("t", "in time saves nine")], 3)
    first, none, both = find_matches(["saves? In time, saves", "in time", "In time saves nine"], grams)
    assert [first.n_chars, none.n_chars, both.n_chars] == [21, 7, 18]
    assert none.grams.tolist() == []
    assert len(both.grams) == 2
    assert first.grams.tolist() == [both.grams[0]]


def test_words_of_two_texts_make_no_gram() -> None:
    grams = GramSet.build([("t", "one two three")], 3)
    assert spans(["one", "two three", "one two", "three"], grams, 1 << 18) == [[], [], [], []]


def test_a_gram_may_lie_over_several_blocks() -> None:
    text = "one" + " - " * 10_000 + "two" + " , " * 10_000 + "three"
    grams = GramSet.build([("t", "one two three")], 3)
    assert spans([text], grams, 1_000) == [[(0, len(text))]]


def test_a_word_that_does_not_end_is_parted() -> None:
    text = "one two three " + "x" * 300_000 + " one two three"
    grams = GramSet.build([("t", "one two three")], 3)
    assert spans([text], grams, 1_000) == [[(0, 13), (len(text) - 13, len(text))]]


def test_texts_are_read_one_block_ahead_at_most() -> None:
    read: list[int] = []

    def texts() -> Iterator[str]:
        for number in range(100):
            read.append(number)
            yield "word " * 20

    matches = find_matches(texts(), GramSet.build([("t", "a word")], 1), block_chars=1_000)
    next(matches)
    assert len(read) == 10


@pytest.mark.parametrize("letter", ["e", "é"])
def test_memory_is_of_one_block_however_long_the_text(letter: str) -> None:
    grams = GramSet.build([("t", "a b c")], 3)
    peaks: list[int] = []
    for n_words in (300_000, 1_200_000):
        text = f"{letter} " * n_words
        next(find_matches([text[: 1 << 18]], grams))  # tables are made once
        tracemalloc.start()
        assert next(find_matches([text], grams)).grams.tolist() == []
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]
    assert peaks[1] < 45 * module.BLOCK_CHARS


def test_no_text_no_match() -> None:
    assert list(find_matches([], GramSet.build([], 3))) == []
    (nothing,) = find_matches([""], GramSet.build([], 3))
    assert nothing.n_chars == len(nothing.grams) == 0
    assert nothing.starts.dtype == np.int64
