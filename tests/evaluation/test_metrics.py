import math
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats as scipy_stats
from sklearn import metrics as sklearn_metrics

from gptrilogy.evaluation.metrics import (
    Estimate,
    Numbers,
    accuracy,
    bootstrap,
    confusion,
    f1,
    macro_f1,
    matthews,
    over_seeds,
    paired_difference,
    pearson,
    spearman,
)

Pair: TypeAlias = tuple[Numbers, Numbers]
Metric: TypeAlias = Callable[[Numbers, Numbers], float]

METRICS: list[Metric] = [accuracy, f1, macro_f1, matthews, pearson, spearman]
stats: Any = scipy_stats  # the types that pyright knows for these two are of older releases
sklearn: Any = sklearn_metrics


def labels(*values: int) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def numbers(*values: float) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


@st.composite
def labellings(draw: st.DrawFn) -> Pair:
    """Truth and predictions over some of up to 9 classes: often one is absent from a side, or from both."""
    classes = st.sampled_from(draw(st.lists(st.integers(0, 8), min_size=1, max_size=9)))
    pairs = draw(st.lists(st.tuples(classes, classes), min_size=1, max_size=60))
    truth, predicted = zip(*pairs, strict=True)
    return labels(*truth), labels(*predicted)


@st.composite
def gradings(draw: st.DrawFn) -> Pair:
    """Grades from 0.0 to 5.0 in tenths, as people give them in STS-B, with many ties; neither side constant."""
    grades = st.integers(0, 50)
    pairs = draw(st.lists(st.tuples(grades, grades), min_size=2, max_size=60))
    truth, predicted = zip(*pairs, strict=True)
    assume(len(set(truth)) > 1)
    assume(len(set(predicted)) > 1)
    return numbers(*truth) / 10, numbers(*predicted) / 10


@given(pair=labellings())
def test_accuracy_and_mean_f1_are_those_of_scikit_learn(pair: Pair):
    assert accuracy(*pair) == pytest.approx(sklearn.accuracy_score(*pair), abs=1e-12)
    assert macro_f1(*pair) == pytest.approx(sklearn.f1_score(*pair, average="macro", zero_division=0), abs=1e-12)


@given(pair=labellings())
def test_matthews_correlation_is_that_of_scikit_learn(pair: Pair):
    assume(len(np.union1d(*pair)) > 1)
    assert matthews(*pair) == pytest.approx(sklearn.matthews_corrcoef(*pair), abs=1e-12)


@given(pair=labellings(), positive=st.integers(0, 9))
def test_the_f1_of_each_class_is_that_of_scikit_learn(pair: Pair, positive: int):
    expected = sklearn.f1_score(*pair, labels=[positive], average="macro", zero_division=0)
    assert f1(*pair, positive=positive) == pytest.approx(expected, abs=1e-12)


@given(pair=labellings(), n_more=st.integers(0, 3))
def test_the_confusion_is_that_of_scikit_learn(pair: Pair, n_more: int):
    n_classes = max(2, int(np.max(pair)) + 1 + n_more)
    expected = sklearn.confusion_matrix(*pair, labels=range(n_classes))
    np.testing.assert_array_equal(confusion(*pair, n_classes), expected)


