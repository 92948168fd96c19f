"""The keys and values a decoder has already computed, kept so that each new token costs one token's work."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from gptrilogy.models.config import GPTConfig


@dataclass(slots=True)
class LayerCache:
    """One layer's share of a `KVCache`.

    Shapes: keys, values (B, H, capacity, D); lengths (active rows,).
    """

    keys: Tensor
    values: Tensor
    lengths: list[int]

    def append(self, k: Tensor, v: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Write T new positions of every active row in place; yield for each all it now holds, 2 x (H, S, D)."""
        T = k.shape[-2]
        for row, start in enumerate(self.lengths):
            self.keys[row, :, start : start + T] = k[row]
            self.values[row, :, start : start + T] = v[row]
            yield self.keys[row, :, : start + T], self.values[row, :, : start + T]


class KVCache:
    """Preallocated keys and values of every layer, in rows of different lengths.

    `GPT.hidden` appends to it in place; `put` branches it by copy. Rows from `n_active` on are idle: they pad the
    shared products to a fixed row count, hold nothing, and come out as zeros of attention.

    Shapes: keys, values (L, B, H, capacity, D).
    """

    def __init__(self, config: GPTConfig, n_rows: int, *, like: Tensor, capacity: int | None = None) -> None:
        """An empty cache with the device and precision of `like`, room for `capacity` tokens a row (default n_ctx)."""
        self.capacity = capacity or config.n_ctx
        shape = (config.n_layer, n_rows, config.n_head, self.capacity, config.n_embd // config.n_head)
        self.keys = like.new_zeros(shape)
        self.values = like.new_zeros(shape)
        self.lengths = [0] * n_rows
        self.n_active = n_rows

    @property
    def n_rows(self) -> int:
        return len(self.lengths)

    def layer(self, index: int) -> LayerCache:
        return LayerCache(self.keys[index], self.values[index], self.lengths[: self.n_active])

    def advance(self, T: int) -> None:
        """Count T appended positions, once every layer has written its own."""
        for row in range(self.n_active):
            self.lengths[row] += T

    def keep_first(self, n_active: int) -> None:
        """Keep the first rows; the others become idle and hold nothing."""
        self.lengths[n_active:] = [0] * (self.n_rows - n_active)
        self.n_active = n_active

    def put(self, row: int, source: "KVCache", source_row: int = 0) -> None:
        """Overwrite a row by a row of a cache of the same model, which may be this one."""
        length = source.lengths[source_row]
        self.keys[:, row, :, :length] = source.keys[:, source_row, :, :length]
        self.values[:, row, :, :length] = source.values[:, source_row, :, :length]
        self.lengths[row] = length
