"""What the trials of mutants found, for people."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report import table

from torture.mutants_trials import KILLED, Tried

METHOD = """\
A mutant is the package with one small mistake: a comparison, an operator of arithmetic or logic, a condition turned
round, a number one more or less, a string of data, two arguments swapped, nothing returned, `break` for `continue`, a
statement dropped. No mutants are made of annotations, decorators, docstrings, assertions (and `strict` of zip),
`__all__` and texts for people. The tests of a mutant are those at its module's place in `tests/` and the module's own
doctests, of which those run that enter the changed function or start processes, cheap ones first, up to a failure.
Hypothesis draws the same examples every time. "test" is a failing test; "import" an error before the first one; "CPU
time" a test that took more than 4 s and five times what it takes of sound code; "crash" a process that died of
SIGSEGV or its like. "lived" passed every test, "not reached" ran in none, and both count as not noticed. "equivalent"
are those among them that change nothing that could be noticed, each listed below with its reason."""


@dataclass(frozen=True, slots=True)
class Score:
    """One module's mutants: how many there are, which were tried, and why some of those that lived may."""

    path: str
    sha256: str
    made: int
    tried: Sequence[Tried]
    reasons: Mapping[str, str]

    @property
    def killed(self) -> int:
        return sum(one.verdict in KILLED for one in self.tried)

    @property
    def survivors(self) -> list[Tried]:
        """What lived and should not have."""
        return [one for one in self.tried if one.verdict not in KILLED and one.mutant.name not in self.reasons]

    @property
    def equivalent(self) -> list[Tried]:
        return [one for one in self.tried if one.verdict not in KILLED and one.mutant.name in self.reasons]

    @property
    def able(self) -> int:
        """How many could be killed."""
        return len(self.tried) - len(self.equivalent)

    def line(self) -> str:
        return (
            f"{self.path}: {self.killed} of {len(self.tried)} noticed, {len(self.equivalent)} equivalent, "
            f"{len(self.survivors)} lived ({self.made} made)"
        )

    def as_dict(self) -> dict[str, Any]:
        tried = [
            {"name": one.mutant.name, "line": one.mutant.line, "kind": one.mutant.kind, "verdict": one.verdict,
             "by": one.by, "equivalent": self.reasons.get(one.mutant.name, "")}
            for one in self.tried
        ]  # fmt: skip
        return {"path": self.path, "sha256": self.sha256, "made": self.made, "tried": tried}


def fingerprint(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def page(scores: Sequence[Score], minutes: float, still: int = 0) -> str:
    """The whole of it: scores by module, what killed, what lived, what is equivalent; `still` modules are untried."""
    verdicts = ("test", "import", "CPU time", "crash", "lived", "not reached")
    rows = [_row(one.path, [one], verdicts) for one in scores]
    rows.append(_row("all", scores, verdicts))
    heading = ("module", "made", "tried", *verdicts, "noticed", "equivalent", "noticed but for those")
    lived = [f"- {one.mutant} ({one.verdict})" for score in scores for one in score.survivors]
    spared = [f"- {one.mutant}: {score.reasons[one.mutant.name]}" for score in scores for one in score.equivalent]
    cut = f" Cut short: {still} modules were not tried." if still else ""
    parts = [
        f"{_share(scores)} of the mutants that change anything were noticed. In {minutes:.0f} minutes.{cut}",
        table(heading, rows),
        METHOD,
        "## What lived\n\n" + ("\n".join(lived) or "Nothing."),
        "## What is equivalent, and why\n\n" + ("\n".join(spared) or "Nothing."),
    ]
    return "\n\n".join(parts)


def _row(name: str, scores: Sequence[Score], verdicts: Sequence[str]) -> tuple[str, ...]:
    tried = [one for score in scores for one in score.tried]
    counts = Counter(one.verdict for one in tried)
    killed, equivalent = sum(one.killed for one in scores), sum(len(one.equivalent) for one in scores)
    numbers = [sum(one.made for one in scores), len(tried), *(counts[verdict] for verdict in verdicts)]
    return (name, *map(str, numbers), _percent(killed, len(tried)), str(equivalent), _share(scores))


def _share(scores: Sequence[Score]) -> str:
    return _percent(sum(one.killed for one in scores), sum(one.able for one in scores))


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
