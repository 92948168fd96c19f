"""What is reported of a task's outcomes, each with its standard error over the records. Needs no torch.

A `Measure` is a mean over records, seen through a link (perplexity is exp of a mean), or any function of all outcomes,
whose standard error is then bootstrapped.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gptrilogy.data.permutation import draw
from gptrilogy.evaluation.items import Choice, Outcome, Outcomes, Passage
from gptrilogy.evaluation.metrics import f1, macro_f1

RESAMPLES = 200


class Value(NamedTuple):
    """A measure, its standard error over records, and how many records. Shares are fractions, not percentages."""

    value: float
    stderr: float
    n: int


@dataclass(frozen=True, slots=True)
class Measure:
    """A name and what it says of outcomes. `lower_is_better`: perplexities."""

    name: str
    of: Callable[[Outcomes], float]
    lower_is_better: bool = False

    def __call__(self, outcomes: Outcomes) -> Value:
        """Raises: AssertionError without outcomes."""
        assert outcomes, "a measure needs at least one outcome"
        records = by_record(outcomes)
        return Value(self.of(outcomes), self._stderr(records), len(records))

    def _stderr(self, records: Sequence[Outcomes]) -> float:
        """The spread of the measure over records drawn with replacement, the same records for every model."""
        if len(records) < 2:
            return math.nan
        index, n = np.arange(len(records), dtype=np.uint64), np.uint64(len(records))
        values: list[float] = []
        for number in range(RESAMPLES):
            chosen: list[int] = (draw(0, number, index) % n).tolist()
            values.append(self.of([outcome for i in chosen for outcome in records[i]]))
        return float(np.std(values, ddof=1)) if np.isfinite(values).all() else math.nan


@dataclass(frozen=True, slots=True)
class Mean(Measure):
    """A measure that is a mean of one number a record, whose standard error has a formula."""

    each: Callable[[Outcomes], float] = lambda _: math.nan

    def _stderr(self, records: Sequence[Outcomes]) -> float:
        if len(records) < 2:
            return math.nan
        return float(np.std([self.each(record) for record in records], ddof=1)) / math.sqrt(len(records))


def mean_of(name: str, each: Callable[[Outcomes], float]) -> Mean:
    """The mean of a number that each record has.

    >>> tenth = mean_of("tenth", lambda record: len(record) / 10)
    >>> tenth([Outcome(Passage("a", 1), record=0), Outcome(Passage("b", 1), record=1)])
    Value(value=0.1, stderr=0.0, n=2)
    """
    return Mean(name, lambda outcomes: float(np.mean([each(record) for record in by_record(outcomes)])), each=each)


def by_record(outcomes: Outcomes) -> list[list[Outcome]]:
    """The outcomes of each record together, in the order in which records first occur."""
    records: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        records[outcome.record].append(outcome)
    return list(records.values())


def _right_choice(outcome: Outcome) -> bool:
    assert isinstance(outcome.item, Choice)
    return outcome.chosen in outcome.item.gold


def _per_unit(outcomes: Outcomes) -> float:
    """-log p a unit of the original text, in nats."""
    units = sum(outcome.item.n_units for outcome in outcomes if isinstance(outcome.item, Passage))
    return -math.fsum(outcome.nats for outcome in outcomes) / units


def _exp(nats: float) -> float:
    """A perplexity, inf where no number holds it."""
    return math.exp(nats) if nats < 700 else math.inf


ACCURACY = mean_of("acc", lambda record: float(np.mean([_right_choice(outcome) for outcome in record])))
ALL_RIGHT = mean_of("acc", lambda record: float(all(map(_right_choice, record))))
GREEDY_ACCURACY = mean_of("acc", lambda record: float(np.mean([outcome.right for outcome in record])))
CLOZE_PERPLEXITY = Measure(
    "ppl", lambda outcomes: _exp(-math.fsum(o.nats for o in outcomes) / len(outcomes)), lower_is_better=True
)
PERPLEXITY = Measure("ppl", lambda outcomes: _exp(_per_unit(outcomes)), lower_is_better=True)
BITS = Measure("bits", lambda outcomes: _per_unit(outcomes) / math.log(2), lower_is_better=True)


def _labels(outcomes: Outcomes) -> tuple[list[int], list[int]]:
    truth = [outcome.item.gold[0] for outcome in outcomes if isinstance(outcome.item, Choice)]
    chosen = [-1 if outcome.chosen is None else outcome.chosen for outcome in outcomes]
    return truth, chosen


def _macro_f1(outcomes: Outcomes) -> float:
    truth, chosen = _labels(outcomes)
    return macro_f1(np.array(truth), np.array(chosen))


def _answer_f1(outcomes: Outcomes) -> float:
    truth, chosen = _labels(outcomes)
    return f1(np.array(truth), np.array(chosen), positive=0)


MACRO_F1 = Measure("f1", _macro_f1)
ANSWER_F1 = Measure("f1a", _answer_f1)  # option 0 is the positive one, "True"
