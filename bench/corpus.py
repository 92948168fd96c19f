"""`python -m bench.corpus`: how a build's time and memory grow with its input, and what each step does a second.

The tables go to stdout, progress to stderr. The input comes from `python -m bench.corpus_data`.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import psutil
import pyarrow.parquet as pq
from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.record import Log, facts, write_record
from bench.report import table
from gptrilogy.corpus.sotu import find_speeches
from gptrilogy.files import sha256_file, sha256_json

HEADING = ("input", "HTML", "pages", "kept", "minutes", "MB/s of HTML", "peak, all", "peak, a worker", "OUT")
STEP_HEADING = ("step", "of", "CPU seconds", "MB/s a core")
PLANTED_HEADING = ("planted", "pairs", "found")
BASIS = {"read": "HTML", "score": "text", "grams": "text", "write": "text"}

METHOD = """\
`gpt corpus build` on Daft's embedded engine with {workers} processes: real pages of Debian's documentation packages as
web archives, with exact and changed copies planted. Pages are read and extracted; scored by a classifier trained in the
same build on a draw of at most {max_documents:,} documents a class and a tenth of the pages (good ones: {good}), every
score kept so that the later steps have all pages; compared by URL, text and MinHash; searched for the tests {against};
written. The second table is the largest build's, by the CPU time of its tasks; text is what extraction gave. The third
says of the planted copies whose both pages were extracted how often at most one of the two was kept. Memory is looked
at five times a second: the proportional set size of all processes together, and the largest resident set of a worker by
its own count. The build of {ray} was made again on a Ray cluster of this machine: every file but the log of times was
the same to the byte."""

app = App(name="bench.corpus", help_format="plaintext", version_flags=[])


@dataclass(frozen=True, slots=True)
class Result:
    """One build."""

    size: str
    input_bytes: int
    html_bytes: int
    text_bytes: int
    pages: int
    kept: int
    seconds: float
    peak_bytes: int
    worker_bytes: int
    disk_bytes: int
    steps: dict[str, float]  # CPU seconds
    planted: dict[str, tuple[int, int]]  # pairs of each kind, and of how many at most one was kept

    def line(self) -> tuple[str, ...]:
        return (
            f"{self.size}, {self.input_bytes / 1e6:.0f} MB",
            f"{self.html_bytes / 1e6:.0f} MB",
            f"{self.pages:,}",
            f"{self.kept:,}",
            f"{self.seconds / 60:.1f}",
            f"{self.html_bytes / 1e6 / self.seconds:.1f}",
            f"{self.peak_bytes / 1e6:.0f} MB",
            f"{self.worker_bytes / 1e6:.0f} MB",
            f"{self.disk_bytes / 1e6:.0f} MB",
        )


@app.default
def corpus(
    data: Path,
    *,
    sizes: tuple[str, ...] = ("1x", "4x", "16x"),
    good: Path | None = None,
    against: str = "lambada,hellaswag",
    max_documents: Annotated[int, Parameter(validator=Number(gte=10))] = 2_000,
    workers: Annotated[int, Parameter(validator=Number(gte=1))] = os.cpu_count() or 1,
    folder: Path | None = None,
    record: Path | None = None,
) -> None:
    """Build a corpus of ever more archives, each in a process of its own, and the first of them on Ray as well.

    Args:
        data: the folder that bench.corpus_data made.
        sizes: which of its sizes, smallest first.
        good: text that the classifier learns from; by default 249 presidential messages.
        against: tests kept out, whose files the folder that GPTRILOGY_DATA names holds.
        max_documents: that the classifier draws of a class; the smallest size has more, so that all train alike.
        workers: processes of a build.
        folder: where there is room for the builds, which are removed afterwards.
        record: write README.md, results.json and log.txt into this folder.
    """
    log = Log()
    log.say_load()
    known = json.loads((data / "manifest.json").read_text(encoding="utf-8"))["sizes"]
    settings = ["--recipe", "gpt3", "--against", against, "--classifier.max-documents", str(max_documents)]
    settings += ["--selection.rule", "threshold", "--selection.threshold", "0", "--keep-dropped"]
    settings += ["--workers", str(workers)]
    results: list[Result] = []
    digests: dict[str, str] = {}
    for size, engine in [*((size, "local") for size in sizes), (sizes[0], "ray")]:
        archives = [data / line for line in (data / f"{size}.txt").read_text(encoding="utf-8").split()]
        sources = [*map(str, archives), f"books1={good or find_speeches()}"]
        with TemporaryDirectory(dir=folder) as name:
            out = Path(name) / "corpus"
            seconds, peak = _watch(["corpus", "build", *sources, *settings, "--out", str(out), "--engine", engine], log)
            log.say(f"{size} on {engine}: SHA-256 of all files {(digest := digest_of(out))}")
            if digests.setdefault(size, digest) != digest:
                raise RuntimeError(f"{size} on {engine} gave {digest}, before {digests[size]}")
            if engine == "local":
                planted = planted_pairs(data, size)
                results.append(_result(out, size, archives, known[size]["html_bytes"], seconds, peak, planted))
                log.say(" ".join(results[-1].line()))
    source = str(good or "249 presidential messages")
    method = METHOD.format(ray=sizes[0], workers=workers, good=source, against=against, max_documents=max_documents)
    text = page(results, method)
    print(text)
    if record:
        command = "python -m bench.corpus DATA"
        numbers = {"results": [asdict(result) for result in results]}
        title = f"A corpus built of {', '.join(sizes)} the input"
        write_record(record, title, text, facts(f"{command} --record DIR", 1), numbers, log.lines)


def digest_of(out: Path) -> str:
    """One hash of all files of a corpus but the log of times and the lock."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name not in {"build.jsonl", ".lock"}]
    return sha256_json([[str(path.relative_to(out)), sha256_file(path)] for path in files])


