"""Which keys a query may see: dense, locally banded, strided, fixed. One class a pattern, one table of them, no torch.

Positions count from 0. `sees` is the definition, and takes numbers or tensors alike: the fast kernels, the caches, the
pictures and the masks of FlexAttention are all held against it. The Sparse Transformer calls a pattern valid if every
key reaches every later query in p + 1 positions, that is p layers; strided and fixed are (p = 2), banded alone is not:
n keys back take n / (band_width - 1) layers. Beside a dense layer, as in GPT-3, it needs no more than that one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from gptrilogy.config import suggest


class Pattern(Protocol):
    """What every pattern tells."""

    def sees(self, query: Any, key: Any, head: Any, /) -> Any:
        """Whether a query may look at a key; numbers or broadcasting tensors -> the same of bool."""
        ...

    def n_keys(self, query: int) -> int:
        """How many keys a query sees, in any one head."""
        ...

    @property
    def reach(self) -> int:
        """Texts of so many tokens see all their past."""
        ...

    def fault(self, n_ctx: int, n_head: int, /) -> str | None:
        """What keeps it from a model of this context and so many heads."""
        ...


@dataclass(frozen=True, slots=True)
class Dense:
    """Every key up to the query: S_i = {j <= i}.

    Source: GPT1 eq. 2; SP §4.1.
    """

    def sees(self, query: Any, key: Any, _head: Any, /) -> Any:
        return key <= query

    def n_keys(self, query: int) -> int:
        return query + 1

    @property
    def reach(self) -> int:
        return 1 << 62

    def fault(self, _n_ctx: int, _n_head: int, /) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class Banded:
    """The `width` newest keys, the query's own among them: i - width < j <= i.

    GPT-3 names the pattern and no width. The Sparse Transformer prints its local part as t = max(0, i - l) to i, which
    are l + 1 keys; its released code masks `key + bandwidth <= query`, which leaves l, and so does GPT-Neo's window.
    Here it is what the code does.

    Source: GPT3 §2.1; SP §4.3, and openai/sparse_attention.

    >>> [[int(Banded(2).sees(i, j, 0)) for j in range(4)] for i in range(4)]
    [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    """

    width: int

    def sees(self, query: Any, key: Any, _head: Any, /) -> Any:
        return (key <= query) & (query - key < self.width)

    def n_keys(self, query: int) -> int:
        return min(query + 1, self.width)

    @property
    def reach(self) -> int:
        return self.width

    def fault(self, n_ctx: int, _n_head: int, /) -> str | None:
        if self.width > n_ctx:
            return (
                f"band_width must be at most n_ctx, got {self.width} and {n_ctx}; a narrower band, or attention = dense"
            )
        return None


@dataclass(frozen=True, slots=True)
class Strided:
    """The last `stride` keys, and every stride-th before: i - j <= l or (i - j) mod l = 0.

    The two sets of the paper, as one head sees their union (the merged head of its eq. 7). Key i - l is in both, so
    that l or l + 1 local keys, the difference between its code and its print, come to the same.

    Source: SP §4.3.

    >>> [[int(Strided(2).sees(i, j, 0)) for j in range(6)] for i in (3, 5)]
    [[0, 1, 1, 1, 0, 0], [0, 1, 0, 1, 1, 1]]
    """

    stride: int

    def sees(self, query: Any, key: Any, _head: Any, /) -> Any:
        back = query - key
        return (back >= 0) & ((back <= self.stride) | (back % self.stride == 0))

    def n_keys(self, query: int) -> int:
        return min(query, self.stride) + 1 + max(0, query // self.stride - 1)

    @property
    def reach(self) -> int:
        return self.stride + 1

    def fault(self, n_ctx: int, _n_head: int, /) -> str | None:
        return _stride_fault(self.stride, n_ctx)


@dataclass(frozen=True, slots=True)
class Fixed:
    """The query's own block of `stride` keys, and of each earlier block `summary` keys near its end.

    j // l = i // l, or j mod l in [l - (s + 1) c, l - s c) with s = head mod sub_blocks: head 0 reads the last c keys
    of each block, head 1 the c before them, and so on, as the paper prefers to having all heads read the same. It
    prints j mod l in {l - c, ..., l}, whose last is never a remainder: c keys are meant, l - c to l - 1, not c + 1.
    The layer is valid by head 0: the keys behind another head's sub-block are not passed on by that head.

    Source: SP §4.3; the merged head of its eq. 7.

    >>> [[int(Fixed(3, 1, 2).sees(5, j, head)) for j in range(6)] for head in (0, 1)]
    [[0, 0, 1, 1, 1, 1], [0, 1, 0, 1, 1, 1]]
    """

    stride: int
    summary: int
    sub_blocks: int

    def sees(self, query: Any, key: Any, head: Any, /) -> Any:
        own = query // self.stride == key // self.stride
        into = key % self.stride - self.first_residue(head)
        return (key <= query) & (own | ((into >= 0) & (into < self.summary)))

    def first_residue(self, head: Any) -> Any:
        """Where in each block the keys begin that a head reads from later blocks."""
        return self.stride - self.summary * (1 + head % self.sub_blocks)

    def n_keys(self, query: int) -> int:
        return query % self.stride + 1 + self.summary * (query // self.stride)

    @property
    def reach(self) -> int:
        return self.stride

    def fault(self, n_ctx: int, n_head: int, /) -> str | None:
        if self.sub_blocks > n_head:
            return (
                f"sub_blocks must be at most n_head, got {self.sub_blocks} and {n_head}; a head reads one, so the "
                "others would never be read"
            )
        if self.summary * self.sub_blocks > self.stride:
            return (
                f"sub_blocks x summary_width must be at most stride, got {self.sub_blocks} x {self.summary} "
                f"and {self.stride}; fewer or narrower ones, or a longer stride"
            )
        return _stride_fault(self.stride, n_ctx)


class Sizes(NamedTuple):
    """What patterns are made from, under the names that `GPTConfig` gives them."""

    band_width: int
    stride: int
    summary_width: int
    sub_blocks: int


PATTERNS: Mapping[str, Callable[[Sizes], Pattern]] = {
    "dense": lambda _: Dense(),
    "banded": lambda sizes: Banded(sizes.band_width),
    "strided": lambda sizes: Strided(sizes.stride),
    "fixed": lambda sizes: Fixed(sizes.stride, sizes.summary_width, sizes.sub_blocks),
}


def tiled(names: Sequence[str], sizes: Sizes, n_layer: int) -> list[Pattern]:
    """The pattern of each layer: the names over and over.

    Source: GPT3 §2.1, "alternating".

    >>> tiled(["dense", "banded"], Sizes(256, 128, 8, 4), 3)
    [Dense(), Banded(width=256), Dense()]
    """
    made = [PATTERNS[name](sizes) for name in names]
    return [made[layer % len(made)] for layer in range(n_layer)]


def unknown_pattern(names: Sequence[str]) -> str | None:
    """A remedy for the first name that is none."""
    odd = next((name for name in names if name not in PATTERNS), None)
    return None if odd is None else f"unknown attention pattern {odd or repr(odd)}: {suggest(odd, PATTERNS)}"


@lru_cache(maxsize=256)
def mean_keys(pattern: Pattern, n_ctx: int) -> float:
    """Keys a query sees on average over a context, its own counted half: of dense attention n_ctx / 2, as in Kaplan.

    >>> mean_keys(Dense(), 1024), mean_keys(Banded(256), 1024)
    (512.0, 223.625)
    """
    return sum(pattern.n_keys(query) for query in range(n_ctx)) / n_ctx - 0.5


def _stride_fault(stride: int, n_ctx: int) -> str | None:
    if stride > n_ctx:
        return (
            f"stride must be at most n_ctx, got {stride} and {n_ctx}; near the square root of n_ctx the work is least"
        )
    return None
