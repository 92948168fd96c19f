"""`python -m bench.corpus_speed --data FOLDER --peer PYTHON`: how fast web pages become text, and copies are found.

FOLDER is what `bench.corpus_data` wrote, PYTHON the interpreter of an environment that holds datatrove, as
`bench/corpus_peer.py` says. The table goes to stdout, progress to stderr.
"""

import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench import corpus_ours, corpus_peer
from bench.corpus_peer import KEPT, TEXTS
from bench.record import Log, facts, write_record
from bench.report import table
from gptrilogy.errors import DataError, RunError

SCRIPT = Path(__file__).with_name("corpus_peer.py")
ROOT = Path(__file__).parent.parent
MEASURES = [*corpus_peer.MEASURES, *corpus_ours.MEASURES]
SOURCE_OF_TEXTS = "resiliparse"  # all searches for copies read the texts that it wrote
HERE = ("fastwarc", "resiliparse")  # libraries measured in this environment; datatrove's in its own
PAIRS = ("copy", "changed", "edition")
HEADING = ("measure", "MB/s", "MB/s of CPU time", "pages or texts", "MB out", "peak memory")
COPIES_HEADING = ("measure", "texts dropped", *(f"{kind} pairs" for kind in PAIRS))

METHOD = """\
The input: {size} of a crawl made by bench.corpus_data, {html:.0f} MB of HTML in {pages:,} records. Every measurement is
a process of its own, all of them in turn, n = {n} times; speeds are of the median times. Reading and extraction are
rated by the HTML they read, uncompressed; a search for copies by the text it reads, which is resiliparse's for all,
{text:.1f} MB in {texts:,} documents. Writing what comes out is included, importing libraries is not; ours-minhash is a
whole build, which verifies each pair by its exact overlap. CPU time is of the process and its children. Memory is the
peak of the process plus that of the largest child, no less than the launching process had. Of pairs both of whose texts
went in, those count as found of which a text was dropped."""

app = App(name="bench.corpus_speed", help_format="plaintext", version_flags=[])


@app.default
def corpus_speed(
    *,
    data: Path,
    peer: Path,
    size: str = "1x",
    repeats: Annotated[int, Parameter(validator=Number(gte=1))] = 3,
    measures: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    record: Path | None = None,
) -> None:
    """Measure our steps beside datatrove's, and the libraries that ours stand on.

    Args:
        data: what bench.corpus_data wrote.
        peer: the Python of an environment with datatrove.
        size: 1x, 4x or 16x.
        repeats: runs of each measurement.
        measures: some of them only; resiliparse is always among them, for its texts.
        record: write README.md, results.json and log.txt into this folder.
    """
    source = data.resolve() / f"{size}.txt"
    if not source.exists():
        raise DataError(f"{source} is missing; make it: python -m bench.corpus_data --out {data}")
    if unknown := sorted(set(measures or ()) - set(MEASURES)):
        raise DataError(f"measures must be of {', '.join(MEASURES)}, got {unknown[0]}")
    log = Log()
    log.say_load()
    others = [name for name in MEASURES if name in (measures or MEASURES) and name != SOURCE_OF_TEXTS]
    with TemporaryDirectory(dir=data) as folder:
        runs, copies = measure_all((SOURCE_OF_TEXTS, *others), source, Path(folder), peer, repeats, log)
    pages = runs[SOURCE_OF_TEXTS][0]
    method = METHOD.format(
        size=size, html=pages["input_bytes"] / 1e6, pages=pages["records"], n=repeats,
        text=pages["output_bytes"] / 1e6, texts=pages["documents"],
    )  # fmt: skip
    tables = [table(HEADING, [line(name, found) for name, found in runs.items()])]
    if copies:
        tables.append(table(COPIES_HEADING, [copies_line(name, found) for name, found in copies.items()]))
    text = "\n\n".join([*tables, method])
    print(text)
    if record:
        command = f"python -m bench.corpus_speed --data DIR --peer PYTHON --size {size} --repeats {repeats}"
        known = facts(f"{command} --record DIR", repeats)
        write_record(record, "Text out of web pages, and copies among them", text, known,
                     {"runs": runs, "copies": copies}, log.lines)  # fmt: skip


