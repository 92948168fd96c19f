"""Which set each training window comes from: every set in its share at every moment, in no regular order."""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gptrilogy.data.mixture import exact
from gptrilogy.data.permutation import U64, draw


class Interleaving:
    """The set of each sample, and which of that set's own samples it is, as functions of the seed and its number.

    The sets are the leaves of a Huffman tree of their weights. What passes a fork is dealt out in cells of consecutive
    samples, each as long as one over the share of the rarer branch, which gets one of every cell, at a place drawn for
    that cell; the others go the other way. So a fork is never off by more than one sample, the place of any sample
    follows in as many steps as the tree is deep, and no position of a batch always meets the same set. After s samples
    a set of share w has had w s of them, to within 2 for the five sets of GPT-3 and to within 3.4 for any: each level
    adds at most 1, of which a set feels its share of the branch, and upwards the branches grow as Fibonacci numbers.

    >>> Interleaving([2, 1], seed=0).places(0, 9)[0].tolist()
    [0, 1, 0, 0, 1, 0, 0, 1, 0]
    """

    def __init__(self, weights: Sequence[float], *, seed: int) -> None:
        self._seed = seed
        self._n_sets = len(weights)
        self._root = _tree(_whole_numbers(weights))

    def places(self, first_sample: int, count: int) -> tuple[NDArray[np.int64], U64]:
        """The set of each sample from the first on, and its number among that set's samples.

        Shapes: -> (count,) and (count,).
        """
        sets, numbers = np.zeros(count, np.int64), np.zeros(count, np.uint64)
        pending = [(self._root, list(range(count)), list(range(first_sample, first_sample + count)))]
        while pending:
            branch, rows, passed = pending.pop()
            if not rows:
                continue
            if isinstance(branch, int):
                sets[rows], numbers[rows] = branch, passed
                continue
            rarely, often = self._part(branch, passed)
            pending.append((branch.rare, [rows[i] for i, _ in rarely], [number for _, number in rarely]))
            pending.append((branch.common, [rows[i] for i, _ in often], [number for _, number in often]))
        return sets, numbers

    def counts(self, n_samples: int) -> list[int]:
        """How many of the first samples come from each set.

        >>> Interleaving([2, 1], seed=0).counts(9)
        [6, 3]
        """
        counts = [0] * self._n_sets
        pending = [(self._root, n_samples)]
        while pending:
            branch, passed = pending.pop()
            if isinstance(branch, int):
                counts[branch] = passed
                continue
            cell = passed * branch.rare_weight // branch.weight  # the one that the next sample would belong to
            begin, end = branch.cell_begin(cell), branch.cell_begin(cell + 1)
            taken = begin + int(draw(self._seed, branch.number, cell)[0]) % (end - begin)
            n_rare = cell + (taken < passed)
            pending += [(branch.rare, n_rare), (branch.common, passed - n_rare)]
        return counts

    def _part(self, fork: "_Fork", passed: Sequence[int]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """What goes the rarer way and what the other: where it stands in `passed`, and its number on that way."""
        cells = [number * fork.rare_weight // fork.weight for number in passed]
        drawn = draw(self._seed, fork.number, np.array(cells, np.uint64)).tolist()
        rarely, often = list[tuple[int, int]](), list[tuple[int, int]]()
        for i, (number, cell, x) in enumerate(zip(passed, cells, drawn, strict=True)):
            begin, end = fork.cell_begin(cell), fork.cell_begin(cell + 1)
            taken = begin + x % (end - begin)
            if number == taken:
                rarely.append((i, cell))
            else:
                often.append((i, number - cell - (taken < number)))
        return rarely, often


def places_reference(weights: Sequence[float], count: int, *, seed: int) -> list[tuple[int, int]]:
    """`Interleaving.places` from the first sample on, by counting what goes through each fork one after the other."""
    root, n_passed, n_cells, n_seen = _tree(_whole_numbers(weights)), Counter[int](), Counter[int](), Counter[int]()
    places: list[tuple[int, int]] = []
    for _ in range(count):
        branch = root
        while not isinstance(branch, int):
            fork, number, cell = branch, n_passed[branch.number], n_cells[branch.number]
            begin, end = fork.cell_begin(cell), fork.cell_begin(cell + 1)
            taken = begin + int(draw(seed, fork.number, cell)[0]) % (end - begin)
            n_passed[fork.number] += 1
            n_cells[fork.number] += number + 1 == end
            branch = fork.rare if number == taken else fork.common
        places.append((branch, n_seen[branch]))
        n_seen[branch] += 1
    return places


@dataclass(frozen=True, slots=True)
class _Fork:
    """A node of the tree with two branches, each a fork or a set's number; the rarer one has at most half of it."""

    number: int
    rare: "_Branch"
    common: "_Branch"
    rare_weight: int
    weight: int

    def cell_begin(self, cell: int) -> int:
        """The first of the samples passing here that belongs to this cell."""
        return -(-cell * self.weight // self.rare_weight)


_Branch: TypeAlias = _Fork | int


def _tree(weights: Sequence[int]) -> _Branch:
    """The two lightest branches joined, until one is left; of equal ones those that have been there longest."""
    heap: list[tuple[int, int, _Branch]] = [(weight, number, number) for number, weight in enumerate(weights)]
    heapq.heapify(heap)
    for number in range(len(weights), 2 * len(weights) - 1):
        rare_weight, _, rare = heapq.heappop(heap)
        common_weight, _, common = heapq.heappop(heap)
        weight = rare_weight + common_weight
        heapq.heappush(heap, (weight, number, _Fork(number, rare, common, rare_weight, weight)))
    return heap[0][2]


def _whole_numbers(weights: Sequence[float]) -> list[int]:
    """Whole numbers in exactly the proportions of the weights as they are written.

    >>> _whole_numbers([0.6, 0.22, 0.08])
    [30, 11, 4]
    """
    written = list(map(exact, weights))
    scale = lcm(*(weight.denominator for weight in written))
    return [int(weight * scale) for weight in written]