@given(pair=gradings())
def test_the_correlations_of_grades_are_those_of_scipy(pair: Pair):
    assert pearson(*pair) == pytest.approx(stats.pearsonr(*pair).statistic, abs=1e-12)
    assert spearman(*pair) == pytest.approx(stats.spearmanr(*pair).statistic, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_correlations_of_many_numbers_are_those_of_scipy_on_any_scale(scale: float, offset: float):
    random = np.random.default_rng(0)
    truth = random.normal(size=5_000)
    predicted = truth + random.normal(size=5_000)
    moved = (predicted + offset) * scale
    assert pearson(truth, moved) == pytest.approx(stats.pearsonr(truth, predicted).statistic, abs=1e-9)
    assert spearman(truth, moved) == pytest.approx(stats.spearmanr(truth, moved).statistic, abs=1e-12)


def test_a_thousand_classes_of_many_examples_are_scored_as_by_scikit_learn():
    random = np.random.default_rng(0)
    truth = random.integers(0, 1_000, 20_000)
    predicted = np.where(random.random(20_000) < 0.5, truth, random.integers(0, 1_000, 20_000))
    assert matthews(truth, predicted) == pytest.approx(sklearn.matthews_corrcoef(truth, predicted), abs=1e-12)
    assert macro_f1(truth, predicted) == pytest.approx(sklearn.f1_score(truth, predicted, average="macro"), abs=1e-12)


def test_a_million_examples_overflow_no_integer():
    truth = np.repeat([0, 1], 500_000)
    predicted = truth.copy()
    predicted[:250_000] = 1
    assert matthews(truth, predicted) == pytest.approx(1 / math.sqrt(3), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_the_truth_itself_scores_one(metric: Metric):
    random = np.random.default_rng(0)
    for n in (2, 3, 10, 999):
        truth = np.concatenate([labels(0, 1), random.integers(0, 3, n)])
        assert metric(truth, truth) == 1.0


def test_rounding_carries_no_correlation_beyond_one():
    random = np.random.default_rng(0)
    for _ in range(50):
        grades = random.random(10)
        assert pearson(grades, 3 * grades) == pytest.approx(1.0, abs=1e-12)
        assert -1.0 <= pearson(grades, -3 * grades) <= pearson(grades, 3 * grades) <= 1.0


def test_always_yes_has_its_known_scores_on_mrpc():
    truth = np.repeat([1, 0], [279, 129])  # the development set: 408 pairs
    yes = np.ones_like(truth)
    assert (round(100 * accuracy(truth, yes), 1), round(100 * f1(truth, yes), 1)) == (68.4, 81.2)


def test_one_answer_for_all_correlates_with_nothing():
    assert matthews(labels(0, 1, 1), labels(1, 1, 1)) == 0.0
    assert matthews(labels(1, 1, 1), labels(1, 1, 1)) == 0.0
    assert pearson(numbers(0.0, 2.5, 5.0), numbers(0.1, 0.1, 0.1)) == 0.0
    assert spearman(numbers(0.1, 0.1, 0.1), numbers(0.0, 2.5, 5.0)) == 0.0
    assert pearson(numbers(1.0), numbers(2.0)) == 0.0


def test_an_f1_of_a_class_that_never_occurs_is_zero_and_left_out_of_the_mean():
    truth, predicted = labels(0, 0, 2, 2), labels(0, 0, 2, 0)
    assert f1(truth, predicted, positive=1) == 0.0
    assert macro_f1(truth, predicted) == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_a_class_that_was_only_guessed_counts_as_zero_in_the_mean():
    assert macro_f1(labels(0, 0), labels(0, 1)) == pytest.approx((2 / 3 + 0) / 2)


def test_labels_may_come_as_floats():
    truth, predicted = labels(0, 1, 2, 2), labels(0, 1, 1, 2)
    for metric in METRICS:
        assert metric(truth.astype(np.float64), predicted) == metric(truth, predicted)


@pytest.mark.parametrize("metric", METRICS)
def test_what_only_a_bug_would_score_is_refused(metric: Metric):
    with pytest.raises(AssertionError, match="at least one example"):
        metric(labels(), labels())
    with pytest.raises(AssertionError, match=r"shapes are \(2,\) and \(1,\)"):
        metric(labels(0, 1), labels(0))
    with pytest.raises(AssertionError, match="shapes are"):
        metric(np.zeros((2, 2)), np.zeros((2, 2)))


@pytest.mark.parametrize("metric", [pearson, spearman])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_prediction_that_is_not_finite_has_no_rank(metric: Metric, bad: float):
    with pytest.raises(AssertionError, match="a prediction is not finite"):
        metric(numbers(1, 2, 3), numbers(1, 2, bad))


@pytest.mark.parametrize("metric", [macro_f1, matthews])
def test_labels_that_are_no_classes_are_refused(metric: Metric):
    with pytest.raises(AssertionError, match="got -1"):
        metric(labels(0, 1), labels(0, -1))
    with pytest.raises(AssertionError, match="whole numbers"):
        metric(numbers(0, 1), numbers(0, 0.5))


def test_a_label_beyond_the_classes_does_not_wrap_around_in_the_confusion():
    with pytest.raises(AssertionError, match=r"outside 0\.\.1"):
        confusion(labels(0, 1), labels(0, 2), n_classes=2)


def drawn(predicted: Numbers, seed: int = 0) -> list[list[int]]:
    """The examples of five draws."""
    everything, calls = list(range(len(predicted))), list[list[int]]()

    def record(truth: Numbers, _predicted: Numbers) -> float:
        calls.append(truth.astype(np.int64).tolist())
        return 0.0

    bootstrap(record, np.array(everything), predicted, resamples=5, seed=seed)
    return [chosen for chosen in calls if chosen != everything]


def test_a_bootstrap_draws_the_same_examples_on_every_machine():
    assert drawn(np.zeros(8))[:2] == [[1, 0, 6, 3, 1, 4, 5, 4], [0, 3, 2, 5, 2, 5, 4, 0]]


def test_a_bootstrap_draws_other_examples_each_time_and_for_each_seed():
    draws = drawn(np.zeros(8)) + drawn(np.zeros(8), seed=1)
    assert len({tuple(draw) for draw in draws}) == 10


def test_models_are_bootstrapped_on_the_same_examples():
    """Else two models that err on the same examples would seem to differ."""
    assert drawn(np.zeros(30)) == drawn(np.ones(30))


def test_a_bootstrap_scores_each_prediction_beside_its_own_truth():
    truth = np.random.default_rng(0).integers(0, 3, 50)
    assert bootstrap(accuracy, truth, truth) == Estimate(1.0, 1.0, 1.0)


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error_says():
    value, low, high = bootstrap(accuracy, np.ones(2_000), np.repeat([1, 0], [1_600, 400]), resamples=4_000)
    margin = 1.96 * math.sqrt(0.8 * 0.2 / 2_000)
    assert value == 0.8
    assert (low, high) == pytest.approx((0.8 - margin, 0.8 + margin), abs=0.001)


def test_a_bootstrap_draws_every_example_equally_often():
    times = np.zeros(7)

    def count(truth: Numbers, _predicted: Numbers) -> float:
        times[:] += np.bincount(truth.astype(np.int64), minlength=7)
        return 0.0

    bootstrap(count, np.arange(7), np.arange(7), resamples=10_000)
    assert stats.chisquare(times - 1).pvalue > 0.001  # less one each: the value itself is of all examples


@pytest.mark.parametrize("metric", METRICS)
def test_the_bootstrap_of_one_example_knows_no_other(metric: Metric):
    value, low, high = bootstrap(metric, labels(1), labels(1), resamples=10)
    assert low == value == high


def classified(random: np.random.Generator) -> Pair:
    truth = random.integers(0, 2, 200)
    return truth, np.where(random.random(200) < 0.8, truth, 1 - truth)


def graded(random: np.random.Generator) -> Pair:
    truth = random.normal(size=200)
    return truth, 0.6 * truth + 0.8 * random.normal(size=200)


@pytest.mark.parametrize(("metric", "sample", "known"), [(accuracy, classified, 0.8), (pearson, graded, 0.6)])
def test_19_of_20_bootstrap_intervals_hold_the_true_value(
    metric: Metric, sample: Callable[[np.random.Generator], Pair], known: float
):
    """p < 0.001 refuses: below 365 of 400 or above 393. Intervals of 88% would be refused in 98 of 100 such tests."""
    random = np.random.default_rng(0)
    held = 0
    for seed in range(400):
        _, low, high = bootstrap(metric, *sample(random), resamples=100, seed=seed)
        held += low <= known <= high
    assert stats.binomtest(held, 400, 0.95).pvalue > 0.001


@pytest.mark.parametrize("metric", [accuracy, f1, matthews])
def test_a_thousand_resamples_of_ten_thousand_examples_take_under_two_seconds(metric: Metric):
    random = np.random.default_rng(0)
    truth, predicted = random.integers(0, 2, (2, 10_000))
    start_s = time.process_time()
    bootstrap(metric, truth, predicted)
    assert time.process_time() - start_s < 2


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 10, 31, 32, 100, 1001])
def test_the_interval_over_seeds_is_that_of_scipy(n: int):
    values = np.random.default_rng(n).normal(0.8, 0.02, n)
    expected = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    value, low, high = over_seeds(values.tolist())
    assert value == pytest.approx(values.mean(), rel=1e-12)
    assert (low, high) == pytest.approx(expected, rel=1e-9)


