import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.ngrams import (
    gram_hashes,
    gram_hashes_at,
    mix,
    normalise,
    words_of,
    words_reference,
)

WORDS = st.sampled_from(
    ["a", "b", "don't", "naïve", "Straße", "猫坐在", "x" * 9, "y" * 70, "—", "42", "\x00", "e\u0301"]
)
TEXTS = st.one_of(st.text(), st.text(alphabet="aB' \n\u2019é."), st.lists(WORDS).map(" ".join))


def spelled(text: str) -> list[str]:
    data = normalise(text)
    words = words_of(data)
    return [data[start:end].decode() for start, end in zip(words.starts, words.ends, strict=True)]


@given(text=TEXTS)
def test_words_are_those_of_the_readable_twin(text: str) -> None:
    assert spelled(text) == words_reference(text)


def test_every_character_there_is_becomes_what_the_twin_makes_of_it() -> None:
    for start in range(0, sys.maxunicode, 1 << 15):
        text = " ".join(map(chr, range(start, start + (1 << 15))))
        assert spelled(text) == words_reference(text)


@given(text=TEXTS)
def test_each_character_stays_one_character(text: str) -> None:
    assert len(normalise(text).decode()) == len(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't STOP!", ["don't", "stop"]),
        ("‘Tis the dogs’ o’clock, 'twas rock 'n' roll", ["tis", "the", "dogs", "o'clock", "twas", "rock", "n", "roll"]),
        ("it''s ' '' x'", ["it", "s", "x"]),
        ("s.u!c/c e", ["s", "u", "c", "c", "e"]),
        ("snake_case, 3.14", ["snake", "case", "3", "14"]),
        ("İstanbul \u212aelvin", ["istanbul", "kelvin"]),
        ("❤\ufe0f love", ["love"]),
        ("soft\u00adhyphen no\u00a0break", ["soft", "hyphen", "no", "break"]),
        ("\ud83d broken", ["broken"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("", []),
    ],
)
def test_what_is_a_word(text: str, words: Sequence[str]) -> None:
    assert spelled(text) == words == words_reference(text)


@given(words=st.lists(st.text(alphabet="ab", min_size=1, max_size=80)))
def test_words_have_equal_numbers_exactly_where_they_are_equal(words: list[str]) -> None:
    hashes = words_of(" ".join(words).encode()).hashes
    assert len(set(hashes.tolist())) == len(set(words))
    assert [hashes[words.index(word)] for word in words] == hashes.tolist()


def test_a_words_number_does_not_depend_on_where_it_stands() -> None:
    words = ["it", "establishment", "x" * 64, "x" * 65, "x" * 200]
    for before in range(9):
        found = words_of(b" " * before + " ".join(words).encode() + b" it")
        assert found.hashes[:5].tolist() == words_of(" ".join(words).encode()).hashes.tolist()


@given(words=st.lists(st.sampled_from("abc"), max_size=40), n=st.integers(1, 14))
def test_grams_have_equal_numbers_exactly_where_their_words_are_equal(words: list[str], n: int) -> None:
    numbers = words_of(" ".join(words).encode()).hashes
    hashes = gram_hashes(numbers, n)
    grams = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
    assert len(hashes) == len(grams)
    assert len(set(hashes.tolist())) == len(set(grams))
    assert [hashes[grams.index(gram)] for gram in grams] == hashes.tolist()
    assert (gram_hashes_at(numbers, np.arange(len(grams)), n) == hashes).all()


def test_mixing_is_a_permutation_in_which_every_bit_counts() -> None:
    numbers = np.arange(1 << 16, dtype=np.uint64)
    assert len(np.unique(mix(numbers))) == len(numbers)
    flipped = [int((mix(numbers) ^ mix(numbers ^ np.uint64(1 << bit)))[7]).bit_count() for bit in range(64)]
    assert min(flipped) > 12  # 32 of 64 are expected, give or take 4
