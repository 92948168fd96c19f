"""Words as the papers' overlap analyses take them, and numbers that stand for n of them in a row. Needs no torch.

A word is a run of letters, marks and digits, each in its own lower case, with single apostrophes inside: `Don't` is one
word. All else stands between words: white space, punctuation, symbols, and what cannot be seen. Scripts written without
spaces have long words; composed and decomposed accents differ.

Source: GPT3 Appendix C ("ignoring all punctuation, white space, and casing" is all it says), GPT2 §4. That punctuation
stands between words is ours, and so is what an apostrophe does. The 5th percentile of lengths then is what Table C.1
prints: 7 words for symbol insertion, where it would be 2 if punctuation were taken out of words, and 9 for Winograd,
where it would be 10 if apostrophes stood between words.
"""

import re
import unicodedata
from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

U64: TypeAlias = NDArray[np.uint64]
Places: TypeAlias = NDArray[np.int64]

_APOSTROPHES = "'\u2019"
_KEPT = {code for code in range(128) if chr(code).isalnum()} | {ord("'")}
_ASCII = bytes(ord(chr(code).lower()) if code in _KEPT else 32 for code in range(256))
_QUOTES = re.compile(rb"'(?:(?<![^ ']')|(?![^ ']))")  # apostrophes with no word before them, or none after
N_CODES, ASSIGNED = 0x110000, 0x40000  # no letter lies beyond the second number
_VARIATIONS = {*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}  # marks that choose a glyph, most often an emoji's

_ROUND_BYTES = 8
_LONG_BYTES = 64  # what is longer is no word of a language and is hashed by itself
_MASKS = np.array([(1 << (8 * n)) - 1 for n in range(_ROUND_BYTES + 1)], dtype=np.uint64)
_BASE = 0xD6E8FEB86659FD93  # odd, else unremarkable


class Words(NamedTuple):
    """The words of normalised bytes: a number for each, and where it begins and ends."""

    hashes: U64
    starts: Places
    ends: Places


def normalise(text: str) -> bytes:
    """A text with spaces for all that is not part of a word; each character becomes one character.

    >>> normalise("Don’t — 'PANIC', naïve!").decode()
    "don't    panic   naïve "
    """
    if text.isascii():
        data = text.encode("ascii").translate(_ASCII)
    else:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        data = _table()[codes].tobytes().decode("utf-32-le").encode("utf-8")
    return _QUOTES.sub(b" ", data)


def words_reference(text: str) -> list[str]:
    """The words of a text, by its definition.

    >>> words_reference("'Don't PANIC': 42")
    ["don't", 'panic', '42']
    """
    spelled = [char.lower()[0] if in_word(char) else " " for char in text]
    for place in range(1, len(text) - 1):
        if text[place] in _APOSTROPHES and in_word(text[place - 1]) and in_word(text[place + 1]):
            spelled[place] = "'"
    return "".join(spelled).split()


def in_word(char: str) -> bool:
    """Whether a character is a letter, a mark or a digit.

    >>> [in_word(char) for char in "aé७'$ "]
    [True, True, True, False, False, False]
    """
    return unicodedata.category(char)[0] in "LMN" and ord(char) not in _VARIATIONS


def words_of(data: bytes) -> Words:
    """The words of normalised text. Two words get the same number with a chance of 2^-64, of up to 8 bytes never."""
    padded = np.frombuffer(data + b" " * (_LONG_BYTES + _ROUND_BYTES), np.uint8)
    inside = padded[: len(data) + 1] > 32
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    if len(data) and inside[0]:
        edges = np.concatenate([np.zeros(1, np.int64), edges])
    starts, ends = edges[0::2], edges[1::2]
    return Words(_hash(data, padded, starts, ends - starts), starts, ends)


def gram_hashes(words: U64, n: int) -> U64:
    """A number for each n words in a row, as a polynomial of theirs: blocks of 1, 2, 4... words put together.

    Shapes: words (W,) -> (W - n + 1,), none where there are fewer words than n.
    """
    length = max(0, len(words) - n + 1)
    block, size, done = words, 1, 0
    result = np.zeros(length, np.uint64)
    while size <= n:
        if n & size:
            result = result * _power(size) + block[done : done + length]
            done += size
        if 2 * size <= n:
            block = block[:-size] * _power(size) + block[size:]
        size *= 2
    return result


def gram_hashes_at(words: U64, places: Places, n: int) -> U64:
    """The same at a few places only. There must be n words from each place on.

    >>> words = words_of(b"one two three four").hashes
    >>> bool((gram_hashes(words, 3) == gram_hashes_at(words, np.arange(2), 3)).all())
    True
    """
    result = words[places]
    for offset in range(1, n):
        result = result * _power(1) + words[places + offset]
    return result


@cache
def _table() -> NDArray[np.uint32]:
    """What each code point becomes."""
    table = np.full(N_CODES, 32, dtype=np.uint32)
    for code in range(ASSIGNED):
        char = chr(code)
        if in_word(char):
            table[code] = ord(char.lower()[0])
    table[[ord(char) for char in _APOSTROPHES]] = ord("'")
    return table


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(_BASE, exponent, 1 << 64))


def _hash(data: bytes, padded: NDArray[np.uint8], starts: Places, lengths: Places) -> U64:
    """Eight bytes of a word at a time, mixed."""
    at: NDArray[Any] = np.ndarray(len(padded) - _ROUND_BYTES + 1, "<u8", padded, strides=(1,))
    hashes: U64 = at[starts] & _MASKS[np.minimum(lengths, _ROUND_BYTES)]
    more = np.flatnonzero(lengths > _ROUND_BYTES)
    for done in range(_ROUND_BYTES, _LONG_BYTES, _ROUND_BYTES):
        if not len(more):
            break
        rest = np.minimum(lengths[more] - done, _ROUND_BYTES)
        hashes[more] = mix(hashes[more]) + (at[starts[more] + done] & _MASKS[rest])
        more = more[lengths[more] > done + _ROUND_BYTES]
    for place in more:
        start, end = int(starts[place]), int(starts[place] + lengths[place])
        hashes[place] = int.from_bytes(blake2b(data[start:end], digest_size=8).digest())
    return mix(hashes)


def mix(x: U64) -> U64:
    """A permutation of the 64-bit numbers in which each bit depends on all."""
    x = (x ^ (x >> np.uint64(32))) * np.uint64(_BASE)
    x = (x ^ (x >> np.uint64(32))) * np.uint64(_BASE)
    return x ^ (x >> np.uint64(32))
