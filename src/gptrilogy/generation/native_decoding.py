"""Rows that go on in one call of `native/decoding.cpp` a token, each with a cache of its own."""

from collections.abc import Sequence
from ctypes import Structure, addressof, c_int32, c_int64, c_void_p

import numpy as np
import torch
from torch import Tensor

from gptrilogy.generation.native_model import NativeModel
from gptrilogy.generation.rows import read_in_pytorch
from gptrilogy.models.cache import KVCache
from gptrilogy.models.slots import Slots

ALIGN = 64
THREAD_BYTES = 1 << 20  # of weights; a thread for less costs more than it brings
READ_TOKENS = 512  # of a text at once: more take more memory, fewer fetch the weights more often
NO_WRITE, NO_RUN = (0, 1, -1), (0, 0, 1)


class _Step(Structure):
    _fields_ = [
        *[(name, c_int32) for name in ("rows", "tokens", "threads", "reads")],
        *[(name, c_void_p) for name in ("ids", "positions", "places", "caches", "logits", "scratch")],
        ("most_keys", c_int64),
    ]


class _Call:
    """The kernel at some texts' newest tokens, so many of each, with all the room that takes."""

    def __init__(self, native: NativeModel, caches: Sequence[KVCache], tokens: int = 1, *, reads: bool = False) -> None:
        self.native = native
        self.caches = list(caches)
        self.tokens = tokens
        M = tokens * len(caches)
        threads = max(1, min(torch.get_num_threads(), native.weight_bytes // THREAD_BYTES))
        most_keys = max(slots.n for cache in caches for slots in cache.slots)
        self._ids = np.empty(M, np.int32)
        self._positions = np.empty(M, np.int32)
        self._places = np.empty((len(native.groups), M, PLACE), np.int32)
        self._pointers = np.array(
            [[(k.data_ptr(), v.data_ptr()) for k, v in zip(cache.keys, cache.values, strict=True)] for cache in caches],
            np.uint64,
        )
        self._logits = torch.empty(len(caches), native.model.config.n_vocab)
        self._step = _Step(
            rows=M,
            tokens=tokens,
            threads=threads,
            reads=reads,
            ids=self._ids.ctypes.data,
            positions=self._positions.ctypes.data,
            places=self._places.ctypes.data,
            caches=self._pointers.ctypes.data,
            most_keys=most_keys,
        )
        self._scratch = torch.zeros(native.scratch_bytes(addressof(self._step)) + ALIGN, dtype=torch.uint8)
        scratch = self._scratch.data_ptr()
        self._step.scratch = scratch + -scratch % ALIGN

    def __call__(self, ids: Sequence[int], *, scored: bool = True) -> Tensor:
        """Append tokens to the caches, text after text; -> the scores of what follows, if they are wanted.

        They hold until the next call. Shapes: -> (texts, V).
        Raises: IndexError for a token outside the vocabulary, as PyTorch would: the kernel reads where it says.
        """
        config = self.native.model.config
        if min(ids) < 0 or max(ids) >= config.n_vocab:
            raise IndexError(f"tokens must be ids from 0 to {config.n_vocab - 1}, got {min(ids)} to {max(ids)}")
        self._ids[:] = ids
        row = 0
        for cache in self.caches:
            start = cache.lengths[0]
            room = min(cache.capacity, config.n_ctx)
            assert start + self.tokens <= room, "the kernel would write past a cache, or read past all positions"
            for position in range(start, start + self.tokens):
                self._positions[row] = position
                for group, layer in enumerate(self.native.groups):
                    self._places[group, row] = place(cache.slots[layer], position)
                row += 1
        self._step.logits = self._logits.data_ptr() if scored else None
        self.native.step(self.native.pointer, addressof(self._step))
        for cache in self.caches:
            cache.advance(self.tokens)
        return self._logits


class NativeRows:
    """`Rows` in C++: its arithmetic for a row does not know of the others, so none are padded."""

    def __init__(self, native: NativeModel) -> None:
        self.native = native
        self._caches: list[KVCache] = []
        self._call: _Call | None = None  # for the caches as they are now

    def read(self, ids: Sequence[int]) -> tuple[KVCache, Tensor]:
        if self.native.format == "fp32":
            return read_in_pytorch(self.native.model, ids)  # whose products of fp32 matrices are faster
        cache = KVCache(self.native.model.config, 1, like=self.native.model.wte.weight.detach(), capacity=len(ids))
        *starts, last = range(0, len(ids), READ_TOKENS)
        if starts:
            call = _Call(self.native, [cache], READ_TOKENS, reads=True)
            for start in starts:
                call(ids[start : start + READ_TOKENS], scored=False)
        return cache, _Call(self.native, [cache], len(ids) - last, reads=True)(ids[last:])[0]

    def append(self, root: KVCache, capacity: int, /) -> None:
        cache = KVCache(self.native.model.config, 1, like=self.native.model.wte.weight.detach(), capacity=capacity)
        cache.put(0, root)
        self._caches.append(cache)
        self._call = None

    def remove(self, row: int) -> None:
        last = self._caches.pop()
        if row < len(self._caches):
            self._caches[row] = last
        self._call = None

    def restart(self, row: int, root: KVCache | None) -> None:
        if root is None:
            self._caches[row].lengths[0] = 0
        else:
            self._caches[row].put(0, root)

    def length(self, row: int) -> int:
        return self._caches[row].lengths[0]

    def next(self, ids: Sequence[int]) -> Sequence[Tensor]:
        if not ids:
            return []
        if self._call is None:
            self._call = _Call(self.native, self._caches)
        return self._call(ids).unbind()


def place(slots: Slots, position: int) -> tuple[int, ...]:
    """Where a position is kept and what it sees, as the kernel's `Place`: slots, two writes, two runs."""
    writes = [
        (heads.start or 0, heads.step or 1, where.start if isinstance(where, slice) else where[0])
        for heads, where, _ in slots.written(position, 1)
    ]
    runs = [(part.start or 0, part.stop, part.step or 1) for part in slots.read(position)]
    runs = [(start, -(-(stop - start) // step), step) for start, stop, step in runs]
    writes += [NO_WRITE] * (2 - len(writes))
    runs += [NO_RUN] * (2 - len(runs))
    return (slots.n, *writes[0], *writes[1], *runs[0], *runs[1])


PLACE = 13  # numbers in it
