"""All parts in one table: what was measured, what was not and why, and a folder in which both are kept."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.claims import Findings, Row, Target, claims_table, verdict
from bench.parts import PARTS, Job, Part
from bench.record import Log, write_record
from gptrilogy.errors import GPTrilogyError, RunError
from gptrilogy.files import read_object

TITLE = "Ours beside its peers"
FAILED, INTERRUPTED = 1, 130  # exit codes
NOT_FACTS = ("command", "date")  # of a record, that may change between two calls into it
FAILURES = (RuntimeError, OSError, ValueError, SubprocessError, GPTrilogyError)


@dataclass(frozen=True, slots=True)
class Measured:
    """A part's findings, the seconds they took, and what was said meanwhile."""

    findings: Findings
    seconds: float
    log: list[str]


KEPT: TypeAdapter[dict[str, Measured]] = TypeAdapter(dict[str, Measured])


@dataclass(slots=True)
class Whole:
    """The parts by name, those of earlier calls into the same folder among them."""

    known: dict[str, Any]
    folder: Path | None = None
    measured: dict[str, Measured] = field(default_factory=dict[str, Measured])
    reasons: dict[str, str] = field(default_factory=dict[str, str])  # why a part was not measured

    @classmethod
    def of(cls, known: dict[str, Any], folder: Path | None) -> "Whole":
        """With what the folder holds.

        Raises: RunError where it holds anything but measurements like those to come.
        """
        whole = cls(known, folder)
        if folder and (path := folder / "results.json").exists():
            try:
                results = read_object(path)
                whole.measured = KEPT.validate_python(results.pop("parts", None))
            except (ValueError, ValidationError) as error:
                reason = "it is no record of python -m bench"
                raise RunError(f"{path} cannot be gone on with: {reason}; give another folder, or remove it") from error
            for name in known.keys() - NOT_FACTS:
                if results.get(name) != known[name]:
                    raise RunError(
                        f"{path} was made with {name} {results.get(name)!r}, and this is {known[name]!r}; "
                        "give another folder, or remove it"
                    )
        return whole

    def rows(self) -> list[Row]:
        """The rows that have targets, and one for each part without figures; in the order of the parts."""
        rows: list[Row] = []
        for part in PARTS:
            if part.name in self.measured:
                rows += [row for row in self.measured[part.name].findings.rows if row.targets]
            elif part.name in self.reasons:
                rows.append(Row(part.name, f"not measured: {self.reasons[part.name]}", "", "", Target("", None)))
        return rows

    def page(self) -> str:
        sections = [
            f"## {part.name}\n\n{self.measured[part.name].findings.body()}\n\n"
            f"This part took {self.measured[part.name].seconds / 60:.1f} minutes."
            for part in PARTS
            if part.name in self.measured
        ]
        return "\n\n".join([f"{verdict(self.rows())}.", claims_table(self.rows()), *sections])

    def save(self) -> None:
        """Write what is there into the folder, if there is one."""
        if self.folder:
            numbers = {"parts": KEPT.dump_python(self.measured, mode="json"), "not_measured": self.reasons}
            log = [line for part in PARTS if part.name in self.measured for line in self.measured[part.name].log]
            write_record(self.folder, TITLE, self.page(), self.known, numbers, log)


def run(parts: Sequence[Part], data: Path | None, repeats: int, whole: Whole, log: Log) -> int:
    """Measure the parts that are not measured yet, and keep each at once; -> the exit code.

    A part that fails stops no other; Ctrl-C stops all that are left.
    """
    code = 0
    for part in parts:
        if part.name in whole.measured:
            log.say(f"{part.name} was measured before, and is kept")
        elif code == INTERRUPTED:
            whole.reasons[part.name] = "stopped before it"
        elif reason := part.missing(data):
            whole.reasons[part.name] = reason
        else:
            log.say(f"{part.name}: about {part.minutes:g} minutes with five samples")
            code = max(code, _measure(part, Job(data or Path(), repeats, log.say), whole, log))
            whole.save()
        if part.name in whole.reasons:
            log.say(f"{part.name} is not measured: {whole.reasons[part.name]}")
    whole.save()
    return code


def _measure(part: Part, job: Job, whole: Whole, log: Log) -> int:
    """Measure one part, or note why that did not work; -> the exit code."""
    before, start = len(log.lines), time.monotonic()
    log.say_load()
    try:
        findings = part.measure(job)
    except KeyboardInterrupt:
        whole.reasons[part.name] = "stopped"
        return INTERRUPTED
    except FAILURES as error:
        whole.reasons[part.name] = f"it failed: {' '.join(str(error).split())}"
        return FAILED
    whole.measured[part.name] = Measured(findings, time.monotonic() - start, log.lines[before:])
    return 0
