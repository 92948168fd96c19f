import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.bare_words import bare, bare_words_reference, origins
from gptrilogy.corpus.ngrams import words_of

WORDS = st.sampled_from(
    ["a", "B", "don't", "--", "«naïve»", "Straße", "猫、坐", "x" * 70, "\x00", "e\u0301", "\u200b", "\u00a0", "😀"]
)
TEXTS = st.one_of(st.text(), st.text(alphabet="aB'- \n\t\u00a0\u2019é.\u2003"), st.lists(WORDS).map(" ".join))


def spelled(text: str) -> list[tuple[str, int, int]]:
    data = bare(text)
    words = words_of(data)
    starts, ends = origins(text, data, words.starts), origins(text, data, words.ends - 1) + 1
    said = [data[start:end].decode() for start, end in zip(words.starts, words.ends, strict=True)]
    return list(zip(said, starts.tolist(), ends.tolist(), strict=True))


@given(text=TEXTS)
def test_words_and_their_places_are_those_of_the_readable_twin(text: str) -> None:
    assert spelled(text) == bare_words_reference(text)


def test_every_character_there_is_becomes_what_the_twin_makes_of_it() -> None:
    for start in (*range(0, 0x34000, 0x4000), 0xE0000, sys.maxunicode - 0x3FFF):  # no other code is assigned
        text = "x ".join(map(chr, range(start, start + 0x4000)))
        assert spelled(text) == bare_words_reference(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't STOP!", ["dont", "stop"]),
        ("yes -- no", ["yes", "no"]),
        ("yes--no, well-known", ["yesno", "wellknown"]),
        ("$3.14 (snake_case)", ["314", "snakecase"]),
        ("İstanbul \u212aelvin", ["istanbul", "kelvin"]),
        ("soft\u00adhyphen no\u00a0break zero\u200bwidth", ["softhyphen", "no", "break", "zerowidth"]),
        ("❤\ufe0f love", ["love"]),
        ("e\u0301te\u0301 \u00e9t\u00e9", ["e\u0301te\u0301", "\u00e9t\u00e9"]),
        ("\ud83d broken", ["broken"]),
        ("猫が、坐った。 犬", ["猫が坐った", "犬"]),
        ("\v\x1c\x85\u2028", []),
        ("", []),
    ],
)
def test_what_is_a_word(text: str, words: list[str]) -> None:
    assert [word for word, _, _ in spelled(text)] == words == [word for word, _, _ in bare_words_reference(text)]


def test_a_word_reaches_from_its_first_letter_to_its_last() -> None:
    text = "— “(Émile)”, dit-il…"
    assert [text[start:end] for _, start, end in spelled(text)] == ["Émile", "dit-il"]


def test_no_place_is_asked_for() -> None:
    assert origins("", b"", np.zeros(0, np.int64)).tolist() == []
