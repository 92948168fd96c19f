"""The n-grams of test texts as sorted numbers, and which tasks each comes from. Needs no torch.

Two different grams have one number with a chance of 2^-64: of a corpus of 3e11 words and 2e7 grams of tests, a third
of a gram is cut that no test has. In return a set holds no word of a test: 12 bytes a gram and 4 to 8 of a filter.
Building takes some 75 bytes a gram at once.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.bare_words import bare
from gptrilogy.corpus.bit_filter import BitFilter
from gptrilogy.corpus.ngrams import U64, Places, gram_hashes, words_of
from gptrilogy.errors import DataError
from gptrilogy.files import read_json, replacing_folder, sha256_json, write_json

INDEX = "grams.json"
_BATCH_BYTES = 1 << 22  # of test text whose words are numbered at once
_TYPES = {"hashes": np.uint64, "owners": np.uint32, "bits": np.uint8}

Names: TypeAlias = NDArray[np.uint32]  # numbers of tasks' names, or of combinations of them
Named: TypeAlias = tuple[U64, Names]


class Coverage(NamedTuple):
    """How many texts a task gave, and how many of them have fewer than n words: those no gram protects."""

    texts: int
    short: int


@dataclass(frozen=True, slots=True)
class GramSet:
    """Distinct grams in the order of their numbers; a gram is known by its place in that order.

    `owners[g]` is the place in `combinations` of the tasks that gram g comes from, themselves places in `names`.

    >>> grams = GramSet.build([("proverbs", "A stitch in time saves nine."), ("songs", "In time!")], n=2)
    >>> len(grams), grams.by_task(np.arange(len(grams))), grams.coverage["songs"]
    (5, {'proverbs': 5, 'songs': 1}, Coverage(texts=1, short=0))
    """

    n: int
    names: tuple[str, ...]
    coverage: Mapping[str, Coverage]
    combinations: tuple[tuple[int, ...], ...]
    hashes: U64
    owners: Names
    filter: BitFilter

    def __len__(self) -> int:
        return len(self.hashes)

    @classmethod
    def build(cls, texts: Iterable[tuple[str, str]], n: int) -> "GramSet":
        """The grams of `(task, text)` pairs. The same pairs in the same order give the same set on any machine."""
        assert n > 0
        coverage: dict[str, Coverage] = {}
        parts = [_no_grams(), *(_grams_of(batch, n, coverage) for batch in _batches(texts))]
        hashes, names = _distinct(*map(np.concatenate, zip(*parts, strict=True)))
        firsts = np.flatnonzero(_is_new(hashes))
        owners, combinations = _combined(names, np.append(firsts, len(names)), len(coverage))
        hashes = hashes[firsts]
        return cls(n, tuple(coverage), coverage, combinations, hashes, owners, BitFilter.of(hashes))

    def lookup(self, words: U64) -> tuple[Places, Places]:
        """The places of words at which a gram of the set begins, and which gram that is."""
        hashes = gram_hashes(words, self.n)
        places = self.filter.passing(hashes)
        hashes = hashes[places]
        grams = np.searchsorted(self.hashes, hashes)
        same = grams < len(self.hashes)
        same[same] = self.hashes[grams[same]] == hashes[same]
        return places[same], grams[same]

    def by_task(self, grams: Places) -> dict[str, int]:
        """How many of these grams each task has, of tasks that have any; one of two tasks counts for both."""
        counts = dict.fromkeys(self.names, 0)
        owners, owned = np.unique(self.owners[grams], return_counts=True)
        for owner, count in zip(map(int, owners), map(int, owned), strict=True):
            for name in self.combinations[owner]:
                counts[self.names[name]] += count
        return {name: count for name, count in counts.items() if count}

    @property
    def fingerprint(self) -> str:
        """A SHA-256 of all there is to a set, the words behind its numbers excepted."""
        arrays = {name: hashlib.sha256(array.data).hexdigest() for name, array in self._arrays().items()}
        return sha256_json([self._header(), arrays])

    def save(self, folder: Path) -> None:
        """As a folder that `load` maps into memory, so that all processes of a machine hold one copy."""
        with replacing_folder(folder) as temporary:
            for name, array in self._arrays().items():
                np.save(temporary / f"{name}.npy", array, allow_pickle=False)
            write_json(temporary / INDEX, {**self._header(), "fingerprint": self.fingerprint})

    @classmethod
    def load(cls, folder: Path) -> "GramSet":
        """Raises: DataError where the folder holds no set, or another than was saved."""
        try:
            header = cast("dict[str, Any]", read_json(folder / INDEX))
            hashes, owners, bits = (_mapped(folder, name) for name in _TYPES)
            read = cls(
                n=int(header["n"]),
                names=tuple(header["names"]),
                coverage={name: Coverage(*counts) for name, counts in header["coverage"].items()},
                combinations=tuple(map(tuple, header["combinations"])),
                hashes=hashes,
                owners=owners,
                filter=BitFilter(bits),
            )
            if header["fingerprint"] == read.fingerprint:
                return read
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RecursionError) as error:
            raise DataError(f"{folder} holds no set of test grams ({error}): build it again") from None
        raise DataError(f"{folder} holds other test grams than were saved there: build it again")

    def _header(self) -> dict[str, Any]:
        """What is no array, in the types of JSON."""
        return {
            "n": self.n,
            "names": list(self.names),
            "coverage": {name: list(counts) for name, counts in self.coverage.items()},
            "combinations": [list(combination) for combination in self.combinations],
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {"hashes": self.hashes, "owners": self.owners, "bits": self.filter.bits}


def _batches(texts: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, bytes]]]:
    """Labelled texts as bare words, some megabytes at a time."""
    batch: list[tuple[str, bytes]] = []
    size_bytes = 0
    for name, text in texts:
        batch.append((name, bare(text)))
        size_bytes += len(batch[-1][1])
        if size_bytes >= _BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def _no_grams() -> Named:
    return np.zeros(0, np.uint64), np.zeros(0, np.uint32)


def _grams_of(batch: Sequence[tuple[str, bytes]], n: int, coverage: dict[str, Coverage]) -> Named:
    """The distinct grams of texts with the numbers of their names; the texts are counted in `coverage`."""
    words = words_of(b"\n".join(data for _, data in batch))
    ends = np.cumsum([len(data) + 1 for _, data in batch]) - 1
    owner = np.searchsorted(ends, words.starts)
    for (name, _), n_words in zip(batch, np.bincount(owner, minlength=len(batch)).tolist(), strict=True):
        texts, short = coverage.get(name, Coverage(0, 0))
        coverage[name] = Coverage(texts + 1, short + (n_words < n))
    place = {name: number for number, name in enumerate(coverage)}
    names = np.array([place[name] for name, _ in batch], np.uint32)
    hashes = gram_hashes(words.hashes, n)
    whole = np.flatnonzero(owner[: len(hashes)] == owner[n - 1 :])
    return _distinct(hashes[whole], names[owner[whole]])


def _distinct(hashes: U64, names: Names) -> Named:
    """Each pair of a hash and a name once, in order."""
    order = np.lexsort((names, hashes))
    hashes, names = hashes[order], names[order]
    new = _is_new(hashes) | _is_new(names)
    return hashes[new], names[new]


def _is_new(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each value differs from the one before."""
    new = np.ones(len(values), np.bool_)
    new[1:] = values[1:] != values[:-1]
    return new


