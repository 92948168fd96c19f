"""Measures are their plain formulas; standard errors are over records, by formula or bootstrapped."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score  # pyright: ignore[reportUnknownVariableType]

from gptrilogy.evaluation.items import Choice, Cloze, Option, Outcome, Passage
from gptrilogy.evaluation.measures import (
    ACCURACY,
    ALL_RIGHT,
    ANSWER_F1,
    BITS,
    CLOZE_PERPLEXITY,
    GREEDY_ACCURACY,
    MACRO_F1,
    PERPLEXITY,
    Measure,
    by_record,
    mean_of,
)


def choice(chosen: int | None, *gold: int, record: int = 0) -> Outcome:
    item = Choice(tuple(Option("a", f" {number}") for number in range(3)), gold)
    return Outcome(item, record, chosen=chosen)


def cloze(nats: float, record: int, *, right: bool = False) -> Outcome:
    return Outcome(Cloze("a", " b"), record, right=right, nats=nats)


def passage(nats: float, n_units: int, record: int) -> Outcome:
    return Outcome(Passage("text", n_units), record, nats=nats)


def test_records_keep_their_order_and_their_items():
    outcomes = [choice(0, 0, record=5), choice(1, 0, record=2), choice(2, 0, record=5)]
    assert by_record(outcomes) == [[outcomes[0], outcomes[2]], [outcomes[1]]]


def test_accuracy_is_the_share_of_right_choices():
    outcomes = [choice(0, 0, record=0), choice(1, 0, record=1), choice(2, 1, 2, record=2), choice(None, 1, record=3)]
    value = ACCURACY(outcomes)
    assert (value.value, value.n) == (0.5, 4)
    assert value.stderr == pytest.approx(math.sqrt(0.5 * 0.5 / 3))


def test_a_record_counts_once_however_many_its_questions():
    outcomes = [choice(0, 0, record=0), *(choice(1, 0, record=1) for _ in range(3)), choice(0, 0, record=1)]
    assert ACCURACY(outcomes).value == pytest.approx((1 + 1 / 4) / 2)
    assert ACCURACY(outcomes).n == 2


def test_all_right_wants_every_answer_of_a_record():
    outcomes = [choice(0, 0, record=0), choice(1, 1, record=0), choice(0, 0, record=1), choice(1, 0, record=1)]
    assert ALL_RIGHT(outcomes).value == 0.5
    assert ACCURACY(outcomes).value == 0.75


def test_greedy_accuracy_is_the_share_of_words_the_model_would_write():
    assert GREEDY_ACCURACY([cloze(-1, 0, right=True), cloze(-1, 1), cloze(-1, 2)]).value == pytest.approx(1 / 3)


@given(nats=st.lists(st.floats(-20, 0), min_size=1, max_size=20))
def test_cloze_perplexity_is_the_geometric_mean_of_inverse_probabilities(nats: list[float]):
    value = CLOZE_PERPLEXITY.of([cloze(each, record) for record, each in enumerate(nats)])
    assert value == pytest.approx(float(np.prod([math.exp(-each / len(nats)) for each in nats])))


@given(passages=st.lists(st.tuples(st.floats(-50, 0), st.integers(1, 50)), min_size=1, max_size=9))
def test_perplexity_and_bits_are_by_the_unit_of_all_passages(passages: list[tuple[float, int]]):
    outcomes = [passage(nats, n_units, record) for record, (nats, n_units) in enumerate(passages)]
    loss_nats = -sum(nats for nats, _ in passages) / sum(n_units for _, n_units in passages)
    assert PERPLEXITY.of(outcomes) == pytest.approx(math.exp(loss_nats))
    assert BITS.of(outcomes) == pytest.approx(math.log2(math.exp(loss_nats)), abs=1e-12)


def test_a_uniform_guess_of_bytes_costs_eight_bits():
    assert BITS.of([passage(-100 * math.log(256), 100, 0)]) == pytest.approx(8.0)


def sklearn_f1(truth: Sequence[int], chosen: Sequence[int], average: str) -> float:
    score = f1_score(truth, chosen, average=average, zero_division=0)  # pyright: ignore[reportArgumentType] - untyped
    return float(score)


@given(pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_f1_is_that_of_scikit_learn(pairs: list[tuple[int, int]]):
    outcomes = [choice(chosen, gold, record=record) for record, (chosen, gold) in enumerate(pairs)]
    chosen, gold = zip(*pairs, strict=True)
    assert MACRO_F1.of(outcomes) == pytest.approx(sklearn_f1(gold, chosen, "macro"))
    first = [number == 0 for number in gold], [number == 0 for number in chosen]
    assert ANSWER_F1.of(outcomes) == pytest.approx(sklearn_f1(*first, "binary"))


def test_a_lower_perplexity_is_better_and_a_higher_accuracy():
    assert [m.name for m in (CLOZE_PERPLEXITY, PERPLEXITY, BITS) if m.lower_is_better] == ["ppl", "ppl", "bits"]
    assert not any(m.lower_is_better for m in (ACCURACY, ALL_RIGHT, GREEDY_ACCURACY, MACRO_F1, ANSWER_F1))


@pytest.mark.parametrize("measure", [ACCURACY, MACRO_F1])
def test_one_record_has_no_standard_error(measure: Measure):
    value = measure([choice(0, 0), choice(0, 0)])
    assert (value.value, value.n) == (1.0, 1)
    assert math.isnan(value.stderr)


@pytest.mark.parametrize("measure", [ACCURACY, PERPLEXITY])
def test_a_measure_of_nothing_is_our_own_mistake(measure: Measure):
    with pytest.raises(AssertionError, match="at least one outcome"):
        measure([])


def lengths(outcomes: Sequence[Outcome]) -> float:
    return float(np.mean([outcome.nats for outcome in outcomes]))


def test_the_bootstrap_agrees_with_the_formula_where_there_is_one():
    outcomes = [cloze(float(value), record) for record, value in enumerate(np.random.default_rng(0).normal(size=400))]
    exact = mean_of("mean", lengths)(outcomes).stderr
    # 200 resamples know a standard deviation to about 1 / sqrt(2 * 200) = 5%; four of those
    assert Measure("mean", lengths)(outcomes).stderr == pytest.approx(exact, rel=0.2)


def test_the_bootstrap_draws_the_same_records_each_time():
    outcomes = [cloze(float(number), number) for number in range(10)]
    assert CLOZE_PERPLEXITY(outcomes) == CLOZE_PERPLEXITY(outcomes)


def test_the_bootstrap_draws_whole_records():
    pairs = [outcome for record in range(20) for outcome in (cloze(-1.0, record), cloze(-3.0, record))]
    assert CLOZE_PERPLEXITY(pairs).stderr == pytest.approx(0.0, abs=1e-12)
