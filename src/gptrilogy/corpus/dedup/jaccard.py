"""How much the words of two documents overlap, exactly."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.ngrams import Places

Indices = NDArray[np.uint32]


def jaccard_reference(left: Indices, right: Indices) -> float:
    """What two sets share, as a fraction of what either has; of two empty sets, nothing.

    >>> jaccard_reference(np.array([1, 2, 3], np.uint32), np.array([2, 3, 4], np.uint32))
    0.5
    """
    ours, theirs = set(left.tolist()), set(right.tolist())
    return len(ours & theirs) / max(1, len(ours | theirs))


def jaccard(features: Sequence[Indices], left: Places, right: Places) -> NDArray[np.float64]:
    """The similarity of each pair of documents; fastest where pairs with the same left document follow each other.

    Shapes: left (P,), right (P,), places in `features`, each sorted and without repeats -> (P,).
    """
    sizes = np.array([len(indices) for indices in features], np.int64)
    shared = np.zeros(len(left), np.int64)
    marks = np.zeros(1 + max((int(indices[-1]) for indices in features if len(indices)), default=0), np.bool_)
    cuts = np.flatnonzero(np.diff(left, prepend=-1, append=-1))
    for start, end in pairwise(cuts.tolist()):
        hub = features[int(left[start])]
        marks[hub] = True
        for place in range(start, end):
            shared[place] = np.count_nonzero(marks[features[int(right[place])]])
        marks[hub] = False
    either = sizes[left] + sizes[right] - shared
    return shared / np.maximum(1, either)
