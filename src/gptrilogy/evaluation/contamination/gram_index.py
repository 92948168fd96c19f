"""The n-grams of test examples, laid out to be looked up by a corpus of any size. Needs no torch.

A gram is found by a 64-bit number. Most grams of a corpus fail at the first step, one bit of a filter; grams of 8 words
and more share one such filter, over their first 8 words, whatever their lengths.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.bit_filter import BitFilter
from gptrilogy.corpus.ngrams import U64, Places, gram_hashes, gram_hashes_at, normalise, words_of

SHARED_WORDS = 8
_RUN_BYTES = 1 << 22  # of examples whose words are numbered at once


@dataclass(frozen=True, slots=True)
class Table:
    """The grams of one length n: their numbers in order, and of each the examples that have it and where.

    `firsts[g]` to `firsts[g + 1]` are gram g's rows in `examples` and `places`, its bytes in the index's texts.
    """

    n: int
    hashes: U64
    firsts: Places
    examples: NDArray[np.int32]
    places: Places
    filter: BitFilter

    def rows(self, grams: Places) -> tuple[Places, Places]:
        """All rows of some grams, and for each row which of the grams it belongs to."""
        counts = self.firsts[grams + 1] - self.firsts[grams]
        owner = np.repeat(np.arange(len(grams)), counts)
        skipped = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)[:-1]]) if len(grams) else counts
        return self.firsts[grams][owner] + np.arange(len(owner)) - skipped[owner], owner


@dataclass(frozen=True, slots=True)
class GramIndex:
    """Tables by length, the filters in front of them, and the normalised texts of the examples.

    `ends`: where each example's text ends. `filters`: by the number of a gram's first words that they look at.
    """

    texts: NDArray[np.uint8]
    ends: Places
    tables: tuple[Table, ...]
    filters: dict[int, BitFilter]

    @property
    def n_examples(self) -> int:
        return len(self.ends)

    @property
    def longest(self) -> int:
        return max((table.n for table in self.tables), default=1)

    def lookup(self, words: U64) -> Iterator[tuple[Table, Places, Places]]:
        """For each table the places of words at which one of its grams seems to begin, and which gram."""
        for shared, filter_ in self.filters.items():
            hashes = gram_hashes(words, shared)
            passed = filter_.passing(hashes)
            for table in self.tables:
                if min(table.n, SHARED_WORDS) == shared:
                    places = passed[passed + table.n <= len(words)]
                    yield table, *_looked_up(table, words, places)

    def words_at(self, table: Table, row: int) -> list[bytes]:
        """The n words that a row of a table stands for."""
        text = self.texts[table.places[row] : self.ends[table.examples[row]]].tobytes()
        return text.split(None, table.n)[: table.n]

    def save(self, folder: Path) -> None:
        """As arrays that processes can map into memory together; `load` reads them."""
        arrays: dict[str, NDArray[Any]] = {"texts": self.texts, "ends": self.ends}
        for table in self.tables:
            for name in ("hashes", "firsts", "examples", "places"):
                arrays[f"{name}-{table.n}"] = getattr(table, name)
            arrays[f"exact-{table.n}"] = table.filter.bits
        arrays |= {f"filter-{shared}": made.bits for shared, made in self.filters.items()}
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> "GramIndex":
        def mapped(name: str) -> NDArray[Any]:
            path = folder / f"{name}.npy"
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            return array if array.size else np.zeros(0, array.dtype)

        def numbers(name: str) -> list[int]:
            return sorted(int(path.stem.partition("-")[2]) for path in folder.glob(f"{name}-*.npy"))

        tables = tuple(
            Table(
                n,
                mapped(f"hashes-{n}"),
                mapped(f"firsts-{n}"),
                mapped(f"examples-{n}"),
                mapped(f"places-{n}"),
                BitFilter(mapped(f"exact-{n}")),
            )
            for n in numbers("hashes")
        )
        filters = {shared: BitFilter(mapped(f"filter-{shared}")) for shared in numbers("filter")}
        return cls(mapped("texts"), mapped("ends"), tables, filters)


def build_index(texts: Sequence[str], lengths: Sequence[int]) -> GramIndex:
    """An index of examples, of each of which the grams of one length are wanted. One shorter than that has none.

    >>> index = build_index(["a stitch in time saves nine"], [3])
    >>> [(table.n, len(table.hashes)) for table in index.tables]
    [(3, 4)]
    """
    normal = [normalise(text) for text in texts]
    ends = np.fromiter(accumulate(len(text) + 1 for text in normal), np.int64, len(normal)) - 1
    occurrences = {n: _Occurrences(n) for n in sorted(set(lengths))}
    for n, found in occurrences.items():
        for run in _runs([number for number, length in enumerate(lengths) if length == n], normal):
            found.add(np.array(run, np.int32), [normal[number] for number in run], ends)
    tables = tuple(found.table() for found in occurrences.values())
    beginnings: dict[int, list[U64]] = {}
    for found in occurrences.values():
        beginnings.setdefault(min(found.n, SHARED_WORDS), []).extend(found.beginnings)
    filters = {shared: BitFilter.of(np.concatenate(hashes)) for shared, hashes in beginnings.items() if hashes}
    return GramIndex(np.frombuffer(b"\n".join(normal), np.uint8), ends, tables, filters)


class _Occurrences:
    """What `build_index` gathers for one length, run after run."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.hashes: list[U64] = []
        self.beginnings: list[U64] = []
        self.examples: list[NDArray[np.int32]] = []
        self.places: list[Places] = []

    def add(self, numbers: NDArray[np.int32], texts: Sequence[bytes], ends: Places) -> None:
        """The grams of these examples, whose texts end at `ends[numbers]`."""
        words = words_of(b"\n".join(texts))
        ends_here = np.cumsum([len(text) + 1 for text in texts]) - 1
        owner = np.searchsorted(ends_here, words.starts)
        places, examples = words.starts + (ends[numbers] - ends_here)[owner], numbers[owner]
        hashes = gram_hashes(words.hashes, self.n)
        kept = np.flatnonzero(examples[: len(hashes)] == examples[self.n - 1 :])
        self.hashes.append(hashes[kept])
        self.beginnings.append(_distinct(gram_hashes(words.hashes, min(self.n, SHARED_WORDS))[kept]))
        self.examples.append(examples[kept])
        self.places.append(places[kept])

    def table(self) -> Table:
        hashes, examples = np.concatenate(self.hashes), np.concatenate(self.examples)
        order = np.argsort(hashes, kind="stable")
        hashes, examples, places = hashes[order], examples[order], np.concatenate(self.places)[order]
        new = _is_new(hashes) | _is_new(examples)  # once an example is enough
        hashes, examples, places = hashes[new], examples[new], places[new]
        firsts = np.flatnonzero(_is_new(hashes))
        grams = hashes[firsts]
        return Table(self.n, grams, np.append(firsts, len(hashes)), examples, places, BitFilter.of(grams))


def _looked_up(table: Table, words: U64, places: Places) -> tuple[Places, Places]:
    """The exact lookup of what passed the shared filter: a second filter, then a search."""
    hashes = gram_hashes_at(words, places, table.n)
    passed = table.filter.passing(hashes)
    places, hashes = places[passed], hashes[passed]
    grams = np.searchsorted(table.hashes, hashes)
    same = grams < len(table.hashes)
    same[same] = table.hashes[grams[same]] == hashes[same]
    return places[same], grams[same]


def _is_new(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each value differs from the one before."""
    new = np.ones(len(values), np.bool_)
    new[1:] = values[1:] != values[:-1]
    return new


def _distinct(hashes: U64) -> U64:
    hashes = np.sort(hashes)
    return hashes[_is_new(hashes)]


def _runs(numbers: Sequence[int], texts: Sequence[bytes]) -> Iterator[list[int]]:
    """Examples, some megabytes at a time."""
    run: list[int] = []
    size = 0
    for number in numbers:
        run.append(number)
        size += len(texts[number])
        if size >= _RUN_BYTES:
            yield run
            run, size = [], 0
    if run:
        yield run