def test_one_seed_has_no_interval():
    value, low, high = over_seeds([0.75])
    assert value == 0.75
    assert math.isnan(low)
    assert math.isnan(high)


def test_a_run_without_a_score_is_not_left_out():
    assert all(map(math.isnan, over_seeds([0.7, math.nan, 0.8])))
    assert all(map(math.isnan, paired_difference([0.7, math.nan], [0.6, 0.7])))


def test_no_seeds_have_no_mean():
    with pytest.raises(AssertionError, match="at least one run"):
        over_seeds([])


def test_19_of_20_intervals_over_three_seeds_hold_the_true_mean():
    """p < 0.001 refuses; the normal's 1.96 in place of Student's 4.30 would hold it 81% of the time."""
    runs = np.random.default_rng(0).normal(0.8, 0.02, (2_000, 3))
    held = sum(low <= 0.8 <= high for _, low, high in map(over_seeds, runs.tolist()))
    assert stats.binomtest(held, 2_000, 0.95).pvalue > 0.001


def test_a_paired_difference_is_the_interval_of_the_paired_t_test():
    random = np.random.default_rng(0)
    one, other = random.normal(0.8, 0.02, 5), random.normal(0.79, 0.02, 5)
    expected = stats.ttest_rel(one, other).confidence_interval(0.95)
    value, low, high = paired_difference(one.tolist(), other.tolist())
    assert value == pytest.approx(one.mean() - other.mean(), rel=1e-9)
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_pairing_takes_out_what_the_seeds_share():
    luck = np.random.default_rng(0).normal(0, 0.05, 5)
    better, worse = (0.81 + luck).tolist(), (0.80 + luck).tolist()
    assert paired_difference(better, worse) == pytest.approx((0.01, 0.01, 0.01), abs=1e-12)
    assert over_seeds(better).low < over_seeds(worse).high


def test_runs_that_do_not_match_are_not_compared():
    with pytest.raises(AssertionError, match="got 2 and 1"):
        paired_difference([0.8, 0.9], [0.8])
