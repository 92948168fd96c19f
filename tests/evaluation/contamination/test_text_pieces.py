import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.documents import Document
from gptrilogy.corpus.ngrams import words_reference
from gptrilogy.evaluation.contamination.text_pieces import batches, cut, join

TEXTS = st.lists(st.sampled_from(["a", "bb", "é,", "--", "ccc ddd", "\n", "don't", "'", "d'e'f"])).map(" ".join)


def document(text: str, name: str = "x") -> Document:
    return Document(text, name, "source")


def grams(text: str, n: int) -> list[list[str]]:
    words = words_reference(text)
    return [words[start : start + n] for start in range(len(words) - n + 1)]


@given(text=TEXTS, chars=st.integers(1, 12), n=st.integers(2, 5))
def test_pieces_hold_every_gram_of_a_text_once_and_in_order(text: str, chars: int, n: int) -> None:
    pieces = list(cut(text, chars, n - 1))
    assert [gram for _, piece in pieces for gram in grams(piece, n)] == grams(text, n)
    assert all(text[start : start + len(piece)] == piece for start, piece in pieces)


def test_a_million_characters_without_a_space_or_without_a_word_end() -> None:
    for text in ("x" * 10**6, "-" * 10**6, ("y" * 70_000 + " z ") * 9, "\n" * 10**6):
        pieces = list(cut(text, 1 << 12, 12))
        assert sum(len(piece) for _, piece in pieces) < 30 * len(text)
        assert pieces[-1][0] + len(pieces[-1][1]) == len(text)


def test_batches_are_of_about_a_size_and_know_their_documents() -> None:
    made = list(
        batches([document("one two three", "a"), document(""), document("four" + " four" * 8, "b")], 2, chars=20)
    )
    assert [[(piece.number, piece.document) for piece in batch] for batch in made] == [
        [(0, "a"), (2, "b")],
        [(2, "b")],
    ]


def test_no_words_lie_together_in_two_documents() -> None:
    batch = join(next(batches([document("a b c"), document("d é f"), document("g")], 2)))
    assert batch.piece_of(np.arange(7)).tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert np.flatnonzero(batch.within(np.arange(6), 2)).tolist() == [0, 1, 3, 4]
    assert np.flatnonzero(batch.within(np.arange(5), 3)).tolist() == [0, 3]


def test_words_are_found_again_in_the_text_as_it_was() -> None:
    batch = join(next(batches([document("nothing"), document("Ça — c'est DIT!")], 2)))
    piece, start, end = batch.span(2, 2)
    assert (piece.number, piece.text[start:end]) == (1, "c'est DIT")
