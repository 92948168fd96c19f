"""One document kept of those with one URL, of those with one text, and of those that overlap.

Each step reads the keys of one slice of all documents, without those that an earlier step dropped, and leaves the
losers by part: so many tasks share the work, none holds more than a slice, and how the input was cut decides nothing.
The rule is the same at every step: what a set must be `without` goes; else the longest text stays, then the smallest
draw of the seeded hash of its id.
"""

from collections import Counter
from dataclasses import fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.build.parts import Writing, read_slice
from gptrilogy.corpus.build.plan import Build, parts_and_rows
from gptrilogy.corpus.build.scoring import KEY, RANK, StoredFeatures, band_row
from gptrilogy.corpus.dedup.buckets import BucketRows, equal_to_last
from gptrilogy.corpus.dedup.components import connected_components, survivors
from gptrilogy.corpus.dedup.join import join_buckets

Docs: TypeAlias = NDArray[np.uint64]

# A document that is dropped, the one that is kept instead of it, and whether that one is of another set.
LOSER = np.dtype([("doc", "<u8"), ("winner", "<u8"), ("other", "u1")])
ORDER = ("url", "exact", "near")  # as documents meet them
FILES = {"url": "urls", "exact": "texts"}


def find_same(build: Build, number: int, writing: Writing, *, step: str) -> None:
    """The losers among documents of equal keys, URLs or texts, in one slice of the keys."""
    rows = np.concatenate([read_slice(part, FILES[step], number, KEY) for part in build.parts("score")])
    alive = alive_after(build, ORDER[: ORDER.index(step)])
    rows = rows[alive[_flat(build, rows["doc"])]]
    _write_losers(build, writing, same_key_losers(rows, build.gives_way, texts=step == "exact"))


def same_key_losers(rows: NDArray[Any], gives_way: NDArray[np.bool_], *, texts: bool) -> NDArray[Any]:
    """Which rows of KEY lose against another with their key; texts must have the same length besides.

    Shapes: rows (N,), gives_way (sets, sets) -> (losers,) of LOSER.
    """
    length = rows["characters"] if texts else np.zeros(len(rows), np.uint32)
    longest_first = np.iinfo(np.uint32).max - rows["characters"]
    order = np.lexsort((rows["doc"], rows["draw"], longest_first, rows["set"], length, rows["key"]))
    rows, length = rows[order], length[order]
    new_group = ~equal_to_last(rows["key"], length)
    first = ~equal_to_last(rows["key"], length, rows["set"])
    winner = rows["doc"][np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))]
    losers = np.zeros(len(rows), LOSER)
    losers["doc"], losers["winner"] = rows["doc"], winner
    lost = ~first
    group = np.cumsum(new_group) - 1
    for loses, wins in np.argwhere(gives_way & ~np.eye(len(gives_way), dtype=np.bool_)):
        present = np.zeros(group[-1] + 1 if len(group) else 0, np.int64) - 1
        heads = np.flatnonzero(first & (rows["set"] == wins))
        present[group[heads]] = heads
        hit = (rows["set"] == loses) & (present[group] >= 0) & (losers["other"] == 0)
        losers["winner"][hit], losers["other"][hit] = rows["doc"][present[group[hit]]], 1
        lost |= hit
    return losers[lost]


def find_near(build: Build, number: int, writing: Writing) -> None:
    """The verified pairs among documents that share a bucket, in one slice of one band."""
    config = build.config.near
    assert config is not None
    dtype = band_row(config.signature_length)
    table = np.concatenate([read_slice(part, "bands", number, dtype) for part in build.parts("score")])
    table = table[alive_after(build, ("url", "exact"))[_flat(build, table["doc"])]]
    rows = BucketRows(*(np.ascontiguousarray(table[field.name]) for field in fields(BucketRows)))
    del table
    with StoredFeatures(build) as features:
        edges = join_buckets(rows, features, config, build.gives_way)
    writing.array("within", edges.within)
    writing.array("across", edges.across)


