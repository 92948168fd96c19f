"""What each candidate gains over the step as it ships, sample against sample. Needs no torch."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.candidates_cases import CANDIDATES
from bench.report import table

WORTH = 1.05  # of the speed, below which nothing is added to the package
HEADING = ("model", "candidate", "speed", "of fastest", "quartiles", "n", "fastest ms", "ours", "peak GB", "our peak")

METHOD = """\
A candidate is ours as it ships with that one thing changed, in a process of its own beside one of ours; they take
turns, one sample each, after one that warms up. "speed" is the median over n turns of the seconds of ours over those
of the candidate, in tokens, so that above 1 the candidate is faster; "quartiles" are those of the turns. "of fastest"
is the same of the fastest sample of each, which neighbours on the machine disturbed least; "fastest ms" are its
milliseconds a step. All begin from the same weights and batch, and first losses lie within 0.02 nats. A step is a
batch from the loader, forward, backward, clipping, AdamW. Peak memory is that of the whole process, its libraries
included."""


@dataclass(slots=True)
class Pair:
    """A candidate beside ours as it ships: seconds of their samples by turns, and the first step's loss of each.

    `start_s` is from the start of the process to the end of its first step, once for each start.
    """

    candidate: str
    size: str
    batches: int
    shipped_nats: float
    first_nats: float = 0.0
    steps: int = 1
    start_s: list[float] = field(default_factory=list[float])
    shipped_s: list[float] = field(default_factory=list[float])
    seconds: list[float] = field(default_factory=list[float])
    shipped_peak_bytes: int = 0
    peak_bytes: int = 0

    @property
    def n(self) -> int:
        return len(self.seconds)

    @property
    def speeds(self) -> list[float]:
        """The candidate's tokens a second, as a multiple of ours, in each turn."""
        return [self.batches * ours / its for ours, its in zip(self.shipped_s, self.seconds, strict=True)]

    @property
    def speed(self) -> float:
        """The median of the turns."""
        return statistics.median(self.speeds)

    @property
    def speed_of_fastest(self) -> float:
        """By the fastest sample of each, since neighbours on the machine only ever slow one down."""
        return self.batches * min(self.shipped_s) / min(self.seconds)

    @property
    def gains(self) -> bool:
        return min(self.speed, self.speed_of_fastest) > WORTH

    def said(self) -> str:
        speeds = ", ".join(f"{speed:.3f}" for speed in self.speeds)
        starts = " and ".join(f"{seconds:.1f}" for seconds in self.start_s)
        return f"{self.size}, {self.candidate}: {speeds} times the speed; first step after {starts} s"


def page(pairs: Sequence[Pair]) -> str:
    """What is worth having, the figures, what the names mean, and how it was done."""
    what = {candidate.name: candidate.what for candidate in CANDIDATES}
    names = list(dict.fromkeys(pair.candidate for pair in pairs))
    return "\n\n".join(
        [
            "\n".join(f"- {line}" for line in verdicts(pairs)),
            table(HEADING, [*lines(pairs)]),
            table(("candidate", "what changes"), [(name, what[name]) for name in names]),
            METHOD,
        ]
    )


def verdicts(pairs: Sequence[Pair]) -> Iterator[str]:
    """What is worth having, and what a second start costs."""
    faster = ", ".join(f"{pair.candidate} at {pair.size}" for pair in pairs if pair.gains)
    yield f"Faster by more than {WORTH - 1:.0%}, in the median and by the fastest samples: {faster or 'nothing'}."
    for pair in pairs:
        if len(pair.start_s) > 1:
            cold, warm = pair.start_s[0], pair.start_s[-1]
            yield (
                f"{pair.candidate} at {pair.size}: the first step ends {cold:.1f} s after the start of the process, "
                f"and {warm:.1f} s with the cache of an earlier one."
            )


def lines(pairs: Sequence[Pair]) -> Iterator[tuple[str, ...]]:
    for pair in pairs:
        quartiles = statistics.quantiles(pair.speeds, n=4, method="inclusive") if pair.n > 1 else pair.speeds
        yield (
            *(pair.size, pair.candidate, f"{pair.speed:.2f}", f"{pair.speed_of_fastest:.2f}"),
            *(f"{quartiles[0]:.2f} to {quartiles[-1]:.2f}", str(pair.n)),
            *(f"{min(seconds) / pair.steps * 1e3:,.1f}" for seconds in (pair.seconds, pair.shipped_s)),
            *(f"{peak / 1e9:.2f}" for peak in (pair.peak_bytes, pair.shipped_peak_bytes)),
        )
