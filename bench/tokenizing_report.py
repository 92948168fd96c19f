"""What encoding and learning took, as claims and tables. Needs no torch."""

import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from bench.claims import Findings, Row, Target, at_least
from bench.report import table
from gptrilogy.tokenizers.piece_counts import MAX_TABLE_BYTES

Samples: TypeAlias = Sequence[dict[str, Any]]  # jobs, each with the samples of its answers

ENCODING_AT_LEAST, TRAINING_AT_LEAST = (1.0, 10.0), (1.0, 2.0)
TO_PLACES = ("folder", "file", "tokenizer", "out")  # fields of a job that only say where things lie
ENCODING = """\
Encoding with the vocabulary of GPT-2: medians of {n} fresh processes, the engines in turn. Ready: from the list of
merges to an engine with nothing yet in its caches, with which cold is the first encoding of the text and warm the
second. A prompt has a hundred characters; ours is given to the engine that is fast, once it is there. All ids are
compared."""
TRAINING = """\
Learning a vocabulary from one text: medians of {n} fresh processes. Ours counts pieces and merges pairs in C++,
compiled before the clock starts; the peer is the trainer of Hugging Face tokenizers, on every core."""


def encoding(jobs: Samples) -> Findings:
    """Ours beside tiktoken in speed and in ids; the others in a table."""
    rows: list[Row] = []
    peers = {_text(job): job for job in jobs if job["contender"] == "tiktoken"}
    for ours in (job for job in jobs if job["contender"] == "ours"):
        peer = peers[_text(ours)]
        mb_s, theirs_mb_s = (_median(job, "cold_mb_s") for job in (ours, peer))
        figures = (f"{mb_s:.1f} MB/s", f"tiktoken {version('tiktoken')}: {theirs_mb_s:.1f} MB/s")
        ratio = mb_s / theirs_mb_s
        rows.append(
            Row(
                f"encode {Path(ours['file']).stem}, threads: {ours['threads']}, cold",
                *figures,
                f"{ratio:.1f}",
                *at_least(ratio, *ENCODING_AT_LEAST, form="g"),
            )
        )
    alike = [_ids(job) == _ids(peers[_text(job)]) for job in jobs if job["contender"] == "ours"]
    rows.append(
        Row("encode, same ids", f"{sum(alike)} of {len(alike)} texts", "tiktoken", "", Target("all", all(alike)))
    )
    details = f"{encoding_table(jobs)}\n\n{ENCODING.format(n=len(jobs[0]['samples']))}"
    return Findings(rows, details, {"jobs": shown(jobs)})


def training(jobs: Samples) -> Findings:
    """Ours beside Hugging Face's trainer, in speed and in merges; jobs come in pairs."""
    rows: list[Row] = []
    pairs = list(zip(jobs[::2], jobs[1::2], strict=True))
    for ours, peer in pairs:
        seconds, theirs_s = (_median(job, "seconds") for job in (ours, peer))
        ratio = theirs_s / seconds
        figures = (f"{seconds:.2f} s", f"tokenizers {version('tokenizers')}: {theirs_s:.2f} s", f"{ratio:.1f}")
        rows.append(
            Row(
                f"learn {ours['n_vocab']:,} ids of {ours['name']}",
                *figures,
                *at_least(ratio, *TRAINING_AT_LEAST, form="g"),
            )
        )
    alike = [_ids(ours) == _ids(peer) for ours, peer in pairs]
    rows.append(
        Row("learn, same merges", f"{sum(alike)} of {len(alike)} texts", "tokenizers", "", Target("all", all(alike)))
    )
    details = f"{training_table(jobs)}\n\n{TRAINING.format(n=len(jobs[0]['samples']))}"
    return Findings(rows, details, {"jobs": shown(jobs)})


def shown(jobs: Samples) -> list[dict[str, Any]]:
    """For a record: without places."""
    return [{**_without_places(job), **({"file": Path(job["file"]).name} if "file" in job else {})} for job in jobs]


def named(job: dict[str, Any]) -> str:
    """A job in a line of the log."""
    said = {"text": _text(job)} if "file" in job else {}
    return ", ".join(f"{value}" for value in {**said, **_without_places(job)}.values())


def encoding_table(jobs: Samples) -> str:
    heading = ("text, threads", "engine", "ready s", "cold MB/s", "over tiktoken", "warm MB/s", "prompt us", "same ids")
    peers = {_text(job): job for job in jobs if job["contender"] == "tiktoken"}
    lines: list[list[str]] = []
    for job in jobs:
        peer, cold = peers[_text(job)], _median(job, "cold_mb_s")
        lines.append(
            [
                _text(job),
                job["contender"],
                f"{_median(job, 'build_s'):.2f}",
                f"{cold:.1f}",
                f"{cold / _median(peer, 'cold_mb_s'):.1f}",
                f"{_median(job, 'warm_mb_s'):.1f}",
                f"{_median(job, 'prompt_us'):.1f}",
                "yes" if _ids(job) == _ids(peer) else "NO",
            ]
        )
    return table(heading, lines)


def training_table(jobs: Samples) -> str:
    lines: list[list[str]] = []
    for ours, peer in zip(jobs[::2], jobs[1::2], strict=True):
        seconds, theirs_s = _median(ours, "seconds"), _median(peer, "seconds")
        lines.append(
            [f"{ours['name']}, {ours['n_vocab']:,}", f"{seconds:.2f}", f"{theirs_s:.2f}", f"{theirs_s / seconds:.1f}"]
            + [f"{_median(job, 'peak_bytes') / 1e6:,.0f}" for job in (ours, peer)]
            + ["yes" if _ids(ours) == _ids(peer) else "NO"]
        )
    return table(("text, ids", "ours s", "tokenizers s", "ratio", "ours MB", "tokenizers MB", "same merges"), lines)


def memory_table(jobs: Samples) -> str:
    lines: list[list[str]] = []
    for job in jobs:
        sample = job["samples"][0]
        share = MAX_TABLE_BYTES // job["table_bytes"]
        lines.append(
            [
                f"{job['size_bytes'] / 1e6:,.0f} MB",
                job["contender"] + (f", table 1/{share}" if share > 1 else ""),
                f"{sample['seconds']:.1f}",
                f"{sample['peak_bytes'] / 1e6:,.0f}",
                sample["counted"],
                f"{sample['bytes_per_token']:.4f}" if "bytes_per_token" in sample else "",
            ]
        )
    return table(("text", "engine", "s", "peak MB", "pieces", "bytes a token, held out"), lines)


def _text(job: dict[str, Any]) -> str:
    return f"{Path(job['file']).stem}, {job['threads']}"


def _ids(job: dict[str, Any]) -> set[str]:
    """One for all samples, where they agree."""
    return {sample["ids"] for sample in job["samples"]}


def _median(job: dict[str, Any], figure: str) -> float:
    return statistics.median(sample[figure] for sample in job["samples"])


def _without_places(job: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in job.items() if name not in TO_PLACES}
