"""`python -m bench.decontamination`: how fast tests are cut out of training text, and in how much memory.

The table goes to stdout, progress to stderr.
"""

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice, tee
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, TypeVar

import numpy as np
from cyclopts import App, Parameter
from cyclopts.validators import Number
from numpy.typing import NDArray

from bench.contamination import (
    DOCUMENT_SENTENCES,
    PASSAGE_WORDS,
    PLANTED_SHARE,
    make_passages,
    memory_bytes,
    read_sentences,
    watching_memory,
    write_corpus,
)
from bench.record import Log, facts, write_record
from bench.report import table
from gptrilogy.corpus.decontamination import (
    Cleaned,
    DecontaminationConfig,
    found_in_each,
    split_each,
    split_reference,
)
from gptrilogy.corpus.documents import Reason
from gptrilogy.corpus.gram_set import GramSet
from gptrilogy.corpus.sources import read_documents

T = TypeVar("T")

BOOK_PASSAGES = 3
TWIN_DOCUMENTS = 100
CONFIG = DecontaminationConfig()
HEADING = ("what", "seconds", "MB/s", "MB/s of CPU time", "memory more")

METHOD = """\
The corpus: {size:.3g} GB of JSONL in {files} files, documents of {sentences} sentences drawn from 249 presidential
messages. The book: {book_mb} MB of the same in one text. The tests: {passages:,} passages of {words} words drawn from
the same text, {grams:,} 13-grams, mapped from files of {set_mb:.0f} MB; {planted:,} passages are planted in the
corpus, {book_planted} in the book. Checked after every run: each planted passage is found, the texts that hold one
are cut, and what is kept of these shares no gram with the tests. One process; reading and decoding JSON is included,
building the set ({build_s:.1f} s) and loading it ({load_s:.2f} s, hashed) are not. The twin is the definition in plain
Python, on {twin} documents, given one passage. Memory is the proportional set size, looked at twice a second, less
that at a step's beginning, when book and tests are in memory. n = {n} runs: the best time, the most memory."""

app = App(name="bench.decontamination", help_format="plaintext", version_flags=[])


@dataclass(frozen=True, slots=True)
class Result:
    """One step's times, over so much text, and the memory it took beyond what the process had."""

    what: str
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    size_bytes: int
    more_bytes: int

    def line(self) -> tuple[str, ...]:
        speeds = (self.size_bytes / 1e6 / max(min(times), 1e-3) for times in (self.seconds, self.cpu_seconds))
        more = f"{self.more_bytes / 1e6:.0f} MB"
        return self.what, f"{min(self.seconds):.1f}", *(f"{speed:.1f}" for speed in speeds), more


@app.default
def decontamination(
    *,
    size_mb: Annotated[int, Parameter(validator=Number(gte=1))] = 300,
    book_mb: Annotated[int, Parameter(validator=Number(gte=1))] = 100,
    passages: Annotated[int, Parameter(validator=Number(gte=100))] = 100_000,
    repeats: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    folder: Path | None = None,
    record: Path | None = None,
) -> None:
    """Measure how fast tests are counted in a corpus made here and cut out of it, and out of one long book.

    Args:
        size_mb: of the corpus, which is written to disk and removed afterwards.
        book_mb: of one text, which is held in memory.
        passages: of test text; 100,000 have about as many words as all of GPT-3's tests.
        repeats: runs of each step.
        folder: where there is room for the corpus; by default where temporary files lie.
        record: write README.md, results.json and log.txt into this folder.
    """
    log = Log()
    log.say_load()
    sentences = read_sentences()
    tests = make_passages(sentences, passages)
    planted = tests[:: round(1 / PLANTED_SHARE)]
    with TemporaryDirectory(dir=folder) as name:
        build_s, load_s, grams = make_set(tests, Path(name, "grams"))
        corpus = Path(name, "corpus")
        corpus.mkdir()
        files = write_corpus(corpus, size_mb * 10**6, sentences, planted)
        log.say(f"{files} files of {size_mb / 1000:.3g} GB written, {len(grams)} grams saved")
        book = make_book(sentences, book_mb * 10**6, planted[:BOOK_PASSAGES])
        results = measure_all(grams, corpus, book, planted, repeats, log)
        set_mb = sum(path.stat().st_size for path in Path(name, "grams").iterdir()) / 1e6
    method = METHOD.format(
        size=size_mb / 1000, files=files, sentences=DOCUMENT_SENTENCES, book_mb=book_mb, passages=passages,
        words=PASSAGE_WORDS, grams=len(grams), set_mb=set_mb, planted=len(planted), book_planted=BOOK_PASSAGES,
        build_s=build_s, load_s=load_s, twin=TWIN_DOCUMENTS, n=repeats,
    )  # fmt: skip
    text = f"{table(HEADING, [result.line() for result in results])}\n\n{method}"
    print(text)
    if record:
        options = f"--size-mb {size_mb} --book-mb {book_mb} --passages {passages} --repeats {repeats}"
        known = facts(f"python -m bench.decontamination {options} --record DIR", repeats)
        numbers = {"build_s": build_s, "load_s": load_s, "results": [asdict(result) for result in results]}
        write_record(record, f"Tests cut out of {size_mb / 1000:.3g} GB", text, known, numbers, log.lines)