def measure_all(
    names: Sequence[str], source: Path, folder: Path, peer: Path, repeats: int, log: Log
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, dict[str, Any]]]:
    """Every measurement's runs by name, and what the first run of each search for copies found."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    copies: dict[str, dict[str, Any]] = {}
    texts = folder / f"{SOURCE_OF_TEXTS}-1" / TEXTS / "00000.jsonl"
    for number in range(1, repeats + 1):
        for name in names:
            work = folder / f"{name}-{number}"
            searches = "minhash" in name
            runs[name].append(run(name, texts if searches else source, work, peer))
            log.say(f"{name}, run {number} of {repeats}: {json.dumps(runs[name][-1])}")
            if searches and number == 1:
                truth = read_pairs(source.with_name("truth.jsonl"))
                copies[name] = found_pairs(ids(texts), ids(work / KEPT / "00000.jsonl"), truth)
    return runs, copies


def run(name: str, source: Path, work: Path, peer: Path) -> dict[str, Any]:
    """One measurement in a new process, of ours or of the peer's Python.

    Raises: RunError where it fails, with the end of what it said.
    """
    python = sys.executable if name in HERE or name in corpus_ours.MEASURES else str(peer)
    script = ["-m", "bench.corpus_ours"] if name in corpus_ours.MEASURES else [str(SCRIPT)]
    command = [python, *script, name, "--input", str(source), "--work", str(work)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **threads}
        )
    except OSError as error:
        raise RunError(f"{python} cannot be started: {error}; --peer is a Python with datatrove") from None
    if done.returncode:
        raise RunError(f"{name} ended with code {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])


def read_pairs(path: Path) -> list[tuple[str, str, str]]:
    """What kind of pair, and the addresses of its two pages."""
    items = (json.loads(text) for text in path.read_text(encoding="utf-8").splitlines())
    return [(item["kind"], item["of"], item["url"]) for item in items if item["kind"] in PAIRS]


def ids(path: Path) -> set[str]:
    with path.open(encoding="utf-8") as file:
        return {json.loads(text)["id"] for text in file}


def found_pairs(texts: set[str], kept: set[str], pairs: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """How many pairs of each kind went in, and of how many a text was dropped.

    >>> found_pairs({"a", "b", "c"}, {"a", "c"}, [("copy", "a", "b"), ("copy", "a", "c"), ("copy", "c", "elsewhere")])
    {'texts': 3, 'dropped': 1, 'pairs': {'copy': 2}, 'found': {'copy': 1}}
    """
    inside = [(kind, {one, other}) for kind, one, other in pairs if {one, other} <= texts]
    found = Counter(kind for kind, pair in inside if not pair <= kept)
    return {
        "texts": len(texts),
        "dropped": len(texts - kept),
        "pairs": dict(Counter(kind for kind, _ in inside)),
        "found": dict(found),
    }


def line(name: str, runs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """A row of the table. The seconds of a run are those of all its steps."""
    first = runs[0]
    speeds = (
        first["input_bytes"] / 1e6 / statistics.median(sum(run[clock].values()) for run in runs)
        for clock in ("wall_s", "cpu_s")
    )
    peak_bytes = max(run["peak_bytes"] + run["child_peak_bytes"] for run in runs)
    return (
        name,
        *(f"{speed:.2f}" for speed in speeds),
        f"{first['documents']:,}",
        f"{first['output_bytes'] / 1e6:.1f}",
        f"{peak_bytes / 1e6:.0f} MB",
    )


def copies_line(name: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    shares = (f"{found['found'].get(kind, 0):,} of {found['pairs'].get(kind, 0):,}" for kind in PAIRS)
    return name, f"{found['dropped']:,} of {found['texts']:,}", *shares


if __name__ == "__main__":
    app()
