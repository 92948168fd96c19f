"""A text as counts of hashed words, the features of GPT-3's filter: what Spark's Tokenizer and HashingTF give.

Source: GPT3 Appendix A. Compared with Spark 4.3.0 on Java 17, which differs in two kinds of capitals. Forty that
Unicode 14 brought (U+2C2F, U+A7C0, U+A7D0, U+A7D6, U+A7D8, Vithkuqi) have no lower case there; and where a capital
sigma stands beside anything but a plain letter, Java calls it final by word boundaries of its own, we by Unicode's.
Python's Unicode moves on too, so a classifier notes the version it was trained with.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gptrilogy.errors import ConfigError

N_FEATURES = 1 << 18  # Spark's default
SEED = 42  # Spark's; it is no choice
WHITESPACE = " \t\n\x0b\f\r"  # what Java's \s matches: a no-break space is part of a word
WORDS_AT_ONCE = 1 << 15  # about 200 kB of text, which a core's cache holds with what is computed of it
LONG_WORD_BYTES = 64  # what is left of longer words is hashed one by one
FEW_WORDS = 64  # unless more are left, when all are sooner done side by side

Words: TypeAlias = NDArray[np.uint32]


class Features(NamedTuple):
    """Which of the features occur in a text, and how often."""

    indices: NDArray[np.uint32]  # (n,), ascending
    counts: NDArray[np.uint32]  # (n,)


def tokens_reference(text: str) -> list[str]:
    """Lower-case words, parted at every single whitespace character; empty ones count, except at the end.

    >>> tokens_reference("To  be, or ")
    ['to', '', 'be,', 'or']
    >>> tokens_reference(""), tokens_reference("  ")
    ([''], [])
    """
    words = re.split(f"[{WHITESPACE}]", text.lower())
    while text and words and words[-1] == "":
        words.pop()
    return words


def murmur3_reference(content: bytes, seed: int = SEED) -> int:
    """MurmurHash3 of 32 bits, without sign.

    Source: Austin Appleby, MurmurHash3_x86_32.

    >>> hex(murmur3_reference(b"test", seed=0))
    '0xba6bd213'
    """
    whole = len(content) // 4 * 4
    state = seed
    for start in range(0, whole, 4):
        state ^= _scrambled(int.from_bytes(content[start : start + 4], "little"))
        state = (_rotated(state, 13) * 5 + 0xE6546B64) & 0xFFFFFFFF
    state ^= _scrambled(int.from_bytes(content[whole:], "little")) ^ len(content)
    state = (state ^ state >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    state = (state ^ state >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return state ^ state >> 16


def _scrambled(block: int) -> int:
    return _rotated(block * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & 0xFFFFFFFF


def hashing_tf_reference(text: str, n_features: int = N_FEATURES) -> dict[int, int]:
    """How often each feature occurs: a word's feature is its hash, taken as signed, modulo `n_features`.

    >>> hashing_tf_reference("the the The")
    {95889: 3}
    """
    hashes = (murmur3_reference(word.encode("utf-8", "replace")) for word in tokens_reference(text))
    return dict(Counter((value - (value >> 31 << 32)) % n_features for value in hashes))


@dataclass(frozen=True)
class Hasher:
    """`hashing_tf_reference` for many texts at once, some hundred times as fast.

    >>> Hasher()("the the The")
    Features(indices=array([95889], dtype=uint32), counts=array([3], dtype=uint32))
    """

    n_features: int = N_FEATURES

    def __post_init__(self) -> None:
        if not is_power_of_two(self.n_features):
            raise ConfigError(f"n_features must be a power of two, got {self.n_features}")

    def __call__(self, text: str) -> Features:
        return self.batch([text])[0]

    def batch(self, texts: Sequence[str]) -> list[Features]:
        """The features of each text, each as if it were alone."""
        words, bounds = self.words(texts)
        owners = np.repeat(np.arange(len(texts), dtype=np.uint64), np.diff(bounds))
        keys = owners << np.uint64(32) | words
        keys.sort()
        first = np.flatnonzero(np.diff(keys, prepend=~keys[:1]))
        counts = np.diff(first, append=keys.size).astype(np.uint32)
        keys = keys[first]
        cuts = np.searchsorted(keys, np.arange(len(texts) + 1, dtype=np.uint64) << np.uint64(32))
        indices = keys.astype(np.uint32)  # the lower half
        return [Features(indices[a:b], counts[a:b]) for a, b in pairwise(cuts)]

    def words(self, texts: Iterable[str]) -> tuple[Words, NDArray[np.intp]]:
        """The feature of every word in its order, and where each text's words begin and the last one's end.

        Shapes: -> (words,), (texts + 1,)

        >>> words, bounds = Hasher().words(["the  the", "  ", "the"])
        >>> words.tolist(), bounds.tolist()
        ([95889, 249180, 95889, 95889], [0, 3, 3, 4])
        """
        lines = [_line(text) for text in texts]
        joined = b"".join([*lines, bytes(4)])  # the zeros are read beside the last word
        ends = np.flatnonzero(np.frombuffer(joined.translate(_IS_WHITESPACE), np.bool_))
        starts = np.concatenate(([0], ends[:-1] + 1))[: ends.size]
        words = np.empty(ends.size, np.uint32)
        for first in range(0, ends.size, WORDS_AT_ONCE):
            part = slice(first, first + WORDS_AT_ONCE)
            words[part] = _murmur3(joined, starts[part], ends[part] - starts[part])
        words &= np.uint32(self.n_features - 1)  # of a power of two, the signed remainder made positive
        bounds = np.searchsorted(ends, np.cumsum([0, *map(len, lines)]))
        return words, bounds


def is_power_of_two(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0


_IS_WHITESPACE = bytes(chr(byte) in WHITESPACE for byte in range(256))


def _line(text: str) -> bytes:
    """A text's words, each with one whitespace byte after it."""
    line = text.lower().encode("utf-8", "replace").rstrip(WHITESPACE.encode())
    return line + b"\n" if line or not text else b""


