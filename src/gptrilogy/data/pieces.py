"""Divided documents in pieces and batches that a tokenizer can take at once, however long a document is."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gptrilogy.data.index import PARTS

# Where a text longer than a batch may be cut: no tokenizer here merges, strips or joins across one space between
# two words, so the pieces have the ids of the whole.
_WORD_GAP = re.compile(r"(?<=\S) (?=\S)")


@dataclass(frozen=True, slots=True)
class Piece:
    """A document's text for one part, or a piece of it."""

    part: str
    text: str
    ends_text: bool
    ends_document: bool


def batches(divided: Iterable[tuple[str, str]], size: int) -> Iterator[list[Piece]]:
    """The (train, valid) texts in order, in batches of about `size` characters."""
    batch: list[Piece] = []
    chars = 0
    for piece in _pieces(divided, size):
        batch.append(piece)
        chars += len(piece.text)
        if chars >= size:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def _pieces(divided: Iterable[tuple[str, str]], size: int) -> Iterator[Piece]:
    for texts in divided:
        parts = [(part, text) for part, text in zip(PARTS, texts, strict=True) if text]
        for part, text in parts:
            for piece, is_last in cut(text, size):
                yield Piece(part, piece, is_last, is_last and part == parts[-1][0])


def cut(text: str, size: int) -> Iterator[tuple[str, bool]]:
    """Pieces of about `size` characters, each beginning at a word's space, and whether each is the last.

    >>> list(cut("one two three", 5))
    [('one two', False), (' three', True)]
    """
    start = 0
    while gap := _WORD_GAP.search(text, start + size):
        yield text[start : gap.start()], False
        start = gap.start()
    yield text[start:], True
