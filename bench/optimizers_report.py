"""What each optimizer made of equal seconds, and what `gpt plan` would have expected of it. Needs no torch."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.report import table

HEADING = ("text", "width", "optimizer", "steps", "epochs", "decay", "n", "bits a byte", "from", "to", "expected")
TIMES_HEADING = ("width and optimizer", "ms a step, fastest", "median", "slowest", "n")

METHOD = """\
Muon moves the matrices of the blocks and AdamW the rest; or AdamW, with the rate that `auto` has for it, moves all.
Everything else is as `auto` has it, equal for both: shape, batch, initial weights, schedule, the decay where a text
is read more than three times. Seconds are equal: a step of each was timed, in turn with the other, and by the
fastest samples each run made as many steps as take equally long. The runs had one thread each, two at a time.
Bits a byte are of the first 1,000 windows of the held-out text, the same for all. "expected" is what `gpt plan`
says."""


@dataclass(frozen=True, slots=True)
class Trained:
    """One run and what came of it. `expected` are the bits a byte of `gpt plan`."""

    text: str
    width: int
    arm: str
    seed: int
    parameters: int
    steps: int
    bytes_seen: float
    text_bytes: int
    weight_decay: float
    bits_per_byte: float
    expected: float

    @property
    def epochs(self) -> float:
        return self.bytes_seen / self.text_bytes


def page(runs: Sequence[Trained], step_s: Mapping[str, Sequence[float]]) -> str:
    """The verdicts, the losses, the steps' times, and how it was done."""
    times = [
        (name, *(f"{value * 1e3:.1f}" for value in (min(s), statistics.median(s), max(s))), str(len(s)))
        for name, s in step_s.items()
    ]
    verdicts = "\n".join(f"- {line}" for line in compared(runs))
    tables = [table(HEADING, [*lines(runs)]), table(TIMES_HEADING, times)]
    return "\n\n".join([verdicts, *tables, METHOD, f"Expected against found: {misjudged(runs)}"])


def compared(runs: Sequence[Trained]) -> Iterator[str]:
    """For every text and width, how often Muon was better than AdamW with the same seed, and by how much."""
    losses = {(run.text, run.width, run.arm, run.seed): run.bits_per_byte for run in runs}
    for text, width in sorted({(run.text, run.width) for run in runs}):
        gains = [
            losses[text, width, "adamw", seed] - loss
            for (*place, arm, seed), loss in losses.items()
            if place == [text, width] and arm == "muon" and (text, width, "adamw", seed) in losses
        ]
        if gains:
            wins = sum(gain > 0 for gain in gains)
            spread = f"{min(gains):+.3f} to {max(gains):+.3f}"
            yield f"{text}, width {width}: Muon is better in {wins} of {len(gains)} seeds, by {spread} bits a byte"


def lines(runs: Sequence[Trained]) -> Iterator[tuple[str, ...]]:
    for text, width, arm in sorted({(run.text, run.width, run.arm) for run in runs}):
        alike = [run for run in runs if (run.text, run.width, run.arm) == (text, width, arm)]
        bits, first = [run.bits_per_byte for run in alike], alike[0]
        yield (
            *(text, str(width), arm, f"{first.steps:,}", f"{first.epochs:.2f}", f"{first.weight_decay:g}"),
            *(str(len(alike)), f"{statistics.fmean(bits):.3f}", f"{min(bits):.3f}", f"{max(bits):.3f}"),
            f"{first.expected:.3f}",
        )


def misjudged(runs: Sequence[Trained]) -> str:
    """How far the expectation lay from what was found, of the runs that `auto` would have made."""
    shares = [run.expected / run.bits_per_byte - 1 for run in runs if run.arm == "muon"]
    if not shares:
        return "no run by Muon"
    return (
        f"{min(shares):+.0%} to {max(shares):+.0%}, {statistics.fmean(shares):+.0%} on average, over {len(shares)} runs"
    )
