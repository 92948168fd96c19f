"""A filter that most strangers to a set of 64-bit numbers fail at the cost of one bit. Needs no torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.ngrams import U64, Places

_BITS_PER_NUMBER = 32


@dataclass(frozen=True, slots=True)
class BitFilter:
    """One bit for each value of a number's first bits: set where a number of the set begins so.

    >>> members = np.array([1 << 63, 5], dtype=np.uint64)
    >>> BitFilter.of(members).passing(np.array([5, 1 << 62, 1 << 63], dtype=np.uint64)).tolist()
    [0, 2]
    """

    bits: NDArray[np.uint8]

    @classmethod
    def of(cls, hashes: U64) -> "BitFilter":
        n_bits = 1 << max(6, (_BITS_PER_NUMBER * len(hashes)).bit_length())
        made = cls(np.zeros(n_bits >> 3, np.uint8))
        place = made._place(hashes)
        np.bitwise_or.at(made.bits, place >> 3, np.left_shift(1, place & 7).astype(np.uint8))
        return made

    def passing(self, hashes: U64) -> Places:
        """The places of numbers that may be in the set: all that are, and few others."""
        place = self._place(hashes)
        bits = (self.bits[place >> 3] >> (place & 7).astype(np.uint8)) & np.uint8(1)
        return np.flatnonzero(bits.view(np.bool_))

    def _place(self, hashes: U64) -> Places:
        return (hashes >> np.uint64(64 - (8 * len(self.bits) - 1).bit_length())).view(np.int64)
