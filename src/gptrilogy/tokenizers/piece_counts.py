"""How often each different piece of a text occurs, in bounded memory: exact for as long as the table has room."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ENTRY_BYTES = 100  # of a piece's place in the table, beside its own bytes
# Some two million pieces: half a gigabyte in Python, about one while merges are learned.
MAX_TABLE_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Counted:
    """Different pieces, in the order of their first occurrence, and how often each was seen."""

    pieces: Sequence[bytes]
    counts: NDArray[np.int64]


class PieceCounts:
    """A table of pieces that never outgrows `max_bytes`.

    Each time it would, half of what it has seen is forgotten by lot: from then on it is as if every occurrence of a
    piece had opened an entry with a chance of one in `one_in` (2, then 4, ...), and an open entry had counted every
    later one. A frequent piece misses no more than some `one_in` occurrences; of the rare ones a sample is left, in
    which each stands for many. The estimates are unbiased, so that a pair of symbols that occurs N times in all, in
    however many pieces, is known to about sqrt(N * one_in). The lots are drawn from a fixed seed: equal texts in
    equal order give equal counts.

    Source: counting samples (Gibbons and Matias 1998). The GPT papers do not say how their texts were counted.

    >>> table = PieceCounts()
    >>> table.add(Counted([b"the", b" cat"], np.array([2, 1])))
    >>> table.add(Counted([b"the"], np.array([1])))
    >>> table.estimate()
    Counted(pieces=[b'the', b' cat'], counts=array([3, 1]))
    """

    def __init__(self, max_bytes: int | None = None) -> None:
        self.one_in = 1
        self._max_bytes = max_bytes or MAX_TABLE_BYTES
        self._size_bytes = 0
        self._table: dict[bytes, int] = {}
        self._lots = np.random.Generator(np.random.PCG64(0))

    def __len__(self) -> int:
        return len(self._table)

    def add(self, counted: Counted) -> None:
        new: list[bytes] = []
        new_counts: list[int] = []
        table = self._table
        for piece, count in zip(counted.pieces, counted.counts.tolist(), strict=True):
            if piece in table:
                table[piece] += count
            else:
                new.append(piece)
                new_counts.append(count)
        if self.one_in > 1:  # the first occurrences up to the one whose lot opens an entry are not counted
            missed = self._draws(len(new)) - 1
            new_counts = (np.array(new_counts, np.int64) - missed).tolist()
        for piece, count in zip(new, new_counts, strict=True):
            if count > 0:
                table[piece] = count
                self._size_bytes += len(piece) + ENTRY_BYTES
        while self._size_bytes > self._max_bytes:
            self._forget_half()

    def estimate(self) -> Counted:
        """How often each piece of the table occurred: its count, and what it is expected to have missed."""
        counts = np.fromiter(self._table.values(), np.int64, len(self._table)) + (self.one_in - 1)
        return Counted(list(self._table), counts)

    def _forget_half(self) -> None:
        """Make the table one that has always had half the chance: an entry keeps its opening, or loses it and waits."""
        self.one_in *= 2
        counts = np.fromiter(self._table.values(), np.int64, len(self._table))
        loses = self._lots.random(len(counts)) < 0.5
        counts -= np.where(loses, self._draws(len(counts)), 0)
        self._table = {piece: count for piece, count in zip(self._table, counts.tolist(), strict=True) if count > 0}
        self._size_bytes = _sum_of_lengths(self._table) + ENTRY_BYTES * len(self._table)

    def _draws(self, n: int) -> NDArray[np.int64]:
        """How many lots until one wins, each with a chance of one in `one_in`: geometric, from 1 on."""
        return (np.log1p(-self._lots.random(n)) / np.log1p(-1 / self.one_in)).astype(np.int64) + 1


def _sum_of_lengths(pieces: Iterable[bytes]) -> int:
    return sum(map(len, pieces))