def planted_pairs(data: Path, size: str) -> dict[str, list[tuple[str, str]]]:
    """Pairs of URLs of which one is a copy of the other, by kind."""
    order = ["1x", "4x", "16x"]
    within = set(order[: order.index(size) + 1])
    pairs: dict[str, list[tuple[str, str]]] = {"copy": [], "changed": []}
    for line in (data / "truth.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["kind"] in pairs and row.get("size") in within:
            pairs[row["kind"]].append((row["url"], row["of"]))
    return pairs


def _watch(command: Sequence[str], log: Log) -> tuple[float, int]:
    """Run `gpt` with a command; its seconds, and the peak memory of it and all that it started."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "gptrilogy", *command], stdout=subprocess.DEVNULL, text=True)
    peak, ended = [0], threading.Event()

    def look() -> None:
        while not ended.wait(0.2):
            peak[0] = max(peak[0], _tree_bytes(process.pid))

    watcher = threading.Thread(target=look)
    watcher.start()
    code = process.wait()
    ended.set()
    watcher.join()
    if code:
        raise RuntimeError(f"gpt {' '.join(command[:2])} ended with code {code}")
    log.say(f"built in {time.perf_counter() - start:.1f} s, peak {peak[0] / 1e6:.0f} MB")
    return time.perf_counter() - start, peak[0]


def _tree_bytes(pid: int) -> int:
    """The proportional set size of a process and its descendants."""
    total = 0
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def _result(
    out: Path,
    size: str,
    archives: Sequence[Path],
    html_bytes: int,
    seconds: float,
    peak: int,
    planted: Mapping[str, Sequence[tuple[str, str]]],
) -> Result:
    ledger = json.loads((out / "ledger.json").read_text(encoding="utf-8"))
    tasks = [json.loads(line) for line in (out / "build.jsonl").read_text(encoding="utf-8").splitlines()]
    steps: defaultdict[str, float] = defaultdict(float)
    for task in tasks:
        steps[task["step"]] += task["cpu_seconds"]
    kept, text_bytes = fates_of_texts(out)
    extracted = {row["step"]: row for row in ledger if row["set"] == "common_crawl"}
    return Result(
        size=size,
        input_bytes=sum(path.stat().st_size for path in archives),
        html_bytes=html_bytes,
        text_bytes=text_bytes,
        pages=extracted["extract"]["kept"],
        kept=extracted["decontaminate"]["kept"],
        seconds=seconds,
        peak_bytes=peak,
        worker_bytes=max(task["peak_bytes"] for task in tasks),
        disk_bytes=sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
        steps=dict(steps),
        planted={kind: found_pairs(kept, pairs) for kind, pairs in planted.items()},
    )


def fates_of_texts(out: Path) -> tuple[dict[str, bool], int]:
    """Every URL of which text was extracted and whether it was kept, and the bytes of all texts."""
    kept: dict[str, bool] = {}
    size = 0
    for path in [*sorted(out.glob("dropped/*/*.parquet")), *sorted(out.glob("documents/*/*.parquet"))]:
        for row in pq.read_table(path, columns=["url", "text"]).to_pylist():
            if row["text"]:
                kept[row["url"]] = kept.get(row["url"], False) or path.parts[-3] == "documents"
                size += len(row["text"].encode())
    return kept, size


def found_pairs(kept: Mapping[str, bool], pairs: Sequence[tuple[str, str]]) -> tuple[int, int]:
    """Pairs of which both have a text, and of how many of them at most one was kept.

    >>> found_pairs({"a": True, "b": False, "c": True}, [("a", "b"), ("a", "c"), ("a", "nowhere")])
    (2, 1)
    """
    judged = [(kept[one], kept[other]) for one, other in pairs if one in kept and other in kept]
    return len(judged), sum(not (one and other) for one, other in judged)


def page(results: Sequence[Result], method: str) -> str:
    largest = results[-1]
    lines: list[tuple[str, ...]] = []
    for step, seconds in largest.steps.items():
        basis = BASIS.get(step, "")
        size = largest.html_bytes if basis == "HTML" else largest.text_bytes
        lines.append((step, basis, f"{seconds:.1f}", f"{size / 1e6 / seconds:.1f}" if basis and seconds else ""))
    planted = [
        (kind, f"{pairs:,}", f"{found:,} ({found / max(1, pairs):.2%})")
        for kind, (pairs, found) in largest.planted.items()
    ]
    tables = [
        table(HEADING, [result.line() for result in results]),
        table(STEP_HEADING, lines),
        table(PLANTED_HEADING, planted),
    ]
    return "\n\n".join([*tables, method])


if __name__ == "__main__":
    app()
