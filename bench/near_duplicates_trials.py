"""Pieces of real text with edited copies among them, the truth about their overlap, and what a banding finds of it."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.dedup.buckets import BucketRows
from gptrilogy.corpus.dedup.components import connected_components
from gptrilogy.corpus.dedup.config import DedupConfig
from gptrilogy.corpus.dedup.join import join_buckets
from gptrilogy.corpus.dedup.minhash import MinHash, bucket_keys
from gptrilogy.corpus.quality.features import Hasher
from gptrilogy.errors import RunError

COPIED_SHARE = 0.3
EDIT_RATES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)  # of a copy's words, each replaced by a word from anywhere
PIECE_WORDS = (40, 220)
BINS = 20
ROWS_AT_ONCE = 256
ONE_SET, NO_EDGES = np.ones((1, 1), np.bool_), np.zeros((0, 2), np.uint64)


@dataclass(frozen=True, slots=True)
class Sets:
    """Documents as sets of features, one after the other."""

    flat: NDArray[np.uint32]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Sets":
        indices = [features.indices for features in Hasher().batch(texts)]
        return cls(np.concatenate(indices), np.array([0, *accumulate(map(len, indices))]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    def read(self, docs: NDArray[np.uint64]) -> list[NDArray[np.uint32]]:
        return [self.flat[self.offsets[doc] : self.offsets[doc + 1]] for doc in docs.astype(np.int64).tolist()]


def make_documents(words: Sequence[str], count: int, *, seed: int = 0) -> list[str]:
    """The pieces of a text, one after the other, and edited copies of some of them.

    Raises: RunError where the text is too short.
    """
    rng = random.Random(seed)
    n_pieces = round(count * (1 - COPIED_SHARE))
    ends = [0, *accumulate(rng.randint(*PIECE_WORDS) for _ in range(n_pieces))]
    if ends[-1] > len(words):
        raise RunError(
            f"{len(words):,} words are too few for {count:,} documents of {PIECE_WORDS} words: name more texts"
        )
    pieces = [words[start:end] for start, end in pairwise(ends)]
    copies = [edited(rng.choice(pieces), rng.choice(EDIT_RATES), words, rng) for _ in range(count - n_pieces)]
    return [" ".join(document) for document in (*pieces, *copies)]


def edited(piece: Sequence[str], rate: float, words: Sequence[str], rng: random.Random) -> list[str]:
    return [rng.choice(words) if rng.random() < rate else word for word in piece]


def drawn_sets(count: int, *, seed: int = 0) -> Sets:
    """Sets of up to 80 features, common ones more often, a share of them edited copies of earlier ones."""
    rng = np.random.default_rng(seed)
    draws = np.empty((count, 80), np.int64)
    for start in range(0, count, 10_000):
        block = draws[start : start + 10_000]
        block[:] = (1 << 18) ** rng.random(block.shape)  # the n-th feature about once in n
        if start:
            copies = np.flatnonzero(rng.random(len(block)) < COPIED_SHARE)
            rates = rng.choice(EDIT_RATES, (len(copies), 1))
            kept = rng.random((len(copies), 80)) >= rates
            block[copies] = np.where(kept, draws[rng.integers(0, start, len(copies))], block[copies])
    draws.sort(axis=1)
    first = np.diff(draws, axis=1, prepend=-1) > 0
    return Sets(draws[first].astype(np.uint32), np.concatenate([[0], np.cumsum(first.sum(axis=1))]))


def all_similarities(sets: Sets) -> NDArray[np.float32]:
    """The exact Jaccard similarity of each pair with each. Shapes: -> (N, N), 0 on and below the diagonal."""
    N = len(sets)
    _, columns = np.unique(sets.flat, return_inverse=True)
    table = np.zeros((N, int(columns.max()) + 1), np.float32)
    table[np.repeat(np.arange(N), sets.sizes), columns] = 1
    similarity = np.zeros((N, N), np.float32)
    for start in range(0, N, ROWS_AT_ONCE):
        end = min(start + ROWS_AT_ONCE, N)
        shared = table[start:end] @ table[start:].T
        similarity[start:end, start:] = shared / (sets.sizes[start:end, None] + sets.sizes[start:] - shared)
    return np.triu(similarity, 1)


def agreements(signatures: NDArray[np.uint32], keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """In how many hashes each pair agrees, and whether in a whole band. Shapes: -> (N, N), (N, N)."""
    N = len(signatures)
    agreement, candidate = np.zeros((N, N), np.uint8), np.zeros((N, N), np.bool_)
    for column in signatures.T:
        agreement += column[:, None] == column
    for column in keys.T:
        candidate |= column[:, None] == column
    return agreement, candidate


@dataclass(frozen=True, slots=True)
class Quality:
    """What a banding finds of the pairs there are; the pairs at each similarity that it looks at, and was to."""

    n_copies: int  # pairs at the threshold or above
    n_candidates: int  # pairs with a band in common
    n_prefiltered: int  # of those, the pairs that also agree in enough hashes
    n_found: int
    to_drop: int  # documents that all-pairs comparison drops
    dropped: int
    seen: list[tuple[float, float, float]]  # mean similarity of a bin, share found, share expected

    @property
    def recall(self) -> float:
        return self.n_found / self.n_copies

    @property
    def precision(self) -> float:
        """Of the pairs that are verified; what is dropped has been verified, all of it."""
        return self.n_found / max(1, self.n_prefiltered)


def judge(sets: Sets, similarity: NDArray[np.float32], config: DedupConfig) -> Quality:
    """A banding held against the truth, pair by pair."""
    signatures = MinHash(config).many(sets.flat, sets.offsets)
    agreement, candidate = agreements(signatures, bucket_keys(signatures, config))
    candidate = np.triu(candidate, 1)
    passed = candidate & (agreement >= config.least_agreement)
    copies = similarity >= config.threshold
    seen: list[tuple[float, float, float]] = []
    for low, high in pairwise(np.linspace(0, 1, BINS + 1).tolist()):
        inside = (similarity > low) & (similarity <= high)
        if inside.sum() >= 20:
            values = similarity[inside]
            expected = np.mean(
                [config.found_probability(s) for s in np.quantile(values, np.linspace(0.005, 0.995, 100))]
            )
            seen.append((float(values.mean()), float(passed[inside].mean()), float(expected)))
    return Quality(
        *(int(pairs.sum()) for pairs in (copies, candidate, passed, copies & passed)),
        to_drop=n_droppable(copies), dropped=n_droppable(copies & passed), seen=seen,
    )  # fmt: skip


def n_droppable(pairs: NDArray[np.bool_]) -> int:
    """How many documents go if one of each connected group stays."""
    nodes, labels = connected_components(np.argwhere(pairs).astype(np.uint64))
    return len(nodes) - len(np.unique(labels))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a banding costs. `n_bucket_pairs` counts a pair once for each band that it shares."""

    n_documents: int
    n_bucket_pairs: int
    n_compared: int
    n_verified: int
    dropped: int
    signature_s: float
    join_s: float


