"""Signatures of documents: in how many numbers two of them agree tells how much the documents' words overlap."""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.dedup.config import DedupConfig
from gptrilogy.corpus.ngrams import U64, mix
from gptrilogy.corpus.quality.features import N_FEATURES

PRIME = 2038074743  # Spark's; a product with an index of 31 bits still fits 64
NOTHING = PRIME  # a document without features: above every hash


class MinHash:
    """The smallest of each of its hashes over a document's features.

    Two documents agree in one with a chance of about their Jaccard similarity.

    Source: GPT3 Appendix A; the family is that of Spark's MinHashLSH, h(x) = ((1 + x) a + b) mod 2038074743, whose
    a and b we draw from the seed by BLAKE2b, so that every machine and version draws the same.

    >>> config = DedupConfig(n_hashes=2, spare_hashes=0, bands=2, rows=1)
    >>> MinHash(config).signature(np.array([3, 17, 4], np.uint32)).tolist()
    [987808878, 989258279]
    """

    def __init__(self, config: DedupConfig, n_features: int = N_FEATURES) -> None:
        a, b = coefficients(config)
        index = np.arange(1, n_features + 1, dtype=np.uint64)
        self._hashes = np.stack([(index * a[i] + b[i]) % np.uint64(PRIME) for i in range(len(a))]).astype(np.uint32)

    def signature(self, indices: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Shapes: indices (n,) -> (H,)."""
        return self.many(indices, np.array([0, len(indices)]))[0]

    def many(self, indices: NDArray[np.uint32], offsets: NDArray[np.integer]) -> NDArray[np.uint32]:
        """Signatures of documents that lie one after the other; document d is `indices[offsets[d]:offsets[d + 1]]`.

        Shapes: indices (n,), offsets (N + 1,) -> (N, H).
        """
        n_hashes, n_features = self._hashes.shape
        assert not len(indices) or indices.max() < n_features, f"feature {indices.max()} of {n_features}"
        signatures = np.full((len(offsets) - 1, n_hashes), NOTHING, np.uint32)
        some = np.flatnonzero(np.diff(offsets))
        if len(some):
            at, starts = indices.astype(np.intp), offsets[some]
            hashed = np.empty(len(at), np.uint32)
            for number in range(n_hashes):
                np.take(self._hashes[number], at, out=hashed, mode="clip")  # nothing to clip; "raise" would copy
                signatures[some, number] = np.minimum.reduceat(hashed, starts)
        return signatures


def signature_reference(indices: NDArray[np.uint32], config: DedupConfig) -> list[int]:
    """A document's signature, by its definition."""
    drawn = zip(*(c.tolist() for c in coefficients(config)), strict=True)
    return [min((((1 + x) * a + b) % PRIME for x in indices.tolist()), default=NOTHING) for a, b in drawn]


def coefficients(config: DedupConfig) -> tuple[U64, U64]:
    """The a, from 1, and the b, from 0, of each hash. Shapes: -> (H,), (H,)."""
    drawn = [_draw(config.seed, place) for place in range(2 * config.signature_length)]
    a, b = np.array(drawn, np.uint64).reshape(-1, 2).T
    return 1 + a % np.uint64(PRIME - 1), b % np.uint64(PRIME)


def bucket_keys(signatures: NDArray[np.uint32], config: DedupConfig) -> U64:
    """A number for each band of a signature: equal where all hashes of the band are, and all but never otherwise.

    Shapes: signatures (N, H) -> (N, bands).
    """
    keys = np.empty((len(signatures), config.bands), np.uint64)
    for band in range(config.bands):
        first = band * config.rows
        keys[:, band] = fold(signatures[:, first : first + config.rows], start=band + 1)
    return keys


def fold(columns: NDArray[np.uint32], *, start: int = 0) -> U64:
    """One number for each row. Shapes: columns (N, n) -> (N,)."""
    key = np.full(len(columns), start, np.uint64)
    for column in columns.T:
        key = mix(key) + column
    return mix(key)


def _draw(seed: int, place: int) -> int:
    return int.from_bytes(blake2b(f"minhash {seed} {place}".encode(), digest_size=8).digest(), "little")
