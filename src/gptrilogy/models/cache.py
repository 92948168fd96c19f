"""The keys and values a decoder has already computed, kept so that each new token costs one token's work.

A layer keeps no more than its pattern will read again: a band its window, a fixed layer its block and the summaries of
the earlier ones. Its `Slots` say where.
"""

import math

import torch
from torch import Tensor

from gptrilogy.models.attention import attend
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.patterns import Pattern
from gptrilogy.models.slots import Slots, slots_of


class LayerCache:
    """One layer's share of a `KVCache`, in rows of different lengths; it does not count what is appended.

    Shapes: keys, values (B, H, slots, D); lengths (active rows,).
    """

    def __init__(self, keys: Tensor, values: Tensor, slots: Slots, lengths: list[int]) -> None:
        self.keys = keys
        self.values = values
        self.slots = slots
        self.lengths = lengths

    @property
    def pattern(self) -> Pattern:
        return self.slots.pattern

    def append(self, row: int, k: Tensor, v: Tensor) -> None:
        """Write the T positions after a row's length. Shapes: k, v (H, T, D)."""
        start = self.lengths[row]
        for heads, slots, picked in self.slots.written(start, k.shape[1]):
            self.keys[row][heads, slots] = k[heads, picked]
            self.values[row][heads, slots] = v[heads, picked]

    def newest(self, row: int) -> list[tuple[Tensor, Tensor]]:
        """After one position was appended: the keys and values it sees, in parts. Shapes: 2 x (H, S, D) each."""
        parts = self.slots.read(self.lengths[row])
        return [(self.keys[row, :, part], self.values[row, :, part]) for part in parts]

    def held(self, row: int) -> tuple[Tensor, Tensor, Tensor]:
        """All that a row holds, and the positions it is from. Shapes: 2 x (H, S, D), (H or 1, S)."""
        slots, positions = self.slots.held(self.lengths[row], self.keys.shape[1], self.keys.device)
        return self.keys[row][:, slots], self.values[row][:, slots], positions

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Append new keys and values and attend to what was held and to them, each row at its own length.

        Rows are taken one by one, so that a row's result cannot depend on its neighbours' lengths;
        idle ones give zeros.

        Shapes: q, k, v (B, H, T, D) for the T newest tokens -> (B, H, T, D).
        """
        y = torch.zeros_like(q)
        for row in range(len(self.lengths)):
            if q.shape[-2] > 1:  # before it is appended: a window would then have lost what the first of them see
                y[row] = self._several(q[row], k[row], v[row], row)
            self.append(row, k[row], v[row])
            if q.shape[-2] == 1:
                y[row] = _newest(q[row], self.newest(row))
        return y

    def _several(self, q: Tensor, k: Tensor, v: Tensor, row: int) -> Tensor:
        """Several queries after those that a row holds, if any; it has all they see, and a mask says what that is.

        Shapes: q, k, v (H, T, D) -> (H, T, D).
        """
        if self.lengths[row] == 0:
            return attend(q[None], k[None], v[None], self.pattern)[0]
        H, T, D = q.shape
        keys, values, positions = self.held(row)  # 2 x (H, S, D), (H or 1, S)
        queries = self.lengths[row] + torch.arange(T, device=q.device)
        positions = torch.cat([positions, queries.expand(len(positions), T)], -1)[:, None]  # (H or 1, 1, S + T)
        heads = torch.arange(H, device=q.device)[:, None, None]
        seen = self.pattern.sees(queries[:, None], positions, heads)  # (H or 1, T, S + T)
        scores = q @ torch.cat([keys, k], 1).mT / math.sqrt(D)  # (H, T, S + T)
        return scores.masked_fill(~seen, -math.inf).softmax(-1) @ torch.cat([values, v], 1)


def _newest(q: Tensor, parts: list[tuple[Tensor, Tensor]]) -> Tensor:
    """One query, all of whose keys are given, in one or two parts of (H, S, D); -> (H, 1, D)."""
    scores = torch.cat([q @ keys.mT for keys, _ in parts], -1) / math.sqrt(q.shape[-1])  # (H, 1, S)
    shares = scores.softmax(-1).split_with_sizes([keys.shape[1] for keys, _ in parts], -1)
    first, *others = (P @ values for P, (_, values) in zip(shares, parts, strict=True))
    return sum(others, first)


class KVCache:
    """Preallocated keys and values of every layer, in rows of different lengths.

    `GPT.hidden` appends to it in place; `put` branches it by copy. Rows from `n_active` on are idle: they pad the
    shared products to a fixed row count, hold nothing, and come out as zeros of attention.

    Shapes: keys, values (B, H, slots, D) for each layer, whose pattern says how many slots it needs.
    """

    def __init__(self, config: GPTConfig, n_rows: int, *, like: Tensor, capacity: int | None = None) -> None:
        """An empty cache with the device and precision of `like`, room for `capacity` tokens a row (default n_ctx)."""
        self.capacity = capacity or config.n_ctx
        self.slots = [slots_of(pattern, self.capacity) for pattern in config.patterns()]
        shapes = [(n_rows, config.n_head, slots.n, config.n_embd // config.n_head) for slots in self.slots]
        self.keys = [like.new_zeros(shape) for shape in shapes]
        self.values = [like.new_zeros(shape) for shape in shapes]
        self.lengths = [0] * n_rows
        self.n_active = n_rows

    @property
    def n_rows(self) -> int:
        return len(self.lengths)

    @property
    def size_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))

    def positions(self, T: int) -> Tensor:
        """Where the next T tokens of each row stand. Shapes: -> (B, T)."""
        starts = torch.tensor(self.lengths, device=self.keys[0].device)
        return starts[:, None] + torch.arange(T, device=starts.device)

    def layer(self, index: int) -> LayerCache:
        return LayerCache(self.keys[index], self.values[index], self.slots[index], self.lengths[: self.n_active])

    def length_with(self, T: int) -> int:
        """How long the longest row will be after T more tokens."""
        return max(self.lengths) + T

    def advance(self, T: int) -> None:
        """Count T appended positions, once every layer has written its own."""
        for row in range(self.n_active):
            self.lengths[row] += T
        assert max(self.lengths) <= self.capacity, "a window would have overwritten what it still shows"

    def keep_first(self, n_active: int) -> None:
        """Keep the first rows; the others become idle and hold nothing."""
        self.lengths[n_active:] = [0] * (self.n_rows - n_active)
        self.n_active = n_active

    def put(self, row: int, source: "KVCache", source_row: int = 0) -> None:
        """Overwrite a row by a row of a cache of the same model, which may be this one and may be larger or smaller."""
        length = source.lengths[source_row]
        for layer, slots in enumerate(self.slots):
            used = slots.used(length)
            self.keys[layer][row, :, :used] = source.keys[layer][source_row, :, :used]
            self.values[layer][row, :, :used] = source.values[layer][source_row, :, :used]
        self.lengths[row] = length
