"""`python -m bench.contamination`: how fast a corpus is searched for test examples, and in how much memory.

The table goes to stdout, progress to stderr.
"""

import json
import os
import random
import re
import shutil
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import psutil
from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.record import Log, facts, write_record
from bench.report import table
from gptrilogy.corpus.sotu import find_speeches
from gptrilogy.corpus.sources import read_documents
from gptrilogy.errors import RunError
from gptrilogy.evaluation.contamination.collisions import search
from gptrilogy.evaluation.contamination.gram_index import GramIndex, build_index
from gptrilogy.evaluation.contamination.report import LONGEST, SHORTEST

PASSAGE_WORDS = 200
DOCUMENT_SENTENCES = 25
FILE_BYTES = 1 << 26
PLANTED_SHARE = 0.01
HEADING = ("processes", "seconds", "MB/s", "MB/s of CPU time", "peak memory")

METHOD = """\
The corpus: {size:.3g} GB of JSONL in {files} files, documents of {sentences} sentences drawn from 249 presidential
messages. The tests: {passages:,} passages of {words} words drawn from the same text, {grams:,} n-grams in all, n from
{shortest} to {longest}; {planted:,} of them are planted, each in one document. Every run found all of those and the
same {by_chance:,} others, which share n common words with a message by chance. Seconds are wall-clock, reading and
decoding JSON included, building the index ({index_s:.1f} s) left out; the file cache is as writing the corpus left it.
Memory is the proportional set size of all processes together, looked at twice a second; it holds the tests themselves.
n = {n} runs, each figure the best."""

app = App(name="bench.contamination", help_format="plaintext", version_flags=[])


@dataclass(frozen=True, slots=True)
class Result:
    """One way to search. The peak is of all its processes together, pages they share counted once."""

    processes: int
    n_found: int
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    size_bytes: int
    peak_bytes: int

    def line(self) -> tuple[str, ...]:
        speeds = (self.size_bytes / 1e6 / max(min(times), 0.01) for times in (self.seconds, self.cpu_seconds))
        return (
            str(self.processes),
            f"{min(self.seconds):.1f}",
            *(f"{speed:.1f}" for speed in speeds),
            f"{self.peak_bytes / 1e9:.2f} GB",
        )


@app.default
def contamination(
    *,
    size_mb: Annotated[int, Parameter(validator=Number(gte=1))] = 300,
    passages: Annotated[int, Parameter(validator=Number(gte=100))] = 100_000,
    repeats: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    folder: Path | None = None,
    record: Path | None = None,
) -> None:
    """Measure how fast a corpus made here is searched, by one process and by one a core.

    Args:
        size_mb: of the corpus, which is written to disk and removed afterwards; 10000 is what the promise is about.
        passages: of test text; 100,000 have about as many words as all of GPT-3's tests.
        repeats: runs of each way.
        folder: where there is room for the corpus; by default where temporary files lie.
        record: write README.md, results.json and log.txt into this folder.
    """
    log = Log()
    log.say_load()
    sentences = read_sentences()
    tests = make_passages(sentences, passages)
    lengths = [SHORTEST + number % (LONGEST - SHORTEST + 1) for number in range(passages)]
    start = time.perf_counter()
    index = build_index(tests, lengths)
    index_s = time.perf_counter() - start
    planted = range(0, passages, round(1 / PLANTED_SHARE))
    with TemporaryDirectory(dir=folder) as name:
        files = write_corpus(Path(name), size_mb * 10**6, sentences, [tests[number] for number in planted])
        log.say(f"{files} files of {size_mb / 1000:.3g} GB written")
        ways = sorted({1, os.cpu_count() or 1})
        results = [measure(index, Path(name), processes, repeats, set(planted), log) for processes in ways]
    if len(n_found := {result.n_found for result in results}) > 1:
        raise RuntimeError(f"{ways} processes found {sorted(n_found)} passages, which should not differ")
    method = METHOD.format(
        size=size_mb / 1000, files=files, sentences=DOCUMENT_SENTENCES, passages=passages, words=PASSAGE_WORDS,
        grams=sum(len(one.hashes) for one in index.tables), shortest=SHORTEST, longest=LONGEST, planted=len(planted),
        by_chance=results[0].n_found - len(planted), index_s=index_s, n=repeats,
    )  # fmt: skip
    text = f"{table(HEADING, [result.line() for result in results])}\n\n{method}"
    print(text)
    if record:
        command = f"python -m bench.contamination --size-mb {size_mb} --passages {passages} --repeats {repeats}"
        numbers = {"index_s": index_s, "results": [asdict(result) for result in results]}
        title = f"{size_mb / 1000:.3g} GB searched for test examples"
        write_record(record, title, text, facts(f"{command} --record DIR", repeats), numbers, log.lines)


