"""Divided documents in pieces and batches that a tokenizer can take at once, however long a document is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from gptrilogy.data.split import Chunk
from gptrilogy.tokenizers.pieces import Gap, streamed


@dataclass(frozen=True, slots=True)
class Piece:
    """A document's text for one part, or a piece of it."""

    part: str
    text: str
    ends_text: bool
    ends_document: bool


def batches(divided: Iterable[Iterable[Chunk]], size: int, gap: Gap) -> Iterator[list[Piece]]:
    """The chunks of every document in order, cut anew at gaps, in batches of about `size` characters."""
    batch: list[Piece] = []
    chars = 0
    for chunks in divided:
        for piece in _pieces(chunks, size, gap):
            batch.append(piece)
            chars += len(piece.text)
            if chars >= size:
                yield batch
                batch, chars = [], 0
    if batch:
        yield batch


def _pieces(chunks: Iterable[Chunk], size: int, gap: Gap) -> Iterator[Piece]:
    """The chunks of one document as pieces of about `size` characters, each given when the next is known."""
    last: Chunk | None = None
    for part, group in groupby(chunks, key=lambda chunk: chunk.part):
        for text in streamed((chunk.text for chunk in group), size, gap):
            if last:
                yield Piece(*last, ends_text=last.part != part, ends_document=False)
            last = Chunk(part, text)
    if last:
        yield Piece(*last, ends_text=True, ends_document=True)
