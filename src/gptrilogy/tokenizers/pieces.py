"""Cut a long text where its tokenizer cuts it too, so that the pieces have the ids of the whole."""

import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import regex

PIECE_CHARS = 1 << 18

Gap: TypeAlias = re.Pattern[str] | regex.Pattern[str]  # one character, before which a text may be cut

# For GPT-2's pattern. No alternative of it goes on from a non-space to a space, so a token ends there in any case; a
# run that is stopped by a space is stopped by the end of a piece just the same; only `\s+(?!\S)` looks ahead, and what
# it looks at is the non-space before the cut or earlier; and nothing looks back.
# `regex`, not `re`: its \s is Unicode's White_Space, as in the tokenizer's own pattern; `re` adds U+001C to U+001F.
SPACE = regex.compile(r"(?<=\S)\s")
LINE = re.compile(r"(?<=\S)\r?\n")  # for GPT-1's, which repairs whole lines; each is also a `SPACE`
ANYWHERE = re.compile(r"(?s:.)")


def pieces(text: str, size: int = PIECE_CHARS, gap: Gap = SPACE) -> Iterator[str]:
    r"""Consecutive pieces of about `size` characters; a text with no safe place to cut stays whole.

    >>> list(pieces("one two  three", size=4))
    ['one two', '  three']
    """
    start = 0
    while cut := gap.search(text, start + size):
        yield text[start : cut.start()]
        start = cut.start()
    yield text[start:]


def streamed(parts: Iterable[str], size: int = PIECE_CHARS, gap: Gap = SPACE) -> Iterator[str]:
    """`pieces` of a text that comes in parts, wherever these end: one piece is in memory, and one part.

    >>> list(streamed(["o", "ne tw", "o ", " three"], size=4))
    ['one two', '  three']
    """
    held = ""
    for part in parts:
        begin = max(size, len(held) - 1)  # a gap may look at the character after it, which had not come yet
        held += part
        start = 0
        while cut := gap.search(held, begin):
            yield held[start : cut.start()]
            start = cut.start()
            begin = start + size
        held = held[start:]
    yield held


def grouped(texts: Iterable[str], n_chars: int) -> Iterator[list[str]]:
    """Texts in lists of `n_chars` characters or a little more, so that few are in memory; the last may be empty.

    >>> list(grouped(["one", "two", "three"], n_chars=6))
    [['one', 'two'], ['three']]
    """
    group: list[str] = []
    left = n_chars
    for text in texts:
        group.append(text)
        left -= len(text)
        if left <= 0:
            yield group
            group, left = [], n_chars
    yield group