def _combined(names: Names, firsts: Places, n_names: int) -> tuple[Names, tuple[tuple[int, ...], ...]]:
    """A number for each gram's names, which are those from `firsts[g]` to `firsts[g + 1]`, and what it stands for.

    >>> owners, combinations = _combined(np.array([0, 1, 0, 1], np.uint32), np.array([0, 1, 2, 4]), 2)
    >>> [combinations[owner] for owner in owners]
    [(0,), (1,), (0, 1)]
    """
    counts = np.diff(firsts)
    owners = names[firsts[:-1]].astype(np.uint32)
    combinations = [(name,) for name in range(n_names)]
    for depth in range(1, int(counts.max(initial=0))):
        longer = np.flatnonzero(counts > depth)
        joined = owners[longer].astype(np.int64) * n_names + names[firsts[longer] + depth]
        distinct, which = np.unique(joined, return_inverse=True)
        owners[longer] = (len(combinations) + which).astype(np.uint32)
        combinations += [(*combinations[pair // n_names], pair % n_names) for pair in distinct.tolist()]
    return owners, tuple(combinations)


def _mapped(folder: Path, name: str) -> NDArray[Any]:
    """Raises: ValueError where the file holds something else than such an array."""
    array: NDArray[Any] = np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))
    if array.ndim != 1 or array.dtype != _TYPES[name]:
        raise ValueError(f"{name}.npy is an array of {array.dtype} in {array.ndim} dimensions")
    return array if array.size else np.zeros(0, array.dtype)
