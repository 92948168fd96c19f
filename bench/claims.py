"""What was measured held against what was promised: one row for each claim, both figures and their ratio in it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.report import table

HEADING = ("what", "ours", "peer", "ratio", "first target", "then", "met")


@dataclass(frozen=True, slots=True)
class Target:
    """A limit in words; `met` is None where it could not be measured."""

    text: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `then` is the later, harder target; a figure without promise has neither."""

    what: str
    ours: str
    peer: str
    ratio: str
    first: Target | None = None
    then: Target | None = None

    @property
    def targets(self) -> list[Target]:
        return [target for target in (self.first, self.then) if target]

    @property
    def met(self) -> str:
        """Which targets were reached.

        >>> Row("speed", "9", "8", "1.1", Target(">= 1", True), Target(">= 2", False)).met
        'first'
        >>> Row("speed", "", "", "").met
        ''
        """
        if any(target.met is None for target in self.targets):
            return "?"
        reached = [name for name, target in (("first", self.first), ("then", self.then)) if target and target.met]
        return " + ".join(reached) if reached or not self.targets else "MISSED"


@dataclass(frozen=True, slots=True)
class Findings:
    """What one bench found: its claims, its own tables and method in Markdown, and every raw number."""

    rows: list[Row]
    details: str
    numbers: dict[str, Any]

    def page(self) -> str:
        return "\n\n".join([f"{verdict(self.rows)}.", self.body()])

    def body(self) -> str:
        return f"{claims_table(self.rows)}\n\n{self.details}"

    def results(self) -> dict[str, Any]:
        """For a record's JSON."""
        return {**self.numbers, "rows": [asdict(row) for row in self.rows]}


def at_least(value: float | None, *limits: float | None, form: str = ".2f") -> list[Target | None]:
    """The first target and the later one of a figure that should be large; no figure where it was not measured.

    >>> at_least(0.45, 0.4, 0.7, form=".0%")
    [Target(text='>= 40%', met=True), Target(text='>= 70%', met=False)]
    """
    return [
        None if least is None else Target(f">= {least:{form}}", None if value is None else value >= least)
        for least in limits
    ]


def at_most(value: float | None, *limits: float | None, form: str = ".2f") -> list[Target | None]:
    """As `at_least`, of a figure that should be small."""
    return [
        None if most is None else Target(f"<= {most:{form}}", None if value is None else value <= most)
        for most in limits
    ]


def claims_table(rows: Sequence[Row]) -> str:
    """Each claim with both figures, its targets, and which of them were met."""
    texts = [[target.text if target else "" for target in (row.first, row.then)] for row in rows]
    lines = [(r.what, r.ours, r.peer, r.ratio, *of_it, r.met) for r, of_it in zip(rows, texts, strict=True)]
    return table(HEADING, lines)


def verdict(rows: Sequence[Row]) -> str:
    """How many targets were met, and by name those that were not."""
    targets = [(row, target) for row in rows for target in row.targets]
    missed = [f"{row.what} {target.text} ({row.peer or row.ours})" for row, target in targets if target.met is False]
    unmeasured = sum(target.met is None for _, target in targets)
    text = f"{sum(target.met is True for _, target in targets)} of {len(targets)} targets met"
    text += f", {unmeasured} not measured" if unmeasured else ""
    return f"{text}; missed: {'; '.join(missed)}" if missed else text
