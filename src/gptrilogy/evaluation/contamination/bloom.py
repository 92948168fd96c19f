"""What share of a text's 8-grams another text has, by a Bloom filter, as GPT-2 measured it. Needs no torch.

Source: GPT2 §4, Table 6: 8-grams of lower-case alphanumeric words, a false-positive rate of at most 10^-8, checked
with 1,000,000 random strings. Whether it counts a gram as often as it occurs, as here, is not said.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.documents import Document
from gptrilogy.corpus.ngrams import U64, gram_hashes, mix, words_of, words_reference
from gptrilogy.data.permutation import draw
from gptrilogy.errors import ConfigError
from gptrilogy.evaluation.contamination.text_pieces import batches, join

GRAM_WORDS = 8
RATE = 1e-8
RANDOM_STRINGS = 1_000_000
MAX_BYTES = 4 << 30

_CELL_BITS = 64
_PART = 1 << 17  # numbers looked up at once

OnChars: TypeAlias = Callable[[int], None]


class BloomFilter:
    """A set of 64-bit numbers that says yes to all it holds and, at `rate`, to others.

    Raises: ConfigError where it would take more than `max_bytes`.

    >>> found = BloomFilter(1000, rate=1e-8)
    >>> found.add(np.arange(1000, dtype=np.uint64))
    >>> bool(found.holds(np.arange(1000, dtype=np.uint64)).all()), found.n_probes, found.size_bytes
    (True, 27, 4800)
    """

    def __init__(self, n_expected: int, *, rate: float = RATE, max_bytes: int = MAX_BYTES) -> None:
        n_bits = math.ceil(max(1, n_expected) * -math.log(rate) / math.log(2) ** 2)
        self.n_probes = math.ceil(-math.log2(rate))
        self.size_bytes = math.ceil(n_bits / _CELL_BITS) * 8
        if self.size_bytes > max_bytes:
            raise ConfigError(
                f"a filter of {n_expected:,} grams at a false-positive rate of {rate:g} takes "
                f"{self.size_bytes / 1e9:.3g} GB, the limit is {max_bytes / 1e9:.3g} GB: divide the corpus and measure "
                "its parts, or raise the limit with --max-bytes"
            )
        self._cells = np.zeros(self.size_bytes // 8, np.uint64)

    def add(self, hashes: U64) -> None:
        for cells, bits in self._probes(hashes):
            np.bitwise_or.at(self._cells, cells, bits)

    def holds(self, hashes: U64) -> NDArray[np.bool_]:
        """Shapes: hashes (G,) -> (G,)."""
        held = np.zeros(len(hashes), np.bool_)
        for start in range(0, len(hashes), _PART):
            left = np.arange(start, min(start + _PART, len(hashes)))
            for number in range(self.n_probes):
                cells, bits = self._probe(hashes[left], number)
                left = left[(self._cells[cells] & bits) != 0]  # most that are not held go at the first probe
            held[left] = True
        return held

    def _probes(self, hashes: U64) -> Iterator[tuple[NDArray[np.intp], U64]]:
        for start in range(0, len(hashes), _PART):
            for number in range(self.n_probes):
                yield self._probe(hashes[start : start + _PART], number)

    def _probe(self, hashes: U64, number: int) -> tuple[NDArray[np.intp], U64]:
        """Cell and bit of a probe: high and low half of a number of its own."""
        drawn = mix(hashes ^ draw(number))
        cells = ((drawn >> np.uint64(32)) * np.uint64(len(self._cells))) >> np.uint64(32)
        return cells.astype(np.intp), np.uint64(1) << (drawn & np.uint64(_CELL_BITS - 1))


class Shared(NamedTuple):
    """How many n-grams a text has, each as often as it occurs, and how many of them a corpus has."""

    grams: int
    found: int

    @property
    def share(self) -> float | None:
        return self.found / self.grams if self.grams else None


@dataclass(frozen=True, slots=True)
class SharedGrams:
    """What was found of each text, the filter that told, and how many random strings it takes for held."""

    texts: tuple[Shared, ...]
    corpus_grams: int
    filter_bytes: int
    random_found: int
    random_strings: int = RANDOM_STRINGS


def shared_grams(
    texts: Iterable[Iterable[Document]],
    corpus: Callable[[], Iterable[Document]],
    *,
    n: int = GRAM_WORDS,
    rate: float = RATE,
    max_bytes: int = MAX_BYTES,
    on_progress: OnChars | None = None,
) -> SharedGrams:
    """How many of each text's n-grams a corpus has. The corpus is read twice: to count its grams, then to hold them.

    Raises: ConfigError where the filter would be too large; what the corpus raises.
    """
    corpus_grams = sum(map(len, grams_of(corpus(), n, on_progress)))
    held = BloomFilter(corpus_grams, rate=rate, max_bytes=max_bytes)
    for hashes in grams_of(corpus(), n, on_progress):
        held.add(hashes)
    shared: list[Shared] = []
    for text in texts:
        answers = np.concatenate([np.zeros(0, np.bool_), *map(held.holds, grams_of(text, n))])
        shared.append(Shared(len(answers), int(answers.sum())))
    random_found = int(held.holds(random_grams(RANDOM_STRINGS, n)).sum())
    return SharedGrams(tuple(shared), corpus_grams, held.size_bytes, random_found)


def shared_grams_reference(text: Iterable[Document], corpus: Iterable[Document], *, n: int) -> Shared:
    """What `shared_grams` finds of one text, by a set of words."""
    held = {gram for document in corpus for gram in _grams(document.text, n)}
    grams = [gram for document in text for gram in _grams(document.text, n)]
    return Shared(len(grams), sum(gram in held for gram in grams))


def grams_of(documents: Iterable[Document], n: int, on_progress: OnChars | None = None) -> Iterator[U64]:
    """The numbers of all n-grams, none across two documents. `on_progress` gets the characters read so far."""
    chars = 0
    for pieces in batches(documents, n):
        batch = join(pieces)
        chars += sum(len(piece.text) for piece in pieces)
        hashes = gram_hashes(batch.words.hashes, n)
        yield hashes[batch.within(np.arange(len(hashes)), n)]
        if on_progress:
            on_progress(chars)


def random_grams(count: int, n: int, *, seed: int = 0) -> U64:
    """The numbers of strings of n random words of five letters each."""
    n_words = count + n - 1
    drawn = draw(seed, np.arange(n_words, dtype=np.uint64))
    letters = np.full((n_words, 6), ord(" "), np.uint8)
    for place in range(5):
        letters[:, place] = ord("a") + (drawn >> np.uint64(8 * place)) % np.uint64(26)
    return gram_hashes(words_of(letters.tobytes()).hashes, n)


def _grams(text: str, n: int) -> list[tuple[str, ...]]:
    words = words_reference(text)
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