def price(sets: Sets, config: DedupConfig, *, bands: Sequence[int] | None = None) -> Cost:
    """Find copies in one process, band by band, or only in some bands; pairs in buckets are counted over all."""
    minhash = MinHash(config)
    start = time.process_time()
    signatures = minhash.many(sets.flat, sets.offsets)
    keys = bucket_keys(signatures, config)
    signature_s = time.process_time() - start
    counts = [np.unique(band, return_counts=True)[1] for band in keys.T]
    n_pairs = sum(int((n * (n - 1) // 2).sum()) for n in counts)
    joined = range(config.bands) if bands is None else bands
    start = time.process_time()
    found = [join_buckets(_rows(sets, signatures, keys[:, band]), sets.read, config, ONE_SET) for band in joined]
    nodes, labels = connected_components(np.concatenate([NO_EDGES, *(edges.within for edges in found)]))
    join_s = time.process_time() - start
    n_compared, n_verified = sum(e.n_compared for e in found), sum(e.n_verified for e in found)
    return Cost(len(sets), n_pairs, n_compared, n_verified, len(nodes) - len(np.unique(labels)), signature_s, join_s)


def found_across(sets: Sets, n_first: int, config: DedupConfig) -> set[int]:
    """Which documents from number `n_first` on, counted from there, have a copy among those before."""
    signatures = MinHash(config).many(sets.flat, sets.offsets)
    source = (np.arange(len(sets)) >= n_first).astype(np.uint8)
    gives_way = np.array([[False, False], [True, False]])
    found: set[int] = set()
    for key in bucket_keys(signatures, config).T:
        edges = join_buckets(_rows(sets, signatures, key, source), sets.read, config, gives_way)
        found.update((edges.across[:, 0].astype(np.int64) - n_first).tolist())
    return found


def _rows(
    sets: Sets, signatures: NDArray[np.uint32], key: NDArray[np.uint64], source: NDArray[np.uint8] | None = None
) -> BucketRows:
    docs = np.arange(len(sets), dtype=np.uint64)
    source = np.zeros(len(sets), np.uint8) if source is None else source
    return BucketRows(np.ascontiguousarray(key), docs, sets.sizes.astype(np.uint32), signatures, source)
