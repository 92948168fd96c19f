"""A corpus in batches of text that fit in memory, none of whose n-grams is lost between two. Needs no torch."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.documents import Document
from gptrilogy.corpus.ngrams import Places, Words, normalise, words_of

PIECE_CHARS = 1 << 18
BATCH_CHARS = 1 << 19  # what numpy takes at once: enough to repay its calls, few enough for a core's cache
_NEAR_CHARS, _LOOK_CHARS = 1 << 10, 1 << 16  # how far words over a cut are looked for, first and at most

_WORD = re.compile(r"[^ ]+")


class Piece(NamedTuple):
    """A document or a part of one. `number` counts documents from 0, `offset` its characters before this piece."""

    number: int
    document: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Pieces laid end to end as normalised bytes, their words, and where each piece begins."""

    pieces: tuple[Piece, ...]
    data: bytes
    words: Words
    starts: Places

    def piece_of(self, words: Places) -> Places:
        """Which piece each of these words belongs to."""
        return np.searchsorted(self.starts, self.words.starts[words], side="right") - 1

    def within(self, words: Places, n: int) -> NDArray[np.bool_]:
        """Whether the n words from each of these on, which must be there, lie in one piece."""
        return self.piece_of(words) == self.piece_of(words + (n - 1))

    def span(self, word: int, n: int) -> tuple[Piece, int, int]:
        """The piece with n words from one on, and their first and last character in its text."""
        number = int(self.piece_of(np.array([word]))[0])
        origin, start, end = (
            int(x) for x in (self.starts[number], self.words.starts[word], self.words.ends[word + n - 1])
        )
        begin = len(self.data[origin:start].decode("utf-8"))
        return self.pieces[number], begin, begin + len(self.data[start:end].decode("utf-8"))


def join(pieces: Iterable[Piece]) -> Batch:
    """Pieces as a batch; each character of a text is one character of the batch."""
    kept = tuple(pieces)
    texts = [normalise(piece.text) for piece in kept]
    starts = np.fromiter(accumulate((len(text) + 1 for text in texts[:-1]), initial=0), np.int64, len(texts))
    data = b"\n".join(texts)
    return Batch(kept, data, words_of(data), starts)


def batches(documents: Iterable[Document], n: int, *, chars: int = BATCH_CHARS) -> Iterator[list[Piece]]:
    """The pieces of documents, about `chars` characters at a time; each n-gram lies in one piece."""
    batch: list[Piece] = []
    size = 0
    for number, document in enumerate(documents):
        for offset, text in cut(document.text, min(chars, PIECE_CHARS), n - 1):
            batch.append(Piece(number, document.id, offset, text))
            size += len(text)
            if size >= chars:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def cut(text: str, chars: int, overlap: int) -> Iterator[tuple[int, str]]:
    """Pieces of about `chars` characters and where they begin, each with the last `overlap` words of the one before.

    Words of more than 65,536 characters are cut, and words further apart than that are not kept together.

    >>> list(cut("one two, three four", 8, overlap=1))
    [(0, 'one two,'), (4, 'two, three four')]
    """
    start, end = 0, 0
    while end < len(text):
        target = min(end + chars, len(text))
        end = target + _to_space(text[target - 1 : target + _LOOK_CHARS])
        yield start, text[start:end]
        start = end if end == len(text) else _beginning(text, start, end, overlap)


def _beginning(text: str, start: int, end: int, overlap: int) -> int:
    """Where the last `overlap` words before `end` begin, or all there are from `start` on."""
    look = _NEAR_CHARS
    while True:
        low = max(start, end - look)
        words = [low + word.start() for word in _WORD.finditer(normalise(text[low:end]).decode("utf-8"))]
        whole = words if low == start else words[1:]  # the first may be the end of one
        if len(whole) >= overlap or low == start or look >= _LOOK_CHARS:
            return whole[-overlap:][0] if overlap and whole else end
        look *= 8


def _to_space(text: str) -> int:
    """How far the first space is from the second character, if need be the end."""
    found = normalise(text).decode("utf-8").find(" ", 1)
    return (len(text) if found < 0 else found) - 1
