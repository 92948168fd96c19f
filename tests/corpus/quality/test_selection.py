"""Keeping by score: the law is that of numpy's Pareto numbers, and a decision is the document's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.config import parse
from gptrilogy.corpus.quality.selection import (
    Selection,
    dropped,
    histogram,
    keep_probability,
    select,
    uniform,
)
from gptrilogy.errors import ConfigError, DataError

IDS = [f"crawl/{i}" for i in range(100_000)]


@pytest.mark.parametrize(("score", "chance"), [(0.0, 2**-9), (0.5, 1.5**-9), (0.9, 1.1**-9)])
def test_a_score_is_kept_as_often_as_the_paper_says(score: float, chance: float) -> None:
    kept = select(np.full(len(IDS), score), IDS, Selection()).mean()
    assert abs(kept - chance) < 3.29 * (chance * (1 - chance) / len(IDS)) ** 0.5  # p = 0.001
    assert keep_probability(score) == pytest.approx(chance, rel=1e-12)


def test_a_perfect_score_is_always_kept() -> None:
    assert select(np.ones(len(IDS)), IDS, Selection()).all()


def test_the_draws_follow_the_law_of_numpys_pareto() -> None:
    ours = np.sort(uniform(IDS, seed=0) ** (-1 / 9) - 1)
    theirs = np.sort(np.random.default_rng(0).pareto(9, len(IDS)))
    points = np.concatenate([ours, theirs])
    distance = np.abs(np.searchsorted(ours, points, "right") - np.searchsorted(theirs, points, "right")).max()
    assert distance / len(IDS) < 1.95 * (2 / len(IDS)) ** 0.5  # Kolmogorov and Smirnov's, p = 0.001


def test_a_document_is_kept_where_its_pareto_number_is_large_enough() -> None:
    scores = np.linspace(0, 1, len(IDS))
    pareto = uniform(IDS, seed=3) ** (-1 / 9) - 1
    clear = np.abs(pareto - (1 - scores)) > 1e-12  # within rounding, either answer is right
    assert clear.mean() > 0.9999
    assert (select(scores, IDS, Selection(seed=3)) == (pareto > 1 - scores))[clear].all()


@given(st.permutations(range(50)))
def test_a_decision_does_not_depend_on_the_others(order: list[int]) -> None:
    scores = np.linspace(0.5, 1, 50)
    kept = select(scores, IDS[:50], Selection())
    assert (select(scores[order], [IDS[i] for i in order], Selection()) == kept[order]).all()


def test_another_seed_draws_anew() -> None:
    scores = np.full(1000, 0.95)
    assert (select(scores, IDS[:1000], Selection(seed=0)) != select(scores, IDS[:1000], Selection(seed=1))).any()


def test_a_higher_alpha_keeps_fewer() -> None:
    scores = np.full(1000, 0.9)
    often, seldom = (select(scores, IDS[:1000], Selection(alpha=alpha)) for alpha in (3, 9))
    assert often.sum() > seldom.sum()
    assert often[seldom].all()


def test_a_threshold_keeps_what_reaches_it() -> None:
    assert select([0.49, 0.5, 0.51], IDS[:3], Selection(rule="threshold")).tolist() == [False, True, True]


def test_no_documents_are_no_decisions() -> None:
    assert select([], [], Selection()).tolist() == []


def test_histograms_of_parts_add_up() -> None:
    scores = uniform(IDS[:1000], seed=0)
    assert (histogram(scores[:300]) + histogram(scores[300:]) == histogram(scores)).all()
    assert (histogram(scores) == np.histogram(scores, 20, (0, 1))[0]).all()


def test_a_reason_names_the_score_beside_its_chance() -> None:
    assert dropped(0.0, Selection()).detail == "score 0.0000, kept with a chance of 0.0020"


@pytest.mark.parametrize("score", [-0.01, 1.01, float("nan"), float("inf")])
def test_what_is_no_score_is_refused(score: float) -> None:
    with pytest.raises(DataError, match=r"a quality score must lie in 0\.\.1, got"):
        select([0.5, score], IDS[:2], Selection())


def test_every_document_needs_a_score() -> None:
    with pytest.raises(DataError, match="got 1 scores and 2 ids"):
        select([0.5], IDS[:2], Selection())


def test_a_rule_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"rule: .*'pareto' or 'threshold', got 'top'"):
        parse(Selection, {"rule": "top"})