def make_set(tests: Sequence[str], folder: Path) -> tuple[float, float, GramSet]:
    """A set of passages, saved and mapped again, and how long building and loading it took."""
    start = time.perf_counter()
    GramSet.build((("passages", test) for test in tests), CONFIG.n).save(folder)
    built = time.perf_counter()
    grams = GramSet.load(folder)
    return built - start, time.perf_counter() - built, grams


def make_book(sentences: Sequence[str], size_chars: int, planted: Sequence[str]) -> str:
    """One text with passages at even distances, the first at its beginning and the last at its end."""
    rng = random.Random(2)
    mean_chars = sum(map(len, sentences)) / len(sentences)
    count = int(size_chars / mean_chars / (len(planted) - 1))
    parts = ["".join(rng.choices(sentences, k=count)) for _ in planted[1:]]
    return planted[0] + "".join(f" {part} {passage}" for part, passage in zip(parts, planted[1:], strict=True))


def measure_all(
    grams: GramSet, corpus: Path, book: str, planted: Sequence[str], repeats: int, log: Log
) -> list[Result]:
    """Raises: RuntimeError where a planted passage is missed, or what is kept still shares a gram with the tests."""
    size_bytes = sum(path.stat().st_size for path in corpus.iterdir())
    sample = list(islice(texts_of(corpus), TWIN_DOCUMENTS))
    counted, cutting = partial(check_counts, grams, planted), partial(cut, grams, partial(texts_of, corpus))
    checked, book_checked = partial(check_cuts, grams, len(planted)), partial(check_cuts, grams, 1)
    timed = partial(measure, repeats=repeats, log=log)
    return [
        timed("reading alone", lambda: sum(map(len, texts_of(corpus))), lambda _: None, size_bytes),
        timed("counting in the corpus", partial(count, grams, corpus), counted, size_bytes),
        timed("cutting the corpus", cutting, checked, size_bytes),
        timed("cutting the book", partial(cut, grams, lambda: [book]), book_checked, len(book)),
        timed("the twin", partial(cut_by_twin, sample, planted[0]), lambda _: None, sum(map(len, sample))),
    ]


def measure(
    what: str, step: Callable[[], T], check: Callable[[T], None], size_bytes: int, *, repeats: int, log: Log
) -> Result:
    """Times of a step and what memory it took more, its outcome checked afterwards."""
    seconds: list[float] = []
    cpu_seconds: list[float] = []
    more_bytes = 0
    for number in range(repeats):
        before_bytes = memory_bytes()
        with watching_memory() as peaks:
            start, cpu = time.perf_counter(), sum(os.times()[:2])
            outcome = step()
            seconds.append(time.perf_counter() - start)
            cpu_seconds.append(sum(os.times()[:2]) - cpu)
        more_bytes = max(more_bytes, peaks[-1] - before_bytes)
        log.say(f"{what}, run {number + 1}: {seconds[-1]:.1f} s, {cpu_seconds[-1]:.1f} of CPU")
        check(outcome)
    return Result(what, tuple(seconds), tuple(cpu_seconds), size_bytes, more_bytes)


def texts_of(corpus: Path) -> Iterator[str]:
    return (document.text for document in read_documents([corpus]))


def count(grams: GramSet, corpus: Path) -> NDArray[np.int64]:
    """How many documents have each gram."""
    counts = np.zeros(len(grams), np.int64)
    for numbers in found_in_each(texts_of(corpus), grams):
        counts[numbers] += 1
    return counts


def cut(grams: GramSet, texts: Callable[[], Iterable[str]]) -> list[tuple[str, Cleaned | Reason]]:
    """The texts that were cut or dropped, and what became of each."""
    read, cleaned = tee(texts())  # one runs a block ahead of the other
    results = zip(read, split_each(cleaned, grams, np.zeros(len(grams), np.bool_), CONFIG), strict=True)
    return [(text, result) for text, result in results if isinstance(result, Reason) or result.grams]


def cut_by_twin(texts: Sequence[str], test: str) -> list[list[str] | None]:
    return [split_reference(text, [test], CONFIG) for text in texts]


def check_counts(grams: GramSet, planted: Sequence[str], counts: NDArray[np.int64]) -> None:
    if missed := sum(bool((counts[numbers] == 0).any()) for numbers in found_in_each(planted, grams)):
        raise RuntimeError(f"{missed} of {len(planted)} passages are in the corpus and were not found")


def check_cuts(grams: GramSet, expected: int, results: Sequence[tuple[str, Cleaned | Reason]]) -> None:
    if len(results) < expected:
        raise RuntimeError(f"{len(results)} texts were cut, of {expected} that hold a passage")
    kept = (text[start:end] for text, result in results if isinstance(result, Cleaned) for start, end in result.pieces)
    if left := sum(len(numbers) > 0 for numbers in found_in_each(kept, grams)):
        raise RuntimeError(f"{left} pieces still share a gram with the tests")


if __name__ == "__main__":
    app()
