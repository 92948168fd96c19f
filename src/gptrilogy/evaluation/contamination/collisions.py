"""Which test examples share n words in a row with a document of a corpus, and where. Needs no torch."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeAlias

import numpy as np

from gptrilogy.corpus.documents import Document
from gptrilogy.corpus.ngrams import Places, words_reference
from gptrilogy.errors import RunError
from gptrilogy.evaluation.contamination.gram_index import GramIndex, Table
from gptrilogy.evaluation.contamination.text_pieces import Batch, Piece, batches, join

_ALONE_BATCHES = 32  # a corpus no larger is searched before a process could start
_GROUP = 4  # batches that a process is sent at once
_AHEAD = 3  # groups that each process has before it, so that none waits

OnProgress: TypeAlias = Callable[[int, int], None]


class Overlap(NamedTuple):
    """A passage of the corpus that an example has too, as it stands there.

    `number`: of the document, from 0. `start`: the characters before the passage in its document.
    """

    number: int
    start: int
    document: str
    passage: str


Found: TypeAlias = dict[int, Overlap]  # by the number of the example


@dataclass(frozen=True, slots=True)
class Search:
    """The examples of which n words stand in the corpus, each with the first such place, and how much was read."""

    found: Found
    documents: int
    chars: int


class Scanner:
    """Looks batches of a corpus up in an index, and compares the words themselves before it says that any are shared.

    An example is reported once: at the first place where any gram of it occurs.
    """

    def __init__(self, index: GramIndex) -> None:
        self.index = index
        self._dirty = np.zeros(index.n_examples, np.bool_)
        self._closed = {table.n: np.zeros(len(table.hashes), np.bool_) for table in index.tables}

    def scan(self, pieces: Iterable[Piece]) -> Found:
        """The examples first found in these pieces."""
        batch, found = join(pieces), Found()
        for table, places, grams in self.index.lookup(batch.words.hashes):
            is_open = ~self._closed[table.n][grams]
            if is_open.any():
                self._compare(batch, table, places[is_open], grams[is_open], found)
        return found

    def _compare(self, batch: Batch, table: Table, places: Places, grams: Places, found: Found) -> None:
        together = batch.within(places, table.n)
        places, grams = places[together], grams[together]
        grams, first = np.unique(grams, return_index=True)
        rows, owner = table.rows(grams)
        clean = ~self._dirty[table.examples[rows]]
        rows, at = rows[clean], places[first][owner[clean]]
        order = np.argsort(at, kind="stable")
        rows, at = rows[order], at[order]
        agree = True
        for one in np.sort(np.unique(table.examples[rows], return_index=True)[1]).tolist():
            row, word = int(rows[one]), int(at[one])
            if self.index.words_at(table, row) == _words(batch, word, table.n):
                example = int(table.examples[row])
                self._dirty[example] = True
                piece, start, end = batch.span(word, table.n)
                found[example] = Overlap(piece.number, piece.offset + start, piece.document, piece.text[start:end])
            else:  # two grams with one number, of which another place or example may still be right
                agree = False
        if agree:
            self._closed[table.n][grams] = True


def search(
    index: GramIndex, documents: Iterable[Document], *, processes: int = 1, on_progress: OnProgress | None = None
) -> Search:
    """Read a corpus once, in memory that does not grow with it. The result is the same for any number of processes.

    `on_progress(documents, chars)` is called now and then with what has been searched so far.

    Raises: RunError where a process is killed; what `documents` raises.
    """
    groups = _grouped(batches(documents, index.longest))
    first = list(islice(groups, _ALONE_BATCHES // _GROUP))
    if processes < 2 or len(first) < _ALONE_BATCHES // _GROUP:
        scanner = Scanner(index)
        results = ((group, _scan_group(scanner, group)) for group in chain(first, groups))
        return _gathered(results, on_progress)
    with TemporaryDirectory() as folder:
        index.save(Path(folder))
        return _gathered(_in_processes(folder, chain(first, groups), processes), on_progress)


def search_reference(texts: Iterable[str], lengths: Iterable[int], documents: Iterable[Document]) -> set[int]:
    """The examples that `search` finds, by sets of words."""
    read = [words_reference(document.text) for document in documents]
    found: set[int] = set()
    for number, (text, n) in enumerate(zip(texts, lengths, strict=True)):
        if any(_grams(words_reference(text), n) & _grams(words, n) for words in read):
            found.add(number)
    return found


_Group: TypeAlias = list[list[Piece]]


def _words(batch: Batch, word: int, n: int) -> list[bytes]:
    return batch.data[batch.words.starts[word] : batch.words.ends[word + n - 1]].split()


def _grams(words: list[str], n: int) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + n]) for start in range(len(words) - n + 1)}


def _grouped(source: Iterator[list[Piece]]) -> Iterator[_Group]:
    while group := list(islice(source, _GROUP)):
        yield group


def _scan_group(scanner: Scanner, group: _Group) -> Found:
    found = Found()
    for pieces in group:
        found |= scanner.scan(pieces)
    return found


def _gathered(results: Iterable[tuple[_Group, Found]], on_progress: OnProgress | None) -> Search:
    found, documents, chars = Found(), 0, 0
    for group, news in results:
        for example, overlap in news.items():
            found[example] = min(found.get(example, overlap), overlap)
        documents = group[-1][-1].number + 1
        chars += sum(len(piece.text) for pieces in group for piece in pieces)
        if on_progress:
            on_progress(documents, chars)
    return Search(found, documents, chars)


def _in_processes(folder: str, groups: Iterator[_Group], processes: int) -> Iterator[tuple[_Group, Found]]:
    """Results in the order of the groups, a few of which are under way at any time."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_ignore_interrupt)
    pending: deque[tuple[_Group, Future[Found]]] = deque()
    try:
        for group in groups:
            pending.append((group, pool.submit(_scan_there, folder, group)))
            if len(pending) >= _AHEAD * processes:
                done, future = pending.popleft()
                yield done, future.result()
        while pending:
            done, future = pending.popleft()
            yield done, future.result()
    except BrokenProcessPool:
        raise RunError(
            "a process that searched the corpus was killed, perhaps for want of memory; try fewer with --processes"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _scan_there(folder: str, group: _Group) -> Found:
    return _scan_group(_scanner(folder), group)


@cache
def _scanner(folder: str) -> Scanner:
    """The scanner of a process, which remembers what it has reported."""
    return Scanner(GramIndex.load(Path(folder)))


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends the others
