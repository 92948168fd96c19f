"""Which examples a step sees, and how their sequences lie in tensors with little padding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gptrilogy.data.permutation import draw, permute

ORDER = 2  # what a number drawn for an epoch is used for; 0 and 1 are the pretraining loader's
GROUP_TOKENS = 8192  # more at a time is no faster on a CPU
GROUP_COST_TOKENS = 256  # what one more pass costs, in tokens of padding: about so much at 1M weights and at 124M


class Item(NamedTuple):
    """An example as a model sees it: one or several sequences, and what is to be predicted of them."""

    sequences: tuple[tuple[int, ...], ...]
    target: float  # the index of a class or answer, or a score; nan where nobody knows

    @property
    def length(self) -> int:
        return max(map(len, self.sequences))


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences padded to one length, those of one example next to each other.

    Shapes: ids (R, T); ends (R,), the place of each sequence's extract token; counts (E,), sequences an example;
    targets (E,), fp32.
    """

    ids: Tensor
    ends: Tensor
    counts: tuple[int, ...]
    targets: Tensor

    @classmethod
    def of(cls, items: Sequence[Item], device: torch.device) -> "Batch":
        rows = [sequence for item in items for sequence in item.sequences]
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for row, sequence in zip(ids, rows, strict=True):
            row[: len(sequence)] = torch.tensor(sequence)
        ends = torch.tensor([len(sequence) - 1 for sequence in rows])
        targets = torch.tensor([item.target for item in items], dtype=torch.float32)
        counts = tuple(len(item.sequences) for item in items)
        return cls(ids.to(device), ends.to(device), counts, targets.to(device))


def chosen(n_examples: int, first_sample: int, batch_size: int, *, seed: int) -> list[int]:
    """The examples of a step: each once an epoch, in a pseudo-random order that follows from seed and epoch.

    >>> sorted(chosen(4, 0, 4, seed=0)), sorted(chosen(4, 4, 4, seed=0))
    ([0, 1, 2, 3], [0, 1, 2, 3])
    """
    samples = np.arange(first_sample, first_sample + batch_size, dtype=np.uint64)
    epoch, index = np.divmod(samples, np.uint64(n_examples))
    return [int(place) for place in permute(index, n_examples, draw(seed, ORDER, epoch))]


def in_groups(items: Sequence[Item], *, bucket: bool = True) -> Iterator[list[Item]]:
    """The items of one step as groups that run together, so that their padding and the number of groups cost least.

    The step itself stays what the draw made it: gradients are summed over its groups. Without `bucket`, groups keep
    the order and are cut by size alone.

    >>> [[item.length for item in group] for group in in_groups([Item(((0,) * n,), 0) for n in (390, 5, 6, 388)])]
    [[5, 6], [388, 390]]
    """
    if not bucket:
        yield from _cut_by_size(items)
        return
    ordered = sorted(items, key=lambda item: item.length)
    for start, stop in _cheapest_cuts([(len(item.sequences), item.length) for item in ordered]):
        yield ordered[start:stop]


def _cheapest_cuts(sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Cut rows of (sequences, length), sorted by length, where padded tokens and groups cost least in all."""
    best: list[tuple[int, int]] = [(0, 0)]  # of the first n rows: the least cost, and where its last group begins
    for stop in range(1, len(sizes) + 1):
        longest = sizes[stop - 1][1]
        options: list[tuple[int, int]] = []
        n_sequences = 0
        for start in range(stop - 1, -1, -1):
            n_sequences += sizes[start][0]
            tokens = n_sequences * longest
            if tokens > GROUP_TOKENS and start < stop - 1:
                break
            options.append((best[start][0] + tokens + GROUP_COST_TOKENS, start))
        best.append(min(options))
    cuts: list[tuple[int, int]] = []
    stop = len(sizes)
    while stop:
        cuts.append((best[stop][1], stop))
        stop = best[stop][1]
    return cuts[::-1]


def _cut_by_size(items: Sequence[Item]) -> Iterator[list[Item]]:
    group: list[Item] = []
    for item in items:
        together = [*group, item]
        tokens = sum(len(one.sequences) for one in together) * max(one.length for one in together)
        if group and tokens > GROUP_TOKENS:
            yield group
            group = []
        group.append(item)
    yield group
