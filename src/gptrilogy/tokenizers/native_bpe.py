"""Count pieces and learn merges with `native/bpe.cpp`; Hugging Face's trainer and `reference` are its twins."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from ctypes import CDLL, byref, c_int64, c_void_p
from itertools import accumulate, chain, pairwise
from os import cpu_count
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gptrilogy.native.building import compiled
from gptrilogy.tokenizers.piece_counts import Counted
from gptrilogy.tokenizers.symbols import MAX_TOKEN_BYTES, Pair, byte_symbols
from gptrilogy.tokenizers.unicode16 import kinds

MAX_THREADS = 8  # of counting: one more thread gathers what they count
MAX_PLACES = 2**32 - 1  # of symbols, and of the ends of pieces
STEP_MERGES = 1000  # between two reports, and two chances to interrupt

OnMerges: TypeAlias = Callable[[int], None]


def library() -> CDLL | None:
    """The compiled kernel, or None where this machine cannot compile, which is said once."""
    found = compiled("bpe")
    if found is not None:
        found.bpe_count.restype = found.bpe_learner.restype = c_void_p
        found.bpe_learn.restype = c_int64
        found.bpe_counted.restype = found.bpe_free.restype = None
    return found


def counted(native: CDLL, groups: Iterable[Sequence[str]]) -> Iterator[tuple[int, Counted]]:
    """The bytes and the pieces of each group of texts, in order, counted a few groups at a time on several threads."""
    threads = min(cpu_count() or 1, MAX_THREADS)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[tuple[int, Counted]]] = deque()
        for group in groups:
            waiting.append(pool.submit(count_pieces, native, group))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        for last in waiting:
            yield last.result()


def count_pieces(native: CDLL, texts: Sequence[str]) -> tuple[int, Counted]:
    """How many bytes texts have, and the pieces that GPT-2's pattern cuts them into, at most 1024 bytes each."""
    encoded = [text.encode() for text in texts]
    ends = np.array([*accumulate(map(len, encoded))], np.int64)
    data = b"".join(encoded)
    n_pieces, n_bytes = c_int64(), c_int64()
    found = native.bpe_count(
        data, _pointer(ends), c_int64(len(ends)), _pointer(kinds()), c_int64(MAX_TOKEN_BYTES), byref(n_pieces),
        byref(n_bytes),
    )  # fmt: skip
    pieces = np.empty(n_bytes.value, np.uint8)
    piece_ends, counts = (np.empty(n_pieces.value, np.int64) for _ in range(2))
    native.bpe_counted(c_void_p(found), _pointer(pieces), _pointer(piece_ends), _pointer(counts))
    joined = pieces.tobytes()
    cuts = pairwise(chain([0], piece_ends.tolist()))
    return len(data), Counted([joined[start:end] for start, end in cuts], counts)


def learn_merges(native: CDLL, counted: Counted, n_merges: int, on_merges: OnMerges | None = None) -> list[Pair]:
    """`reference.learn_merges(..., oldest_first=True)` of pieces of bytes."""
    made = sorted(byte_symbols().values())
    ids = {symbol: i for i, symbol in enumerate(made)}
    merges: list[Pair] = []
    with _learner(native, counted, ids) as learner:
        while len(merges) < n_merges:
            found = np.empty((min(STEP_MERGES, n_merges - len(merges)), 2), np.int32)
            n_found = native.bpe_learn(learner, c_int64(len(found)), _pointer(found))
            rows: list[list[int]] = found[:n_found].tolist()
            for left, right in rows:
                pair = made[left], made[right]
                merges.append(pair)
                if ids.setdefault("".join(pair), len(made)) == len(made):
                    made.append("".join(pair))
            if on_merges:
                on_merges(len(merges))
            if n_found < len(found):
                break
    return merges


@contextmanager
def _learner(native: CDLL, counted: Counted, ids: dict[str, int]) -> Generator[c_void_p]:
    ages = bytes(ids[byte_symbols()[byte]] for byte in range(256))
    symbols = b"".join(counted.pieces).translate(ages)
    sizes = np.fromiter(map(len, counted.pieces), np.int64, len(counted.pieces))
    assert 0 < sizes.min(initial=1) <= sizes.max(initial=1) <= MAX_TOKEN_BYTES, "the kernel holds sizes in 16 bits"
    assert len(symbols) + len(sizes) < MAX_PLACES, "the kernel holds places in 32 bits"
    ends = np.cumsum(sizes)
    learner = c_void_p(
        native.bpe_learner(symbols, _pointer(ends), _pointer(counted.counts), c_int64(len(counted.pieces)))
    )
    try:
        yield learner
    finally:
        native.bpe_free(learner)


def _pointer(array: NDArray[np.generic]) -> c_void_p:
    """One that keeps the array: `kinds()` of one thread is dropped when another's takes its place in the cache."""
    return array.ctypes.data_as(c_void_p)