def find_clusters(build: Build, number: int, writing: Writing) -> None:
    """Documents connected by pairs, and which of them stays. Holds all pairs at once, some 100 bytes each.

    A cluster of which a document has a near copy in a set that its own is `without` goes as a whole.
    """
    del number
    tasks = list(build.parts("near", n_near_tasks(build)))
    within, across = (np.concatenate([task.array(name) for task in tasks]) for name in ("within", "across"))
    docs, labels = connected_components(np.concatenate([within, across[:, [0, 0]]]))
    _write_losers(build, writing, cluster_losers(docs, labels, _ranks(build, docs), across))
    _, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    sets = _set_of(build, docs[first])
    writing.said["clusters"] = {
        name: dict(Counter(map(str, sizes[sets == place].tolist()))) for place, name in enumerate(build.sets)
    }


def cluster_losers(docs: Docs, labels: Docs, ranks: NDArray[Any], across: Docs) -> NDArray[Any]:
    """All of each cluster but one, or all of it where another set has a copy of one.

    Shapes: docs (n,), labels (n,), ranks (n,) of RANK, across (A, 2) -> (losers,) of LOSER.
    """
    touched, first = np.unique(labels[np.searchsorted(docs, across[:, 0])], return_index=True)
    elsewhere = np.isin(labels, touched)
    kept = survivors(labels, ranks["characters"], ranks["draw"], ~elsewhere)
    losers = np.zeros(len(docs), LOSER)
    losers["doc"], losers["other"] = docs, elsewhere
    losers["winner"][elsewhere] = across[first, 1][np.searchsorted(touched, labels[elsewhere])]
    order = np.flatnonzero(kept)
    order = order[np.argsort(labels[order])]
    here = ~elsewhere
    losers["winner"][here] = docs[order][np.searchsorted(labels[order], labels[here])]
    return losers[~kept]


def n_near_tasks(build: Build) -> int:
    return build.config.near.bands * build.n_slices if build.config.near else 0


def used_steps(build: Build) -> list[str]:
    """The steps of `ORDER` that this build goes through."""
    config = build.config
    on = {"url": config.same_url, "exact": config.same_text, "near": config.near is not None}
    return [step for step in ORDER if on[step]]


def losers_of(build: Build, step: str, part: int) -> NDArray[Any]:
    """What a step drops of one part."""
    tasks = list(build.parts(*_losers_at(build, step)))
    return np.concatenate([read_slice(task, "losers", part, LOSER) for task in tasks])


def alive_after(build: Build, steps: tuple[str, ...]) -> NDArray[np.bool_]:
    """For each document of the build, by its number, whether quality and these steps left it: one byte a document."""
    alive = np.concatenate([part.array("kept") for part in build.parts("score")])
    for step in (step for step in used_steps(build) if step in steps):
        for task in build.parts(*_losers_at(build, step)):
            for part in range(len(build.plan.parts)):
                alive[_flat(build, read_slice(task, "losers", part, LOSER)["doc"])] = False
    return alive


def _losers_at(build: Build, step: str) -> tuple[str, int]:
    """The tasks that hold the losers of a step."""
    return ("clusters", 1) if step == "near" else (step, build.n_slices)


def _write_losers(build: Build, writing: Writing, losers: NDArray[Any]) -> None:
    losers = np.sort(losers, order="doc")
    writing.sliced("losers", losers, parts_and_rows(losers["doc"])[0], len(build.plan.parts))


def _flat(build: Build, docs: Docs) -> NDArray[np.int64]:
    """Documents counted through all parts."""
    numbers, rows = parts_and_rows(docs)
    return build.first_of[numbers] + rows


def _ranks(build: Build, docs: Docs) -> NDArray[Any]:
    ranks = np.zeros(len(docs), RANK)
    numbers, rows = parts_and_rows(docs)
    for number in np.unique(numbers).tolist():
        here = numbers == number
        ranks[here] = build.part("score", number).array("ranks")[rows[here]]
    return ranks


def _set_of(build: Build, docs: Docs) -> NDArray[np.int64]:
    by_part = np.array([build.set_number(number) for number in range(len(build.plan.parts))], np.int64)
    return by_part[parts_and_rows(docs)[0]]
