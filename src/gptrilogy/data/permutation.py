"""Pseudo-random numbers and permutations as pure functions of integers, the same on every machine and for ever."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

U64: TypeAlias = NDArray[np.uint64]

ROUNDS = 8
MIN_HALF_BITS = 4  # on a domain of 4 or 16 the permutations are not equally likely


def draw(*words: int | U64) -> U64:
    """A uniform 64-bit number for each row of words; arrays of words go elementwise.

    Source: the output function and increment of SplitMix64 (Steele, Lea and Flood 2014), chained over the words.

    >>> [hex(number) for number in draw(0, np.arange(2, dtype=np.uint64)).tolist()]
    ['0xa706dd2f4d197e6f', '0x8b4fda8c892b50e']
    """
    state = np.zeros(1, dtype=np.uint64)
    for word in words:
        value = word if isinstance(word, np.ndarray) else np.array([word % 2**64], dtype=np.uint64)
        state = _mix((state ^ value) + np.uint64(0x9E3779B97F4A7C15))
    return state


def _mix(x: U64) -> U64:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def permute(index: U64, n: int, key: U64) -> U64:
    """Where each index of range(n) goes in the permutation that its key names, without listing it.

    A Feistel network permutes the next larger power of four; what falls outside range(n) is sent through again until
    it falls inside, which leaves a permutation of range(n) (cycle walking, Black and Rogaway 2002).

    Shapes: index (B,), key (B,) -> (B,).

    >>> permute(np.arange(8, dtype=np.uint64), 8, draw(0, np.zeros(8, dtype=np.uint64))).tolist()
    [3, 7, 1, 2, 0, 4, 6, 5]
    """
    half_bits = max(MIN_HALF_BITS, (int(n - 1).bit_length() + 1) // 2)
    image = _feistel(index, half_bits, key)
    while (outside := image >= n).any():
        image[outside] = _feistel(image[outside], half_bits, key[outside])
    return image


def _feistel(x: U64, half_bits: int, key: U64) -> U64:
    bits, mask = np.uint64(half_bits), np.uint64(2**half_bits - 1)
    left, right = x >> bits, x & mask
    for number in range(ROUNDS):
        left, right = right, left ^ (draw(key, number, right) & mask)
    return (left << bits) | right
