"""How many documents came in, stayed and were dropped, by set, step and reason."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from gptrilogy.errors import DataError

Row: TypeAlias = dict[str, Any]  # {"set", "step", "in", "kept", "dropped": {reason: count}}

STEPS = ("read", "links", "extract", "rules", "language", "quality", "url", "exact", "near", "decontaminate")


@dataclass(slots=True)
class Tally:
    """The counts of one set at one step."""

    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])


class Ledger:
    """Counts that tasks gather and a build adds up.

    >>> ledger = Ledger("web")
    >>> ledger.kept("read"), ledger.dropped("read", "empty")
    (None, None)
    >>> ledger.rows()
    [{'set': 'web', 'step': 'read', 'in': 2, 'kept': 1, 'dropped': {'empty': 1}}]
    """

    def __init__(self, set_name: str) -> None:
        self.set = set_name
        self.tallies: dict[str, Tally] = {}

    def kept(self, step: str, count: int = 1) -> None:
        self._tally(step).kept += count

    def dropped(self, step: str, reason: str, count: int = 1) -> None:
        self._tally(step).dropped[reason] += count

    def rows(self) -> list[Row]:
        return [
            {
                "set": self.set,
                "step": step,
                "in": tally.kept + tally.dropped.total(),
                "kept": tally.kept,
                "dropped": dict(sorted(tally.dropped.items())),
            }
            for step, tally in self.tallies.items()
        ]

    def _tally(self, step: str) -> Tally:
        return self.tallies.setdefault(step, Tally())


def added(rows: Iterable[Mapping[str, Any]], sets: Sequence[str]) -> list[Row]:
    """The rows of many tasks as one a set and step, sets in the order given, steps in theirs."""
    ledgers = {name: Ledger(name) for name in sets}
    for row in rows:
        ledger = ledgers[row["set"]]
        ledger.kept(row["step"], row["kept"])
        for reason, count in row["dropped"].items():
            ledger.dropped(row["step"], reason, count)
    return sorted(
        (row for ledger in ledgers.values() for row in ledger.rows()),
        key=lambda row: (sets.index(row["set"]), STEPS.index(row["step"])),
    )


def check(rows: Sequence[Mapping[str, Any]], documents: Mapping[str, int]) -> None:
    """Compare each step with the one before it, and the last with the documents that were written.

    Raises: DataError naming the set and step at which documents were lost or doubled.
    """
    arrived: dict[str, int] = {}
    for row in rows:
        name, kept = row["set"], row["kept"]
        if row["in"] != kept + sum(row["dropped"].values()) or row["in"] != arrived.get(name, row["in"]):
            raise DataError(
                f"the set {name} does not add up at the step {row['step']}: {arrived.get(name)} documents came, "
                f"{kept} were kept and {sum(row['dropped'].values())} dropped; please report it as a bug"
            )
        arrived[name] = kept
    for name, count in documents.items():
        if arrived.get(name, 0) != count:
            raise DataError(
                f"the set {name} does not add up: {arrived.get(name, 0)} documents were kept and {count} written; "
                "please report it as a bug"
            )
