import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.tokenizers import ByteLevelBPE
from gptrilogy.tokenizers.pieces import pieces
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