def read_sentences() -> list[str]:
    """The sentences of 249 presidential messages."""
    text = " ".join(document.text for document in read_documents([find_speeches()]))
    return re.findall(r"[^.!?]+[.!?]+", text)


def make_passages(sentences: Sequence[str], count: int, *, seed: int = 0) -> list[str]:
    """Words of the sentences in an order in which nobody wrote them."""
    rng = random.Random(seed)
    words = " ".join(sentences).split()
    return [" ".join(rng.choices(words, k=PASSAGE_WORDS)) for _ in range(count)]


def write_corpus(folder: Path, size_bytes: int, sentences: Sequence[str], planted: Sequence[str]) -> int:
    """Documents of drawn sentences as JSONL files, the planted passages spread over them; how many files it took.

    Raises: RunError where the disk has no room.
    """
    if (free_bytes := shutil.disk_usage(folder).free) < 1.1 * size_bytes:
        raise RunError(f"{folder} has {free_bytes / 1e9:.3g} GB free, the corpus takes {size_bytes / 1e9:.3g} GB")
    lines = _lines(size_bytes, sentences, planted)
    files = 0
    while True:
        written_bytes = 0
        with (folder / f"part-{files:05d}.jsonl").open("w", encoding="utf-8") as file:
            for line in lines:
                written_bytes += file.write(line)
                if written_bytes >= FILE_BYTES:
                    break
            else:
                return files + 1
        files += 1


def measure(index: GramIndex, folder: Path, processes: int, repeats: int, planted: set[int], log: Log) -> Result:
    """Raises: RuntimeError where a planted passage is not found, or one run finds other passages than another."""
    seconds: list[float] = []
    cpu_seconds: list[float] = []
    found: set[int] = set()
    with watching_memory() as peaks:
        for number in range(repeats):
            start, cpu = time.perf_counter(), sum(os.times()[:4])
            before, found = found, set(search(index, read_documents([folder]), processes=processes).found)
            seconds.append(time.perf_counter() - start)
            cpu_seconds.append(sum(os.times()[:4]) - cpu)
            log.say(f"{processes} processes, run {number + 1}: {seconds[-1]:.1f} s, {cpu_seconds[-1]:.1f} of CPU")
            if missing := (planted | before) - found:
                raise RuntimeError(
                    f"{len(missing)} passages are in the corpus and were not found: {sorted(missing)[:9]}"
                )
    size_bytes = sum(path.stat().st_size for path in folder.iterdir())
    return Result(processes, len(found), tuple(seconds), tuple(cpu_seconds), size_bytes, peaks[-1])


@contextmanager
def watching_memory() -> Generator[list[int]]:
    """A list whose last number is the most memory that this process and those it started had together, in bytes."""
    peaks, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            peaks.append(max(peaks[-1], memory_bytes()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        peaks.append(max(peaks[-1], memory_bytes()))
        done.set()
        watcher.join()


def memory_bytes() -> int:
    """The proportional set size of this process and of those it started."""
    this, total_bytes = psutil.Process(), 0
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.Error):  # it has just ended
            total_bytes += process.memory_full_info().pss
    return total_bytes


def _lines(size_bytes: int, sentences: Sequence[str], planted: Sequence[str]) -> Iterator[str]:
    rng = random.Random(1)
    written_bytes, next_passage = 0, 0
    while written_bytes < size_bytes or next_passage < len(planted):
        text = "".join(rng.choices(sentences, k=DOCUMENT_SENTENCES))
        if next_passage < len(planted) and written_bytes >= size_bytes * next_passage // len(planted):
            text += f" {planted[next_passage]}"
            next_passage += 1
        line = json.dumps({"text": text}, ensure_ascii=False) + "\n"
        written_bytes += len(line)
        yield line


if __name__ == "__main__":
    app()
