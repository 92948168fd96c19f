"""What a study is, and how one is run: every measurement kept as it is made, then a table, a picture and a verdict.

OUT/results.json  rows.jsonl  figure.png  pretrained/

Needs no torch until a study runs.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from gptrilogy.errors import ConfigError, RunError
from gptrilogy.extras import needs
from gptrilogy.files import write_atomic, write_json
from gptrilogy.metrics import Row, read_rows
from gptrilogy.runs import Run

Say: TypeAlias = Callable[[str], None]  # tells people how far a study is


@dataclass(frozen=True, slots=True)
class Options:
    """How a study is to be run.

    `model`: a pretrained run; None: the study pretrains its own below `out`. `data`: the folder of the data sets; None:
    the one that GPTRILOGY_DATA names. `quick`: a test of the whole path in few steps, whose numbers mean nothing.
    """

    out: Path
    model: Path | None = None
    data: Path | None = None
    seeds: int = 5
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What came out: a row for each condition and `seed`, a table with its header first, and one sentence."""

    rows: list[Row]
    table: list[tuple[str, ...]]
    verdict: str


@dataclass(frozen=True, slots=True)
class Study:
    """A claim and the way to try it. `minutes`: what it took on one thread, with the seeds it has by default.

    Those that fine-tune pretrain their base first, about 20 minutes more on two threads, unless they are given one.
    """

    name: str
    claim: str
    source: str
    minutes: int
    run: Callable[[Options, Say], Result]


def run_study(study: Study, options: Options, say: Say) -> dict[str, Any]:
    """Run a study, or what is left of it, and write its folder; -> the document in `results.json`.

    Raises: MissingExtraError where it cannot draw; RunError where the folder cannot be written, or another process is
    at work in it; whatever the study raises, of which the rows measured until then are kept.
    """
    from gptrilogy.devices import describe

    with needs("plot", purpose="the picture of a study"):
        import matplotlib  # noqa: F401  # pyright: ignore[reportUnusedImport]  # else it is missed hours later
    with Run(options.out).at_work():
        result = study.run(options, say)
        document = {
            "study": study.name,
            "claim": study.claim,
            "source": study.source,
            "seeds": sorted({row["seed"] for row in result.rows}),
            "quick": options.quick,
            "environment": describe(),
            "verdict": result.verdict,
            "table": result.table,
            "rows": result.rows,
        }
        write_json(options.out / "results.json", document)
    return document


class Journal:
    """`rows.jsonl`, a line for each measurement: a study that is started again finds there what it has already."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = read_rows(path)
        if self.rows:  # without a line that a killed process left half-written
            write_atomic(path, "".join(map(_line, self.rows)).encode())

    def find(self, condition: Row) -> Row | None:
        """The measurement with all these fields, if it was made."""
        return next((row for row in self.rows if condition.items() <= row.items()), None)

    def add(self, row: Row) -> None:
        """Raises: RunError where the disk is full or gone."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(row))
        except OSError as error:
            raise RunError(
                f"cannot write {self.path}: {error.strerror}; mend that, and the same command goes on from there"
            ) from None
        self.rows.append(row)


def data_folder(options: Options) -> Path:
    """Where the data sets lie.

    Raises: ConfigError where nobody said, or where there is no such folder.
    """
    named = options.data or os.environ.get("GPTRILOGY_DATA")
    if not named:
        raise ConfigError("this study needs labelled data: give --data DIR, or set GPTRILOGY_DATA to the folder")
    if not Path(named).is_dir():
        raise ConfigError(f"the folder of the data sets, {named}, does not exist; give another with --data")
    return Path(named)


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
