from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.tokenizers import ByteLevelBPE
from gptrilogy.tokenizers.pieces import ANYWHERE, LINE, SPACE, Gap, grouped, pieces, streamed
from gptrilogy.tokenizers.reference import split

# Few characters, so that every kind of boundary is met often. U+001C is whitespace to `re` but not to `regex`.
MIXED = st.text(alphabet="a'sé7!猫 \n\t\r\u00a0\u2003\u3000\u0085\u200b\x1c")


@given(text=st.one_of(MIXED, st.text()), size=st.integers(1, 8))
def test_pieces_put_together_are_the_text(text: str, size: int):
    parts = list(pieces(text, size))
    assert "".join(parts) == text
    assert all(len(part) >= size for part in parts[:-1])


@given(text=st.one_of(MIXED, st.text()), size=st.integers(1, 8))
def test_the_words_of_the_pieces_are_the_words_of_the_text(text: str, size: int):
    assert [word for part in pieces(text, size) for word in split(part)] == split(text)


@given(text=st.one_of(MIXED, st.text()), size=st.integers(1, 8))
def test_the_ids_of_the_pieces_are_the_ids_of_the_text(tokenizer: ByteLevelBPE, text: str, size: int):
    whole = tokenizer.encode(text)  # far shorter than a real piece
    assert [token for part in pieces(text, size) for token in tokenizer.encode(part)] == whole


@pytest.mark.parametrize("text", ["", "a" * 100, " " * 100, "猫" * 100, " " * 50 + "a" * 50])
def test_text_without_a_safe_place_stays_whole(text: str):
    assert list(pieces(text, size=1)) == [text]


def test_a_piece_grows_to_the_next_safe_place():
    text = "a" * 30 + " " * 30 + "b c"
    assert list(pieces(text, size=4)) == ["a" * 30, " " * 30 + "b", " c"]


@given(
    parts=st.lists(st.one_of(MIXED, st.text())),
    size=st.integers(1, 8),
    gap=st.sampled_from([SPACE, LINE, ANYWHERE]),
)
def test_a_text_that_comes_in_parts_has_the_pieces_of_the_whole(parts: list[str], size: int, gap: object):
    gap = cast("Gap", gap)
    assert list(streamed(parts, size, gap)) == list(pieces("".join(parts), size, gap))


@given(texts=st.lists(st.text(max_size=5)), n_chars=st.integers(1, 12))
def test_groups_are_full_but_for_the_last_and_no_fuller_than_they_must_be(texts: list[str], n_chars: int):
    *full, last = grouped(texts, n_chars)
    assert [text for group in [*full, last] for text in group] == texts
    for group in full:
        assert sum(map(len, group[:-1])) < n_chars <= sum(map(len, group))
    assert sum(map(len, last)) < n_chars
