"""The documents of shared buckets compared with each other, in memory that no bucket's size adds to.

Source: GPT3 Appendix A: copies are removed within each set, and WebText from Common Crawl.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.dedup.buckets import BucketRows, equal_to_last, in_company, pairs_of_like_size
from gptrilogy.corpus.dedup.components import unite
from gptrilogy.corpus.dedup.config import DedupConfig
from gptrilogy.corpus.dedup.jaccard import Indices, jaccard, jaccard_reference
from gptrilogy.corpus.ngrams import U64, Places

Bools: TypeAlias = NDArray[np.bool_]
FeaturesOf: TypeAlias = Callable[[U64], Sequence[Indices]]

CANDIDATES_AT_ONCE = 1 << 16  # are gathered before any is verified, so that few calls read many documents
FEATURES_AT_ONCE = 1 << 22  # read in one call: 16 MB, or one pair


class Edges(NamedTuple):
    """Pairs of documents whose similarity has been computed and reaches the threshold.

    Which pairs of a group of copies are here depends on how buckets are cut into slices. Whom all slices together
    connect does not, nor who gives way.

    Shapes: within (E, 2), within_jaccard (E,), across (A, 2), across_jaccard (A,).
    """

    within: U64  # of one set, the smaller document first
    within_jaccard: NDArray[np.float64]
    across: U64  # a document that gives way, once, and one of another set that it is a copy of
    across_jaccard: NDArray[np.float64]
    n_compared: int = 0  # pairs of one bucket and of like sizes
    n_verified: int = 0  # pairs whose features were read


class Pairs(NamedTuple):
    """Candidates, by their places among the rows: `owner` is done with once it is known to be a copy of `other`."""

    owner: Places
    other: Places
    agreement: NDArray[np.uint8]

    def take(self, which: Bools | Places) -> "Pairs":
        return Pairs(self.owner[which], self.other[which], self.agreement[which])


NO_PAIRS = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8))


def join_buckets(rows: BucketRows, features: FeaturesOf, config: DedupConfig, gives_way: Bools) -> Edges:
    """Find the pairs of copies within buckets, leaving out those whose documents others already connect.

    `gives_way[a, b]` says that documents of set a are dropped for copies in set b; on the diagonal, that copies within
    a set are looked for. Of k copies about k pairs are verified. Documents without features have no copies.

    Shapes: gives_way (S, S).
    """
    assert not (gives_way & gives_way.T & ~np.eye(len(gives_way), dtype=np.bool_)).any(), "two sets give way mutually"
    join = _Join(in_company(rows), features, config, gives_way)
    join.set_twins_aside()
    waiting, n_waiting = [NO_PAIRS], 0
    for candidates in join.candidates():
        waiting.append(candidates)
        n_waiting += len(candidates.owner)
        if n_waiting >= CANDIDATES_AT_ONCE:
            join.settle(waiting)
            waiting, n_waiting = [NO_PAIRS], 0
    join.settle(waiting)
    return join.edges()


def join_buckets_reference(rows: BucketRows, features: FeaturesOf, config: DedupConfig, gives_way: Bools) -> Edges:
    """All pairs of copies that share a bucket, by their definition."""
    indices = features(rows.doc)
    within: list[tuple[int, int, float]] = []
    across: list[tuple[int, int, float]] = []
    for i in range(len(rows.doc)):
        for j in range(len(rows.doc)):
            ours, theirs = rows.source[i], rows.source[j]
            if i == j or rows.bucket[i] != rows.bucket[j] or not gives_way[ours, theirs]:
                continue
            agreement = (rows.signature[i] == rows.signature[j]).sum()
            similarity = jaccard_reference(indices[i], indices[j])
            if similarity >= config.threshold and agreement >= config.least_agreement:
                pair = (int(rows.doc[i]), int(rows.doc[j]), similarity)
                if ours != theirs:
                    across.append(pair)
                elif pair[0] < pair[1]:
                    within.append(pair)
    columns = [
        (np.array([pair[:2] for pair in pairs], np.uint64).reshape(-1, 2), np.array([pair[2] for pair in pairs]))
        for pairs in (sorted(within), sorted(across))
    ]
    return Edges(*columns[0], *columns[1])


class _Join:
    """Rows in order, what is known of them so far, and the edges found."""

    def __init__(self, rows: BucketRows, features: FeaturesOf, config: DedupConfig, gives_way: Bools) -> None:
        self.rows = rows
        self.hashes = np.ascontiguousarray(rows.signature.T)
        self.features = features
        self.config = config
        self.gives_way = gives_way
        sets = np.unique(rows.source)
        self.one_set = len(sets) == 1 and bool(gives_way[sets[0], sets[0]])  # spares much of each pair
        self.labels = np.arange(len(rows.doc))  # equal for rows of one set that are connected
        self.gone = np.zeros(len(rows.doc), np.bool_)  # is a copy of a row that it gives way to
        self.original = np.arange(len(rows.doc))  # the first row of its bucket and set with exactly its features
        self.edges_found: list[tuple[Places, Places, NDArray[np.float64]]] = []
        self.n_compared = self.n_verified = 0

    def set_twins_aside(self) -> None:
        """Of rows with equal features let one stand for all, so that the pairs of a thousand copies are a thousand."""
        rows = self.rows
        like_last = equal_to_last(rows.bucket, rows.size, rows.source, *self.hashes)
        first = np.maximum.accumulate(np.where(like_last, 0, np.arange(len(like_last))))
        twins = np.flatnonzero(like_last)
        near = self._verify(twins, first[twins])
        twins = twins[near == 1]
        self.original[twins] = first[twins]
        self._connect(twins, first[twins], near[near == 1])

    def candidates(self) -> Iterator[Pairs]:
        """Pairs of rows that may be copies, by sizes and signatures, and are not known to be done with."""
        alone = np.flatnonzero(self.original == np.arange(len(self.original)))
        least = self.config.least_agreement
        for left, right in pairs_of_like_size(self.rows.bucket[alone], self.rows.size[alone], self.config.threshold):
            self.n_compared += len(left)
            pairs = self._open(self._owned(alone[left], alone[right]))
            for hashes in self.hashes:
                np.add(pairs.agreement, hashes[pairs.owner] == hashes[pairs.other], out=pairs.agreement)
            if (enough := pairs.agreement >= least).any():
                yield pairs.take(enough)

    def settle(self, waiting: Sequence[Pairs]) -> None:
        """Verify candidates until each is known to be a copy or not, or is done with.

        Each owner's likeliest pair comes first, then of those that are left its two likeliest, then four, and so on: a
        copy is seldom verified twice, and rounds are few.
        """
        owner, other, agreement = zip(*waiting, strict=True)
        pairs = Pairs(np.concatenate(owner), np.concatenate(other), np.concatenate(agreement))
        pairs = pairs.take(np.lexsort((pairs.other, -pairs.agreement.astype(np.int64), pairs.owner)))
        pairs, n_each = self._open(pairs), 1
        while len(pairs.owner):
            firsts = np.flatnonzero(~equal_to_last(pairs.owner))
            rank = np.arange(len(pairs.owner)) - np.repeat(firsts, np.diff(firsts, append=len(pairs.owner)))
            now = pairs.take(rank < n_each)
            near = self._verify(now.owner, now.other)
            copies = near >= self.config.threshold
            self._connect(now.owner[copies], now.other[copies], near[copies])
            pairs, n_each = self._open(pairs.take(rank >= n_each)), 2 * n_each

    def edges(self) -> Edges:
        """What was found, by document; whoever has exactly the features of one that gives way gives way with it."""
        nothing = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        left, right, near = (np.concatenate(column) for column in zip(nothing, *self.edges_found, strict=True))
        within = self._same_set(left, right)
        across = ~within
        goes, stays, how_near = self._with_twins(left[across], right[across], near[across])
        doc = self.rows.doc
        smaller, larger = np.minimum(doc[left], doc[right])[within], np.maximum(doc[left], doc[right])[within]
        return Edges(
            *_in_order(smaller, larger, near[within]),
            *_in_order(doc[goes], doc[stays], how_near),
            self.n_compared,
            self.n_verified,
        )

    def _owned(self, left: Places, right: Places) -> Pairs:
        """Pairs that the sets allow, each with its owner: within a set the later row, else the one that gives way."""
        source = self.rows.source
        if self.one_set:
            return Pairs(right, left, np.zeros(len(left), np.uint8))
        swapped = self.gives_way[source[right], source[left]]
        allowed = swapped | self.gives_way[source[left], source[right]]
        owner, other = np.where(swapped, right, left)[allowed], np.where(swapped, left, right)[allowed]
        return Pairs(owner, other, np.zeros(len(owner), np.uint8))

    def _open(self, pairs: Pairs) -> Pairs:
        """Those not done with: rows of one set that nothing connects yet, or an owner that need not yet give way."""
        owner, other = pairs.owner, pairs.other
        apart = self.labels[owner] != self.labels[other]
        if not self.one_set:
            apart = np.where(self._same_set(owner, other), apart, ~self.gone[owner])
        return pairs if apart.all() else pairs.take(apart)

    def _same_set(self, left: Places, right: Places) -> Bools:
        return self.rows.source[left] == self.rows.source[right]

    def _verify(self, owner: Places, other: Places) -> NDArray[np.float64]:
        """The exact similarity of each pair, a bounded number of features read at once."""
        near = np.zeros(len(owner))
        if not len(owner):
            return near
        order = np.argsort(other, kind="stable")
        read = np.cumsum(self.rows.size[owner[order]].astype(np.int64) + self.rows.size[other[order]])
        for places in np.split(order, np.flatnonzero(np.diff(read // FEATURES_AT_ONCE)) + 1):
            rows, at = np.unique(np.stack([other[places], owner[places]]), return_inverse=True)
            hub, spoke = at.reshape(2, -1)
            near[places] = jaccard(self.features(self.rows.doc[rows]), hub, spoke)
        self.n_verified += len(owner)
        return near

    def _connect(self, owner: Places, other: Places, near: NDArray[np.float64]) -> None:
        same_set = self._same_set(owner, other)
        wanted = self.gives_way[self.rows.source[owner], self.rows.source[other]]
        unite(self.labels, owner[same_set], other[same_set])
        self.gone[owner[~same_set]] = True
        self.edges_found.append((owner[wanted], other[wanted], near[wanted]))

    def _with_twins(self, goes: Places, stays: Places, near: NDArray[np.float64]) -> tuple[Places, Places, Any]:
        """One pair for each row that gives way, and for all that have its features the same."""
        rows, first = np.unique(goes, return_index=True)
        which = np.full(len(self.labels), -1)
        which[rows] = first
        which = which[self.original]
        gone = np.flatnonzero(which >= 0)
        return gone, stays[which[gone]], near[which[gone]]


def _in_order(left: U64, right: U64, near: NDArray[np.float64]) -> tuple[U64, NDArray[np.float64]]:
    order = np.lexsort((right, left))
    return np.stack([left, right], axis=1)[order], near[order]
