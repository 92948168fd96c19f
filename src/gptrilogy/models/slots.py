"""Where a layer's cache keeps which position, so that it holds what its pattern reads again, and little else.

What a new token sees always lies in one or two slices. Where a position lies does not depend on how large the cache is,
so that a row can be copied from one cache into another.
"""

from collections.abc import Iterator
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from gptrilogy.models.patterns import Banded, Fixed, Pattern, Strided

Index: TypeAlias = slice | list[int]
ALL = slice(None)


class Slots(Protocol):
    """One layer's places for a row of up to `capacity` positions."""

    pattern: Pattern
    n: int

    def written(self, start: int, T: int) -> Iterator[tuple[slice, Index, Index]]:
        """What to keep of the T positions from `start` on: for which heads, in which slots, which of the T."""
        ...

    def read(self, position: int) -> list[slice]:
        """The slots of the keys that the query at a position sees, once that position is written."""
        ...

    def held(self, length: int, n_head: int, device: torch.device, /) -> tuple[Tensor, Tensor]:
        """The slots in use after `length` positions, and the positions in them. Shapes: (S,), (n_head or 1, S)."""
        ...

    def used(self, length: int) -> int:
        """The first so many slots hold all there is after `length` positions."""
        ...


def slots_of(pattern: Pattern, capacity: int) -> Slots:
    match pattern:
        case Banded():
            return Ring(pattern, capacity)
        case Fixed():
            return BlockAndSummaries(pattern, capacity)
        case _:
            return InOrder(pattern, capacity)


class InOrder:
    """Every position in its own slot: of a dense layer all are read again, of a strided one each, every stride."""

    def __init__(self, pattern: Pattern, capacity: int) -> None:
        self.pattern = pattern
        self.n = capacity

    def written(self, start: int, T: int) -> Iterator[tuple[slice, Index, Index]]:
        yield ALL, slice(start, start + T), ALL

    def read(self, position: int) -> list[slice]:
        if not isinstance(self.pattern, Strided) or position <= self.pattern.stride:
            return [slice(position + 1)]
        local, stride = position - self.pattern.stride, self.pattern.stride
        return [slice(local, position + 1), slice(position % stride, local, stride)]

    def held(self, length: int, _n_head: int, device: torch.device, /) -> tuple[Tensor, Tensor]:
        slots = torch.arange(length, device=device)
        return slots, slots[None]

    def used(self, length: int) -> int:
        return length


class Ring:
    """A band's window: each position overwrites the one that has just left it."""

    def __init__(self, pattern: Banded, capacity: int) -> None:
        self.pattern: Pattern = pattern
        self.n = min(pattern.width, capacity)

    def written(self, start: int, T: int) -> Iterator[tuple[slice, Index, Index]]:
        kept = range(max(0, T - self.n), T)
        yield ALL, [(start + t) % self.n for t in kept], list(kept)

    def read(self, position: int) -> list[slice]:
        return [slice(min(position + 1, self.n))]

    def held(self, length: int, _n_head: int, device: torch.device, /) -> tuple[Tensor, Tensor]:
        slots = torch.arange(self.used(length), device=device)
        oldest = length - len(slots)
        return slots, (oldest + (slots - oldest) % self.n)[None]

    def used(self, length: int) -> int:
        return min(length, self.n)


class BlockAndSummaries:
    """A fixed layer's own block, written backwards, and after it the summaries of the blocks so far.

    Backwards, so that what a query sees is one slice: the block up to the query ends where the summaries begin.
    """

    def __init__(self, pattern: Fixed, capacity: int) -> None:
        self.pattern: Pattern = pattern
        self.fixed = pattern
        self.n = self.used(capacity)

    def written(self, start: int, T: int) -> Iterator[tuple[slice, Index, Index]]:
        stride, c = self.fixed.stride, self.fixed.summary
        own = range(max(start, (start + T - 1) // stride * stride), start + T)
        yield ALL, [stride - 1 - position % stride for position in own], [position - start for position in own]
        for sub_block in range(self.fixed.sub_blocks):
            first = self.fixed.first_residue(sub_block)
            of_it = [p for p in range(start, start + T) if first <= p % stride < first + c]
            if of_it:
                slots = [stride + p // stride * c + p % stride - first for p in of_it]
                yield slice(sub_block, None, self.fixed.sub_blocks), slots, [p - start for p in of_it]

    def read(self, position: int) -> list[slice]:
        block, residue = divmod(position, self.fixed.stride)
        return [slice(self.fixed.stride - 1 - residue, self.fixed.stride + block * self.fixed.summary)]

    def held(self, length: int, n_head: int, device: torch.device, /) -> tuple[Tensor, Tensor]:
        stride, c = self.fixed.stride, self.fixed.summary
        block, residue = divmod(length - 1, stride)
        own, past = torch.arange(residue + 1, device=device), torch.arange(block * c, device=device)
        first = self.fixed.first_residue(torch.arange(n_head, device=device))[:, None]
        of_past = past // c * stride + first + past % c  # (H, block c)
        positions = torch.cat([(block * stride + own).expand(n_head, -1), of_past], -1)
        return torch.cat([stride - 1 - own, stride + past]), positions

    def used(self, length: int) -> int:
        return self.fixed.stride + -(-length // self.fixed.stride) * self.fixed.summary
