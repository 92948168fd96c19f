"""Cut a long text where GPT-2's split pattern cuts it too, so that the pieces have the ids of the whole."""

from collections.abc import Iterable, Iterator

import regex

PIECE_CHARS = 1 << 18

# `regex`, not `re`: its \s is Unicode's White_Space, as in the tokenizer's own pattern; `re` adds U+001C to U+001F.
_CUT = regex.compile(r"(?<=\S)\s")


def pieces(text: str, size: int = PIECE_CHARS) -> Iterator[str]:
    r"""Consecutive pieces of about `size` characters; a text with no safe place to cut stays whole.

    It is safe between a non-space character and a space. No alternative of the pattern goes on from a
    non-space to a space, so a token ends there in any case; a run that is stopped by a space is stopped by
    the end of a piece just the same; only `\s+(?!\S)` looks ahead, and what it looks at is the non-space
    before the cut or earlier; and nothing looks back.

    >>> list(pieces("one two  three", size=4))
    ['one two', '  three']
    """
    start = 0
    while cut := _CUT.search(text, start + size):
        yield text[start : cut.start()]
        start = cut.start()
    yield text[start:]


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
