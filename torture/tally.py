"""What a fault campaign counts: how many faults, how many were survived, what was seen, and every failure in words."""

import time
from collections import Counter
from dataclasses import dataclass, field

from bench.record import Log

log = Log()


@dataclass(slots=True)
class Tally:
    """One kind of fault. `failures` holds a line for each that was not survived as promised."""

    row: int
    what: str
    faults: int = 0
    failures: list[str] = field(default_factory=list[str])
    seen: Counter[str] = field(default_factory=Counter[str])
    not_run: str = ""
    began_s: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def survived(self) -> int:
        return self.faults - len(self.failures)

    def count(self, fault: str, wrong: str = "", seen: str = "") -> None:
        """One fault; `wrong` says in what way it was not survived, nothing where it was."""
        self.faults += 1
        self.seconds = time.monotonic() - self.began_s
        if seen:
            self.seen[seen] += 1
        if wrong:
            self.failures.append(f"{fault}: {wrong}")
            log.say(f"  FAILED {self.what}: {fault}: {wrong}")
        elif self.faults % 100 == 0:
            log.say(f"  {self.what}: {self.faults} faults")

    def as_dict(self) -> dict[str, object]:
        return {
            "row": self.row, "what": self.what, "faults": self.faults, "survived": self.survived,
            "seen": dict(self.seen), "failures": self.failures, "not_run": self.not_run, "seconds": round(self.seconds),
        }  # fmt: skip

    def observed(self) -> str:
        if self.not_run:
            return f"NOT RUN: {self.not_run}"
        return "; ".join(f"{what} {number:,}" for what, number in sorted(self.seen.items()))
