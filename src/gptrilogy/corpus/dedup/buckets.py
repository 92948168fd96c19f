"""Documents that share a bucket, in an order in which those of like size follow each other, and their pairs."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.dedup.minhash import fold
from gptrilogy.corpus.ngrams import U64, Places

PAIRS_AT_ONCE = 1 << 18  # whose signatures are compared in one go: some 20 MB


@dataclass(frozen=True, slots=True)
class BucketRows:
    """All documents of some buckets of one band; a document stands in one bucket.

    Shapes: bucket, doc, size, source (M,), signature (M, H).
    """

    bucket: U64
    doc: U64
    size: NDArray[np.uint32]  # number of distinct features
    signature: NDArray[np.uint32]
    source: NDArray[np.uint8]  # number of the set that the document belongs to

    def take(self, places: Places) -> "BucketRows":
        return BucketRows(*(getattr(self, field.name)[places] for field in fields(self)))


def in_company(rows: BucketRows) -> BucketRows:
    """The documents with features that share their bucket: by bucket, size, set, signature and document."""
    order = np.argsort(rows.bucket, kind="stable")
    order = order[rows.size[order] > 0]
    joined = equal_to_last(rows.bucket[order])
    joined[:-1] |= joined[1:]
    rows = rows.take(order[joined])
    return rows.take(np.lexsort((rows.doc, fold(rows.signature), rows.source, rows.size, rows.bucket)))


def equal_to_last(*columns: NDArray[np.generic]) -> NDArray[np.bool_]:
    """True where a row is equal to the one before it.

    >>> equal_to_last(np.array([4, 4, 7, 7]), np.array([1, 1, 1, 0])).tolist()
    [False, True, False, False]
    """
    equal = np.ones(len(columns[0]), np.bool_)
    equal[:1] = False
    for column in columns:
        equal[1:] &= column[1:] == column[:-1]
    return equal


def pairs_of_like_size(
    bucket: U64, size: NDArray[np.uint32], threshold: float, *, at_once: int = PAIRS_AT_ONCE
) -> Iterator[tuple[Places, Places]]:
    """Every pair of places in one bucket whose sizes allow a similarity of `threshold`, and few that do not.

    Two sets share at most the smaller, so their Jaccard similarity is at most the ratio of their sizes.

    Shapes: bucket (M,), size (M,), in order -> many times (P,), (P,), the smaller place first.
    """
    number = np.cumsum(~equal_to_last(bucket)).astype(np.uint64) << np.uint64(32)
    longest = np.minimum(size / threshold + 1, (1 << 32) - 1).astype(np.uint64)  # one more, as a quotient is rounded
    ends = np.searchsorted(number | size, number | longest, side="right")
    firsts = np.arange(1, len(size) + 1)
    starts: Places = np.append(0, np.cumsum(ends - firsts))  # of each row's pairs, among all
    for start in range(0, int(starts[-1]), at_once):
        numbers = np.arange(start, min(start + at_once, int(starts[-1])))
        low, high = (int(place) for place in np.searchsorted(starts, numbers[[0, -1]], side="right"))
        rows = np.arange(low - 1, high)
        counts = np.minimum(starts[rows + 1], numbers[-1] + 1) - np.maximum(starts[rows], start)
        left = np.repeat(rows, counts)
        yield left, numbers - starts[left] + left + 1
