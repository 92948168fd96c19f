"""Repeated words are measured by the characters they cover, and the short way finds what the long one finds."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.repetition import WordList, repeated_share, top_gram, top_gram_reference

texts = st.lists(st.sampled_from(["a", "b", "the", "of", "Überraschung", "日本", "a\u3000b"]), max_size=60).map(
    " ".join
)


@given(texts, st.sampled_from([1, 2, 3, 4]), st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]))
def test_the_fast_way_finds_what_measuring_all_finds(text: str, n: int, limit: float) -> None:
    words = WordList(text)
    assert top_gram(words, n, limit) == top_gram_reference(words, n, limit)


@given(st.text(max_size=80), st.sampled_from([2, 3]))
def test_a_share_is_never_more_than_the_whole(text: str, n: int) -> None:
    found = top_gram(WordList(text * 3), n, 0.0)
    assert found is None or 0 < found[1] <= 1


def test_words_that_overlap_themselves_cover_each_character_once() -> None:
    assert top_gram(WordList("ha ha ha ha hey you"), 2, 0.1) == ("ha ha", 8 / 14)


def test_what_is_there_once_is_not_repeated() -> None:
    assert top_gram(WordList("each word here stands alone"), 2, 0.0) is None
    assert top_gram(WordList(""), 2, 0.0) is None


def test_repeated_parts_are_weighed_by_their_length() -> None:
    assert repeated_share(["x" * 10, "y", "x" * 10, "z" * 4]) == pytest.approx(10 / 25)
    assert repeated_share([]) == 0


@pytest.mark.parametrize("text", ["a" * 10**6, "a " * 10**5, "ab\n" * 10**5])
def test_one_word_repeated_takes_no_longer_than_others(text: str) -> None:
    start = time.process_time()
    for n in (2, 3, 4):
        top_gram(WordList(text), n, 0.2)
    assert time.process_time() - start < 10  # a quadratic way takes an hour
