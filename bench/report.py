"""What was found, as tables for people and as a record that can be checked. Needs no torch."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.comparisons import Row, contender_lines, start_up_rows, training_rows
from bench.measure import Measurement
from bench.startup import StartUp
from gptrilogy.devices import cpu_model, memory_bytes

HEADING = ("what", "ours", "peer", "ratio", "target", "met")
CONTENDERS_HEADING = ("model", "contender", "parameters", "first loss", "tokens/s", "of its ceiling", "peak GB")
VERDICTS = {True: "met", False: "MISSED", None: ""}

METHOD = """\
Each contender trains in a process of its own; they take turns, one sample each, and only one works at a time. Figures
are medians of n = {n} after warm-up. All begin from the same weights and batch, without dropout, with the same AdamW
and clipping at 1.0; a step is forward, backward, clipping, update and zeroing. Ours reads its batches through its
loader, the others have theirs ready. Threads and their waiting policy are PyTorch's defaults: one that waits sleeps
within milliseconds. Peak memory is that of the whole process, its libraries included. The ceiling is a matrix product
of 1,024 x 1,024 in the contender's precision, timed in the same rounds."""


@dataclass(slots=True)
class Report:
    """All measurements of one call, and how to show them."""

    command: str
    repeats: int
    training: list[Measurement] = field(default_factory=list[Measurement])
    start_up: StartUp | None = None

    def rows(self) -> list[Row]:
        rows = [row for found in self.training for row in training_rows(found)]
        return rows + (list(start_up_rows(self.start_up)) if self.start_up else [])

    def tables(self) -> str:
        """The claims, then the figures of every contender, in Markdown that also reads as it is."""
        parts = [claims_table(self.rows())]
        if self.training:
            parts.append(table(CONTENDERS_HEADING, [line for m in self.training for line in contender_lines(m)]))
        return "\n\n".join(parts)

    def verdict(self) -> str:
        return verdict(self.rows())

    def save(self, folder: Path, log: Sequence[str]) -> None:
        """Write README.md, results.json with every raw sample, and log.txt."""
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"command": self.command, "date": f"{datetime.now(UTC):%Y-%m-%d}", "n": self.repeats, **environment()}
        lines = "\n".join(f"- {name}: {value}" for name, value in facts.items())
        method = METHOD.format(n=self.repeats)
        page = f"# Training speed and start-up\n\n{self.verdict()}.\n\n{self.tables()}\n\n{method}\n\n{lines}\n"
        (folder / "README.md").write_text(page, encoding="utf-8")
        (folder / "results.json").write_text(json.dumps(facts | self._numbers(), indent=2) + "\n", encoding="utf-8")
        (folder / "log.txt").write_text("\n".join([*log, self.tables(), self.verdict(), ""]), encoding="utf-8")

    def _numbers(self) -> dict[str, Any]:
        return {
            "training": [
                {
                    "case": found.case.model_dump(),
                    "ceiling_flops": found.ceiling_flops,
                    "contenders": [
                        asdict(result)
                        | {"tokens_per_s": found.tokens_per_s(name), "share_of_ceiling": found.share_of_ceiling(name)}
                        for name, result in found.results.items()
                    ],
                }
                for found in self.training
            ],
            "start_up": asdict(self.start_up) if self.start_up else None,
            "rows": [asdict(row) for row in self.rows()],
        }


def environment() -> dict[str, Any]:
    """Hardware and versions, in general words."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "memory": f"{memory_bytes() / 2**30:.0f} GiB",
        "torch": version("torch"),
        "transformers": version("transformers"),
    }


def claims_table(rows: Sequence[Row]) -> str:
    """Each claim with both figures and whether it was met."""
    return table(HEADING, [(r.what, r.ours, r.peer, r.ratio, r.target, VERDICTS[r.met]) for r in rows])


def verdict(rows: Sequence[Row]) -> str:
    """How many claims were met, and by name those that were not."""
    promised = [row for row in rows if row.met is not None]
    missed = [f"{row.what} ({row.peer or row.target})" for row in promised if not row.met]
    text = f"{len(promised) - len(missed)} of {len(promised)} targets met"
    return f"{text}; missed: {'; '.join(missed)}" if missed else text


def table(heading: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown that also reads as it is."""
    widths = [max(len(cell) for cell in column) for column in zip(heading, *lines, strict=True)]
    cells = [heading, ["-" * width for width in widths], *lines]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in cells
    )
