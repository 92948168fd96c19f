"""Grams that the corpus shares with tests: found part by part, and those too common to be a leak set aside.

Source: GPT3 Appendix C.
"""

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.build.duplicates import losers_of, used_steps
from gptrilogy.corpus.build.parts import Writing
from gptrilogy.corpus.build.plan import Build, parts_and_rows
from gptrilogy.corpus.build.tables import numbered, read_table
from gptrilogy.corpus.decontamination import found_in_each
from gptrilogy.corpus.gram_set import GramSet

COUNT = np.dtype([("gram", "<i8"), ("documents", "<i8")])


def find_grams(build: Build, number: int, writing: Writing) -> None:
    """In how many documents of one part each gram stands that stands in any, and which documents have one at all."""
    grams, alive = tests_of(build), alive_in(build, number)
    counts = np.zeros(len(grams), np.int64)
    shares = np.zeros(len(alive), np.bool_)
    path = build.part("read", number).verified("documents.parquet")
    for first, batch in numbered(read_table(path, ["text"])):
        places = first + np.flatnonzero(alive[first : first + len(batch)])
        for place, found in zip(places, found_in_each((batch[p - first]["text"] for p in places), grams), strict=True):
            counts[found] += 1
            shares[place] = len(found) > 0
    seen = np.flatnonzero(counts)
    rows = np.zeros(len(seen), COUNT)
    rows["gram"], rows["documents"] = seen, counts[seen]
    writing.array("counts", rows)
    writing.array("shares", shares)


def settle_grams(build: Build, number: int, writing: Writing) -> None:
    """Which grams stand in so many documents that they are common phrases, over all parts."""
    del number
    counts = np.zeros(len(tests_of(build)), np.int64)
    for part in build.parts("grams"):
        rows = part.array("counts")
        counts[rows["gram"]] += rows["documents"]
    ignored = counts > build.config.decontamination.max_documents
    writing.array("ignored", ignored)
    writing.said |= {"grams_found": int((counts > 0).sum()), "grams_ignored": int(ignored.sum())}


def alive_in(build: Build, number: int) -> NDArray[np.bool_]:
    """Which documents of one part quality and de-duplication left."""
    alive = build.part("score", number).array("kept")
    for step in used_steps(build):
        alive[parts_and_rows(losers_of(build, step, number)["doc"])[1]] = False
    return alive


def tests_of(build: Build) -> GramSet:
    return GramSet.load(build.work / "tests")