def _murmur3(content: bytes, starts: NDArray[np.intp], lengths: NDArray[np.intp]) -> NDArray[np.uint32]:
    """`murmur3_reference` of many stretches of `content`, side by side; three bytes may follow the last one."""
    blocks = np.ndarray((len(content) - 3,), np.dtype("<u4"), content, strides=(1,))  # the four bytes from each byte on
    state = np.full(starts.size, SEED, np.uint32)
    whole = lengths >> 2  # blocks of a word
    left = np.flatnonzero(whole)
    done = 0
    while left.size > (FEW_WORDS if 4 * done >= LONG_WORD_BYTES else 0):
        mixed = state[left] ^ _scrambled_blocks(blocks[starts[left] + 4 * done])
        state[left] = _rotated_blocks(mixed, 13) * np.uint32(5) + np.uint32(0xE6546B64)
        done += 1
        left = left[whole[left] > done]
    for word in left:
        rest = blocks[starts[word] + 4 * done : starts[word] + 4 * whole[word] : 4]
        state[word] = _chained(int(state[word]), _scrambled_blocks(rest).tolist())
    tails = blocks[starts + 4 * whole] & _TAIL_BYTES[lengths & 3]
    state ^= _scrambled_blocks(tails) ^ lengths.astype(np.uint32)
    state = (state ^ state >> np.uint32(16)) * np.uint32(0x85EBCA6B)
    state = (state ^ state >> np.uint32(13)) * np.uint32(0xC2B2AE35)
    return state ^ state >> np.uint32(16)


def _chained(state: int, scrambled: list[int]) -> int:
    for block in scrambled:
        state ^= block
        state = ((state << 13 | state >> 19) * 5 + 0xE6546B64) & 0xFFFFFFFF
    return state


_TAIL_BYTES = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF], np.uint32)


def _scrambled_blocks(blocks: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return _rotated_blocks(blocks * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)


def _rotated_blocks(values: NDArray[np.uint32], bits: int) -> NDArray[np.uint32]:
    return values << np.uint32(bits) | values >> np.uint32(32 - bits)
