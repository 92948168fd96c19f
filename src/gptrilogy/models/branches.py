"""A tree of texts in one row of tokens: each token sees the path that leads to it, and nothing of other branches.

The keys and values of one path at a time are kept, a slot a position; a batch of tokens, in the order of a depth-first
walk, departs from that path and from each other. So what many texts begin with is computed once, however deep it is.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gptrilogy.models.config import GPTConfig
from gptrilogy.models.patterns import Pattern

BLOCK = 128  # queries whose scores are in memory together

Ints: TypeAlias = NDArray[np.int64]


class Path:
    """The keys and values of one text of up to n_ctx tokens; its first `length` slots are in use.

    Shapes: keys, values (H, n_ctx, D) for each layer.
    """

    def __init__(self, config: GPTConfig, *, like: Tensor) -> None:
        """An empty path with the device and precision of `like`."""
        shape = (config.n_head, config.n_ctx, config.n_embd // config.n_head)
        self.patterns = config.patterns()
        self.keys = [like.new_empty(shape) for _ in self.patterns]
        self.values = [like.new_empty(shape) for _ in self.patterns]
        self.length = 0


class _Block(NamedTuple):
    """Some queries of a pass, and the keys that any of them sees.

    `on_path`: slots of the path; `tokens`: of this pass; `mask`: 0 where a query sees a key, else -inf.

    Shapes: mask (1, 1 or H, queries, on_path + tokens).
    """

    rows: slice
    on_path: int
    tokens: slice | Tensor
    mask: Tensor


class Branches:
    """The memory of one pass over tokens that depart from a path and from each other.

    `parents`: the token of this pass that a token follows, -1 where it follows the path. `positions`: where it stands
    in its text, so that one that follows the path sees its first `positions[i]` slots. Afterwards the path is that of
    the last token.

    Shapes: positions, parents (N,), for ids (1, N).
    """

    def __init__(self, path: Path, positions: Ints, parents: Ints) -> None:
        self.path = path
        self._positions = positions
        self._starts = positions.copy()  # how much of the path each sees
        self._ends = np.arange(1, len(positions) + 1)  # the tokens that see one are those before its end, from it on
        follows = [(token, parent) for token, parent in enumerate(parents.tolist()) if parent >= 0]
        for token, parent in follows:
            self._starts[token] = self._starts[parent]
        for token, parent in reversed(follows):
            self._ends[parent] = max(self._ends[parent], self._ends[token])
        assert self._starts.max() <= path.length, "a branch departs from beyond the path's end"
        last = np.flatnonzero(self._ends == len(self._ends))  # the way to the last token
        self._last = torch.from_numpy(last).to(path.keys[0].device)
        self._blocks_of: dict[Pattern, list[_Block]] = {}

    def positions(self, T: int) -> Tensor:
        assert len(self._positions) == T, "every token of a pass has a position"
        return torch.from_numpy(self._positions)[None].to(self.path.keys[0].device)

    def length_with(self, _T: int, /) -> int:
        return int(self._positions.max()) + 1

    def layer(self, index: int) -> "LayerBranches":
        pattern, keys, values = self.path.patterns[index], self.path.keys[index], self.path.values[index]
        if pattern not in self._blocks_of:
            N = len(self._positions)
            rows = [slice(start, min(start + BLOCK, N)) for start in range(0, N, BLOCK)]
            self._blocks_of[pattern] = [self._block(part, pattern, keys) for part in rows]
        return LayerBranches(keys, values, self._blocks_of[pattern], int(self._starts[-1]), self._last)

    def advance(self, _T: int, /) -> None:
        self.path.length = int(self._positions[-1]) + 1

    def _block(self, rows: slice, pattern: Pattern, like: Tensor) -> _Block:
        on_path = int(self._starts[rows].max())
        tokens = np.flatnonzero(self._ends[: rows.stop] > rows.start)
        of_path = np.arange(on_path) < self._starts[rows, None]
        own = np.arange(len(self._ends))[rows, None]
        of_pass = (tokens <= own) & (own < self._ends[tokens])
        seen = np.concatenate([of_path, of_pass], 1)[None]  # (1, queries, keys)
        queries = self._positions[rows, None]
        if queries.max() >= pattern.reach:
            keys = np.concatenate([np.arange(on_path), self._positions[tokens]])
            seen = seen & pattern.sees(queries, keys, np.arange(len(like))[:, None, None])
        adjacent = len(tokens) == tokens[-1] + 1 - tokens[0]
        return _Block(
            rows,
            on_path,
            slice(int(tokens[0]), int(tokens[-1]) + 1) if adjacent else torch.from_numpy(tokens).to(like.device),
            torch.from_numpy(np.where(seen, 0.0, -np.inf))[None].to(like),
        )


class LayerBranches:
    """One layer of `Branches`: the path's keys and values, and the way from slot `start` on to the last token."""

    def __init__(self, keys: Tensor, values: Tensor, blocks: Sequence[_Block], start: int, last: Tensor) -> None:
        self.keys = keys
        self.values = values
        self.blocks = blocks
        self.start = start
        self.last = last

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Shapes: q, k, v (1, H, N, D) -> (1, H, N, D)."""
        y = torch.empty_like(q)
        for rows, on_path, tokens, mask in self.blocks:
            keys, values = k[:, :, tokens], v[:, :, tokens]  # (1, H, keys, D)
            if on_path:
                keys = torch.cat([self.keys[None, :, :on_path], keys], 2)
                values = torch.cat([self.values[None, :, :on_path], values], 2)
            y[:, :, rows] = F.scaled_dot_product_attention(q[:, :, rows], keys, values, attn_mask=mask)
        here = slice(self.start, self.start + len(self.last))
        self.keys[:, here] = k[0, :, self.last]
        self.values[:, here] = v[0, :, self.last]
        return y
