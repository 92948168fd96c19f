"""Where the grams of a set stand in texts of any length. Needs no torch.

A long text is read in blocks that end at white space, and the last words of one are looked up with the next: time
grows with the text's length, memory does not: 26 bytes a character of one block of English, at most 45 where words are
of one letter, beside the text itself and 24 bytes a gram that is found.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from gptrilogy.corpus.bare_words import bare, bare_words_reference, origins
from gptrilogy.corpus.gram_set import GramSet
from gptrilogy.corpus.ngrams import U64, Places, words_of

BLOCK_CHARS = 1 << 18  # enough to repay numpy's calls, few enough for a core's cache
_LONGEST_CHARS = 1 << 16  # a word that reaches further over the end of a block is parted: no test has such a one
_NEAR_CHARS = 1 << 12  # in which the last words of a block are looked for first

_SPACE = re.compile(r"\s")


class Matches(NamedTuple):
    """What a text of `n_chars` shares with a set, in order: the gram, its first character, the one after its last."""

    n_chars: int
    grams: Places
    starts: Places
    ends: Places


class _Tail(NamedTuple):
    """The last words of what has been read, and where in the text they start."""

    hashes: U64
    starts: Places


def find_matches(texts: Iterable[str], grams: GramSet, *, block_chars: int = BLOCK_CHARS) -> Iterator[Matches]:
    """The matches of each text. Short texts are looked up together, so that one block of texts is read ahead.

    >>> grams = GramSet.build([("proverbs", "a stitch in time saves nine")], n=3)
    >>> [match] = find_matches(["Just... IN time, (saves) us."], grams)
    >>> match.starts.tolist(), match.ends.tolist()
    ([8], [23])
    """
    batch: list[str] = []
    n_chars = 0
    for text in texts:
        if len(text) > block_chars:
            yield from _in_short(batch, grams)
            yield _in_long(text, grams, block_chars)
            batch, n_chars = [], 0
            continue
        batch.append(text)
        n_chars += len(text) + 1
        if n_chars > block_chars:
            yield from _in_short(batch, grams)
            batch, n_chars = [], 0
    yield from _in_short(batch, grams)


def spans_reference(text: str, tests: Iterable[str], n: int) -> list[tuple[int, int]]:
    """From where to where `find_matches` finds grams of these tests in a text, by its definition."""
    wanted = {gram for test in tests for gram, _, _ in _grams_reference(test, n)}
    return [(start, end) for gram, start, end in _grams_reference(text, n) if gram in wanted]


def _grams_reference(text: str, n: int) -> list[tuple[tuple[str, ...], int, int]]:
    words = bare_words_reference(text)
    runs = (words[first : first + n] for first in range(len(words) - n + 1))
    return [(tuple(word for word, _, _ in run), run[0][1], run[-1][2]) for run in runs]


def _in_short(texts: Sequence[str], grams: GramSet) -> Iterator[Matches]:
    if not texts:
        return
    data = [bare(text) for text in texts]
    origin = np.fromiter(accumulate((len(one) + 1 for one in data[:-1]), initial=0), np.int64, len(data))
    words = words_of(b"\n".join(data))
    places, numbers = grams.lookup(words.hashes)
    starts, ends = words.starts[places], words.ends[places + (grams.n - 1)]
    owner = np.searchsorted(origin, starts, side="right") - 1
    whole = owner == np.searchsorted(origin, ends, side="right") - 1  # an end is the place of a space or a new line
    numbers, starts, ends, owner = numbers[whole], starts[whole], ends[whole], owner[whole]
    firsts = np.searchsorted(owner, np.arange(len(texts) + 1)).tolist()
    for text, spelled, at, first, last in zip(texts, data, origin.tolist(), firsts, firsts[1:], strict=False):
        here = slice(first, last)
        yield Matches(len(text), numbers[here], *_characters(text, spelled, starts[here] - at, ends[here] - at))


def _in_long(text: str, grams: GramSet, block_chars: int) -> Matches:
    tail = _Tail(np.zeros(0, np.uint64), np.zeros(0, np.int64))
    parts: list[tuple[Places, Places, Places]] = []
    for offset, block in _blocks(text, block_chars):
        data = bare(block)
        words = words_of(data)
        seam = len(tail.hashes)
        places, numbers = grams.lookup(np.concatenate([tail.hashes, words.hashes]))
        before = places[places < seam]  # grams begun in an earlier block; all end in this one
        begun, ended = words.starts[places[len(before) :] - seam], words.ends[places + (grams.n - 1 - seam)]
        starts, ends = _characters(block, data, begun, ended)
        parts.append((numbers, np.concatenate([tail.starts[before], starts + offset]), ends + offset))
        tail = _joined(tail, _last_words(block, offset, grams.n - 1), grams.n - 1)
    return Matches(len(text), *map(np.concatenate, zip(*parts, strict=True)))


def _characters(text: str, data: bytes, starts: Places, ends: Places) -> tuple[Places, Places]:
    """Places in a text's bare bytes as places in the text."""
    if not len(ends):
        return starts, ends
    characters = origins(text, data, np.concatenate([starts, ends - 1]))
    return characters[: len(starts)], characters[len(starts) :] + 1


def _blocks(text: str, chars: int) -> Iterator[tuple[int, str]]:
    """A text in parts of `chars` characters and the rest of the last word.

    >>> list(_blocks("one two three", 5))
    [(0, 'one two'), (7, ' three')]
    """
    start = 0
    while start < len(text):
        target = start + chars
        space = _SPACE.search(text, target, target + _LONGEST_CHARS)
        end = space.start() if space else target + _LONGEST_CHARS
        yield start, text[start:end]
        start = end


def _last_words(block: str, offset: int, count: int) -> _Tail:
    """The last `count` words of a block that begins at `offset`, or all it has."""
    near = block[-_NEAR_CHARS:]
    if len(words_of(bare(near)).starts) <= count:  # of which the first may be the end of a word
        near = block
    data = bare(near)
    words = words_of(data)
    first = max(0, len(words.starts) - count)
    starts = origins(near, data, words.starts[first:]) + (offset + len(block) - len(near))
    return _Tail(words.hashes[first:], starts)


def _joined(tail: _Tail, last: _Tail, count: int) -> _Tail:
    hashes, starts = np.concatenate([tail.hashes, last.hashes]), np.concatenate([tail.starts, last.starts])
    first = max(0, len(hashes) - count)
    return _Tail(hashes[first:], starts[first:])
