"""What the ways to fine-tune took, as claims, a table and a page. Needs no torch."""

import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from bench.claims import Findings, Row, at_least, at_most
from bench.finetuning_cases import ABSENT, OURS, OURS_FP32, OURS_LM, TRAINER, TRAINER_8, TRAINER_BF16, TuneCase
from bench.measure import BF16_TOLERANCE
from bench.report import table
from gptrilogy.finetuning.config import TuneConfig

OTHER_PAIRS = ((OURS, TRAINER_BF16), (OURS, TRAINER_8), (OURS_LM, TRAINER), (OURS_FP32, TRAINER))
COMPARED = tuple(dict.fromkeys([(OURS, TRAINER), *OTHER_PAIRS]))  # ours may be that in fp32
SPEED_AT_LEAST = {(OURS, TRAINER): 1.5}
CHECK_STEPS = 5
LOSS_TOLERANCE = 1e-3  # in nats an example, between computations in fp32
HEADING = (
    "contender",
    "examples/s",
    "of ours",
    "tokens a real one",
    "first loss",
    f"loss at step {CHECK_STEPS}",
    "mean of timed",
    "peak GB",
)

METHOD = """\
{parameters:,} parameters with random weights, three classes. {n_examples:,} examples drawn from SNLI's validation
split, as tokens of GPT-2's tokenizer between our start, delimiter and extract tokens; one linear map reads the class at
the last. {batch_size} examples a step, the same in the same order for all; "batch 8", the Trainer's own default, makes
four steps of them. "Trainer" is GPT2ForSequenceClassification of transformers {transformers} in its Trainer with
DataCollatorWithPadding, at their defaults (fused AdamW, clipping at 1, no grouping by length) but for what equal work
asks: initial weights, order, a constant rate of {learning_rate:g} and a decay of {weight_decay:g} are ours. Its bf16 is
`bf16=True`. Ours in bf16 is what `gpt finetune` picks on a CPU with bf16 products. Lambda is 0, the same objective as
theirs, unless said; 0.5, our default, adds a language-modelling loss on every token. "unbucketed" runs the examples of
a step in one padded block, as they come.

Losses are of the classification alone. First and step {check_steps}: without dropout, in runs of their own. Those in
fp32 lie within {loss_tolerance:g} of each other at each of these steps, and all first ones within {bf16_tolerance:g},
or there is no report; later ones of lambda 0.5 follow from its own objective. The mean of timed steps is with their
dropout, {dropout:g} on both sides.

Each contender trains in a process of its own; they take turns, a sample of {steps} steps each, and only one works at a
time. Figures are medians of n = {n} after a sample each of warm-up. A step is all that a loop does from the end of one
to the end of the next, the reading of its batch included; the Trainer runs its own loop, which is held at the end of a
step. "Tokens a real one" are those computed, padding included. Peak memory is that of the whole process, its libraries
included. Threads are PyTorch's defaults."""


@dataclass(slots=True)
class Result:
    """What one contender did. `seconds` holds one number a sample; `checked_nats` are losses without dropout."""

    contender: str
    parameters: int
    checked_nats: list[float]
    seconds: list[float] = field(default_factory=list[float])
    timed_nats: list[float] = field(default_factory=list[float])
    tokens: int = 0
    padded_tokens: int = 0
    peak_bytes: int = 0

    def add(self, sample: dict[str, Any]) -> None:
        """One more timed sample, as the worker tells it."""
        self.seconds.append(sample["seconds"])
        self.timed_nats += sample["losses_nats"]
        self.tokens += sample["tokens"]
        self.padded_tokens += sample["padded_tokens"]
        self.peak_bytes = sample["peak_bytes"]


@dataclass(slots=True)
class Found:
    """All results of one call, and why others are missing. Those of `OURS` and `TRAINER` are always there."""

    case: TuneCase
    steps: int
    repeats: int
    results: dict[str, Result] = field(default_factory=dict[str, Result])
    left_out: list[str] = field(default_factory=list[str])

    def examples_per_s(self, contender: str) -> float:
        """From the median sample."""
        return self.steps * self.case.batch_size / statistics.median(self.results[contender].seconds)

    def rows(self) -> Iterator[Row]:
        """Ours against each way of the Trainer, in speed, in loss and in memory."""
        for ours, peer in COMPARED:
            if {ours, peer} <= self.results.keys():
                yield self._speed(ours, peer, SPEED_AT_LEAST.get((ours, peer)))
        if OURS_FP32 in self.results:
            yield self._loss(OURS_FP32, TRAINER)
        ours_gb, theirs_gb = (self.results[who].peak_bytes / 1e9 for who in (OURS, TRAINER))
        figures = (f"{OURS}: {ours_gb:.2f} GB", f"{TRAINER}: {theirs_gb:.2f} GB", f"{ours_gb / theirs_gb:.2f}")
        yield Row("fine-tune, peak memory", *figures)

    def findings(self) -> Findings:
        left_out = [f"Left out: {reason}." for reason in (*ABSENT, *self.left_out)]
        details = "\n\n".join([table(HEADING, [*self._lines()]), *left_out, self._method()])
        return Findings([*self.rows()], details, self._numbers())

    def _numbers(self) -> dict[str, Any]:
        """Every raw sample; paths stay out."""
        return {
            "case": self.case.model_dump(mode="json", exclude={"examples", "tokenizer"}),
            "steps": self.steps,
            "results": [
                asdict(result) | {"examples_per_s": self.examples_per_s(name)} for name, result in self.results.items()
            ],
            "left_out": [*ABSENT, *self.left_out],
        }

    def _speed(self, ours: str, peer: str, target: float | None = None) -> Row:
        here, there = self.examples_per_s(ours), self.examples_per_s(peer)
        ratio = here / there
        figures = (f"{ours}: {here:,.2f}", f"{peer}: {there:,.2f}", f"{ratio:.2f}")
        return Row("fine-tune, examples/s", *figures, *at_least(ratio, target))

    def _loss(self, ours: str, peer: str) -> Row:
        here, there = (self.results[who].checked_nats for who in (ours, peer))
        apart = max(abs(a - b) for a, b in zip(here, there, strict=True))
        figures = (f"{ours}: {here[-1]:.5f}", f"{peer}: {there[-1]:.5f}", f"{apart:.1e} apart at most")
        what = f"fine-tune, loss of {CHECK_STEPS} steps"
        return Row(what, *figures, *at_most(apart, LOSS_TOLERANCE, form="g"))

    def _lines(self) -> Iterator[tuple[str, ...]]:
        ours = self.examples_per_s(OURS)
        for name, result in self.results.items():
            speed = self.examples_per_s(name)
            checked = [f"{result.checked_nats[step]:.5f}" for step in (0, -1)] if result.checked_nats else ["", ""]
            padding = f"{result.padded_tokens / result.tokens:.2f}"
            mean, peak = f"{statistics.mean(result.timed_nats):.4f}", f"{result.peak_bytes / 1e9:.2f}"
            yield name, f"{speed:,.2f}", f"{speed / ours:.2f}", padding, *checked, mean, peak

    def _method(self) -> str:
        train = TuneConfig()
        return METHOD.format(
            parameters=self.results[OURS].parameters,
            n_examples=self.case.n_examples,
            batch_size=self.case.batch_size,
            transformers=version("transformers"),
            learning_rate=train.learning_rate,
            weight_decay=train.weight_decay,
            check_steps=CHECK_STEPS,
            loss_tolerance=LOSS_TOLERANCE,
            bf16_tolerance=BF16_TOLERANCE,
            dropout=self.case.dropout,
            steps=self.steps,
            n=self.repeats,
        )
