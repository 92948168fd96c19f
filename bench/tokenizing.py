"""How fast text becomes ids and ids are learned from text, and in how much memory: ours and its peers in turn.

    python -m bench.tokenizing --data TEXTS --tokenizer gpt2 --record records/DATE-tokenizing

TEXTS holds prose.txt, python.txt and chinese.txt, about 8 MB each. Each sample is a fresh process.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench import tokenizing_report
from bench.measure import ROOT, Say
from bench.record import Log, facts, write_record
from bench.tokenizing_text import text_files
from gptrilogy.tokenizers.piece_counts import MAX_TABLE_BYTES

COMMAND = "python -m bench.tokenizing --data TEXTS --tokenizer gpt2 --record DIR"
PARTS = ("encode", "train", "memory")
PACKAGES = ("fastokens", "tokenizers", "tiktoken", "gigatoken")
N_VOCABS = (8_000, 32_000)
BASE_BYTES = 128_000_000  # of the mixed text; then 4 and 16 times as much
SMALLER_TABLES = (8, 32)  # what estimates cost: the same text with a table so many times smaller
CAPTIONS = {
    "encode": """\
Not chosen: gigatoken, faster still (124, 193 and 22 MB/s cold on code, prose and Chinese in one run of each), but its
letters are those of Unicode 17 (23,417 of 8.9 million short texts around single characters got other ids), its cache
grew by 475 MB over 80 MB of random words where that of fastokens stopped, and it needs awkward and typer; tiktoken
itself, which panics on a million spaces before a letter.""",
    "train": """\
Not chosen: rustbpe and bpeasy, which break ties otherwise and take no table of counts; gigatoken's trainer, for its
Unicode.""",
    "memory": """\
Learning 32,000 ids from more and more text, made from the same three texts as `bench/tokenizing_text.py` says: one
process each. Peak memory is that of the whole process, PyTorch's 220 MB included. With a smaller table counts are
estimates; what that costs is seen in the bytes that a token takes of 16 MB that were not learned from.""",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", default="gpt2")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--results", type=Path, help="keep what each part found here, and add to what is there")
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    log = Log()
    log.say_load()
    files = text_files(options.data)
    engines = ("ours", "tiktoken", "tokenizers", *(["gigatoken"] if find_spec("gigatoken") else []))
    measures: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "encode": lambda: encode(
            [*((file, 1) for file in files.values()), (files["python"], 2)],
            options.tokenizer,
            options.repeats,
            log.say,
            engines,
        ),
        "train": lambda: train(options.data, list(files), N_VOCABS, options.repeats, log.say),
        "memory": lambda: _memory(options.data, log.say),
    }
    found: dict[str, Any] = json.loads(options.results.read_text()) if options.results else {}
    for part in PARTS:
        if options.only in (None, part):
            found[part] = measures[part]()
    if options.results:
        options.results.write_text(json.dumps(found))
    log.lines = found["log"] = found.get("log", []) + log.lines
    text = "\n\n".join(f"{_told(part, found[part])}\n\n{CAPTIONS[part]}" for part in PARTS if part in found)
    print(text)
    if options.record:
        known = facts(COMMAND, options.repeats) | {name: _version(name) for name in PACKAGES}
        numbers = {part: tokenizing_report.shown(found[part]) for part in PARTS if part in found}
        write_record(options.record, "Tokenizing", text, known, numbers, log.lines)


def encode(
    texts: Sequence[tuple[Path, int]],
    tokenizer: str,
    repeats: int,
    say: Say,
    engines: Sequence[str] = ("ours", "tiktoken"),
) -> list[dict[str, Any]]:
    """Each text on so many threads by each engine."""
    jobs = [
        {"contender": name, "tokenizer": tokenizer, "file": str(file), "threads": threads}
        for file, threads in texts
        for name in engines
    ]
    return _samples("encode", jobs, repeats, say)


def train(folder: Path, names: Sequence[str], n_vocabs: Sequence[int], repeats: int, say: Say) -> list[dict[str, Any]]:
    """Each text of a folder to each number of ids, ours and then Hugging Face's trainer."""
    jobs = [
        _training(folder, contender=contender, name=name, n_vocab=n_vocab)
        for name in names
        for n_vocab in n_vocabs
        for contender in ("ours", "tokenizers")
    ]
    return _samples("train", jobs, repeats, say)


def _memory(folder: Path, say: Say) -> list[dict[str, Any]]:
    sizes = [_training(folder, size_bytes=BASE_BYTES * times, out="yes") for times in (1, 4, 16)]
    smaller = [
        _training(folder, size_bytes=BASE_BYTES, table_bytes=MAX_TABLE_BYTES // times, out="yes")
        for times in SMALLER_TABLES
    ]
    peer = [_training(folder, contender="tokenizers", size_bytes=BASE_BYTES)]
    return _samples("train", sizes + smaller + peer, 1, say)


def _training(folder: Path, **given: Any) -> dict[str, Any]:
    usual = {"contender": "ours", "name": "all", "n_vocab": 32_000, "size_bytes": 0, "table_bytes": MAX_TABLE_BYTES}
    return usual | {"folder": str(folder), "out": ""} | given


def _samples(what: str, jobs: Sequence[dict[str, Any]], repeats: int, say: Say) -> list[dict[str, Any]]:
    """Each job with the samples of its answers, taken in turn, one process at a time.

    Raises: CalledProcessError.
    """
    rows: list[dict[str, Any]] = [{**job, "samples": []} for job in jobs]
    for number in range(repeats):
        for job, row in zip(jobs, rows, strict=True):
            command = [sys.executable, "-m", "bench.tokenizing_worker", json.dumps({what: job})]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
            row["samples"].append(json.loads(done.stdout))
            say(f"{what}, sample {number + 1} of {repeats}: {tokenizing_report.named(job)}: {done.stdout.strip()}")
    return rows


def _told(part: str, jobs: list[dict[str, Any]]) -> str:
    if part == "memory":
        return tokenizing_report.memory_table(jobs)
    return (tokenizing_report.encoding(jobs) if part == "encode" else tokenizing_report.training(jobs)).page()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()
