"""Rows of cached texts that go on together, a token each at a time."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from gptrilogy.models.cache import KVCache
from gptrilogy.models.gpt import GPT

ROWS = 8  # in every shared product; more cost a lone stream, fewer cost a crowd


class Rows(Protocol):
    """Texts numbered from 0 without gaps; what a row gives does not depend on the others."""

    def read(self, ids: Sequence[int]) -> tuple[KVCache, Tensor]:
        """A text by itself, as the only one in a cache, and the scores of what follows it, (V,)."""
        ...

    def append(self, root: KVCache, capacity: int, /) -> None:
        """A new last row, which begins as a copy of a cache's only one and has room for `capacity` tokens."""
        ...

    def remove(self, row: int) -> None:
        """The last row takes its place."""
        ...

    def restart(self, row: int, root: KVCache | None) -> None:
        """Let a row hold what a cache's only one does, or nothing."""
        ...

    def length(self, row: int) -> int: ...

    def next(self, ids: Sequence[int]) -> Sequence[Tensor]:
        """Append a token to each row; -> the scores of the next, (V,) a row, which hold until the next call."""
        ...


def read_in_pytorch(model: GPT, ids: Sequence[int]) -> tuple[KVCache, Tensor]:
    """What `Rows.read` does, and the twin of every faster way to it."""
    weight = model.wte.weight
    cache = KVCache(model.config, 1, like=weight, capacity=len(ids))
    hidden = model.hidden(torch.tensor([ids], device=weight.device), cache)
    return cache, model.logits(hidden[0, -1:])[0]


class PaddedRows:
    """Rows in PyTorch: in caches of `ROWS`, the missing ones padded.

    A matrix product gives every one of its rows the same bits, whatever stands in the others, but products of 4 and of
    64 rows may add in different orders. Row i is row i % ROWS of cache i // ROWS.
    """

    def __init__(self, model: GPT) -> None:
        self.model = model
        self._n = 0
        self._caches: list[KVCache] = []

    def read(self, ids: Sequence[int]) -> tuple[KVCache, Tensor]:
        return read_in_pytorch(self.model, ids)

    def append(self, root: KVCache, _capacity: int, /) -> None:
        if self._n == ROWS * len(self._caches):
            self._caches.append(KVCache(self.model.config, ROWS, like=self.model.wte.weight))
        self._n += 1
        self._put(self._n - 1, root, 0)

    def remove(self, row: int) -> None:
        self._n -= 1
        if row < self._n:
            self._put(row, *self._place(self._n))
        self._count_active()

    def restart(self, row: int, root: KVCache | None) -> None:
        if root is None:
            cache, place = self._place(row)
            cache.lengths[place] = 0
        else:
            self._put(row, root, 0)

    def length(self, row: int) -> int:
        cache, place = self._place(row)
        return cache.lengths[place]

    def next(self, ids: Sequence[int]) -> Sequence[Tensor]:
        """A cache at a time; idle rows run along as padding."""
        logits: list[Tensor] = []
        for index, cache in enumerate(self._caches):
            newest = ids[index * ROWS : (index + 1) * ROWS]
            if not newest:
                break
            padded = torch.zeros(ROWS, 1, dtype=torch.long)
            padded[: len(newest), 0] = torch.tensor(newest)
            hidden = self.model.hidden(padded.to(self.model.wte.weight.device), cache)[:, 0]  # (ROWS, C)
            logits.extend(self.model.logits(hidden)[: len(newest)])
        return logits

    def _place(self, row: int) -> tuple[KVCache, int]:
        return self._caches[row // ROWS], row % ROWS

    def _put(self, row: int, source: KVCache, source_row: int) -> None:
        cache, place = self._place(row)
        cache.put(place, source, source_row)
        self._count_active()

    def _count_active(self) -> None:
        for index, cache in enumerate(self._caches):
            cache.keep_first(min(max(0, self._n - index * ROWS), ROWS))
