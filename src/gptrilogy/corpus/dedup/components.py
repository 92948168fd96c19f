"""Groups of documents that copies lead through, and which document of each group is kept."""

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.ngrams import U64, Places


def connected_components(edges: U64) -> tuple[U64, U64]:
    """Every document that an edge names, in order, and for each the smallest document that it is connected with.

    Memory is about 100 bytes an edge. The order of the edges changes nothing.

    Shapes: edges (E, 2) -> (n,), (n,).

    >>> nodes, labels = connected_components(np.array([[7, 3], [9, 7], [5, 4]], np.uint64))
    >>> nodes.tolist(), labels.tolist()
    ([3, 4, 5, 7, 9], [3, 4, 4, 3, 3])
    """
    nodes, ends = np.unique(edges, return_inverse=True)
    left, right = ends.reshape(-1, 2).T
    labels = np.arange(len(nodes))
    unite(labels, left, right)
    return nodes, nodes[labels]


def unite(labels: Places, left: Places, right: Places) -> None:
    """Give all nodes that are connected now the smallest label among them, in place.

    `labels[n]` is a node that has itself as label. Each round joins at least every second group that an edge leaves.

    Shapes: labels (n,), left (E,), right (E,).
    """
    while True:
        left, right = labels[left], labels[right]
        apart = left != right
        left, right = left[apart], right[apart]
        if not len(left):
            return
        np.minimum.at(labels, np.maximum(left, right), np.minimum(left, right))
        while not np.array_equal(nearer := labels[labels], labels):
            labels[:] = nearer


def survivors(
    labels: U64, lengths: NDArray[np.integer], id_hashes: U64, eligible: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """True for one document of each component: the longest, of equals the one whose id has the smallest hash.

    Without `eligible` all are; a component of which none is has no survivor.

    Shapes: labels (n,), lengths (n,), id_hashes (n,), eligible (n,) -> (n,).
    """
    kept = np.zeros(len(labels), np.bool_)
    places = np.arange(len(labels)) if eligible is None else np.flatnonzero(eligible)
    lengths = lengths.astype(np.int64)
    order = places[np.lexsort((id_hashes[places], -lengths[places], labels[places]))]
    first = np.ones(len(order), np.bool_)
    first[1:] = labels[order][1:] != labels[order][:-1]
    kept[order[first]] = True
    return kept
