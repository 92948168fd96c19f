"""The scores of GPT-1's tables, each a line or two of NumPy, and how far each may be off.

Labels are classes 0, 1, 2, ...; every metric is a fraction or a correlation, which the tables print times 100. Where a
formula would divide by zero the score is 0.0, as in the scripts that GLUE is scored with.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gptrilogy.data.permutation import draw

Numbers: TypeAlias = NDArray[np.float64] | NDArray[np.int64]  # one an example
Counts: TypeAlias = NDArray[np.int64]

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A value and its 95% interval."""

    value: float
    low: float
    high: float


def accuracy(truth: Numbers, predicted: Numbers) -> float:
    """The share of examples whose prediction is right."""
    _check(truth, predicted)
    return float((truth == predicted).mean())


def f1(truth: Numbers, predicted: Numbers, *, positive: int = 1) -> float:
    """The harmonic mean of one class's precision and recall; 0.0 for a class that occurs on neither side.

    >>> f1(np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0]))
    0.6666666666666666
    """
    _check(truth, predicted)
    true, guessed = truth == positive, predicted == positive
    both = true.sum() + guessed.sum()
    hits = (true & guessed).sum()
    return float(2 * hits / both) if both else 0.0


def macro_f1(truth: Numbers, predicted: Numbers) -> float:
    """The mean F1 of the classes that occur in the truth or among the predictions."""
    hits, true, guessed = _counts_by_class(truth, predicted)
    both = true + guessed
    occurs = both > 0
    return float((2 * hits[occurs] / both[occurs]).mean())


def matthews(truth: Numbers, predicted: Numbers) -> float:
    """The correlation of two labellings, of any number of classes; 0.0 where one side is all of one class.

    Source: Matthews 1975 for two classes; R_K of Gorodkin 2004 for more.

    >>> matthews(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]))
    0.5773502691896258
    """
    hits, true, guessed = (counts.astype(np.float64) for counts in _counts_by_class(truth, predicted))
    n = float(len(truth))
    covariance = hits.sum() * n - (true * guessed).sum()
    variances = (n * n - (true * true).sum()) * (n * n - (guessed * guessed).sum())
    return float(covariance / math.sqrt(variances)) if variances else 0.0


def pearson(truth: Numbers, predicted: Numbers) -> float:
    """The linear correlation; 0.0 where one side is constant."""
    _check_finite(truth, predicted)
    if truth.min() == truth.max() or predicted.min() == predicted.max():
        return 0.0
    x, y = _centred(truth), _centred(predicted)
    # Not `@`: the order in which it adds, and with it the last digit, is the machine's.
    correlation = (x * y).sum() / math.sqrt((x * x).sum() * (y * y).sum())
    return min(1.0, max(-1.0, float(correlation)))  # rounding may carry it beyond


def spearman(truth: Numbers, predicted: Numbers) -> float:
    """The correlation of the ranks; examples that tie share the mean of their ranks.

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 1000.0]))
    1.0
    """
    _check_finite(truth, predicted)
    return pearson(_mean_ranks(truth), _mean_ranks(predicted))


def confusion(truth: Numbers, predicted: Numbers, n_classes: int) -> Counts:
    """How often each class was taken for each: rows are the truth, columns the predictions.

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), n_classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    _check(truth, predicted)
    rows, columns = _labels(truth), _labels(predicted)
    assert max(rows.max(), columns.max()) < n_classes, f"a label is outside 0..{n_classes - 1}"
    return np.bincount(rows * n_classes + columns, minlength=n_classes**2).reshape(n_classes, n_classes)


def bootstrap(
    metric: Callable[[Any, Any], float], truth: Numbers, predicted: Numbers, *, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """A metric, and how far the chance of which examples were in the test may have moved it.

    The interval is the middle 95% of the metric over examples drawn with replacement; a draw on which the metric is
    undefined counts as its 0.0. One seed draws the same examples on every machine and for every model scored on them.
    On 200 examples it holds the true value 94 times in 100, a little less often than it should.

    Source: Efron and Tibshirani 1993, chapter 13, the percentile interval.

    >>> bootstrap(accuracy, np.ones(100), np.repeat([1, 0], [80, 20]))
    Estimate(value=0.8, low=0.72, high=0.87)
    """
    _check(truth, predicted)
    index, n = np.arange(len(truth), dtype=np.uint64), np.uint64(len(truth))
    scores: list[float] = []
    for number in range(resamples):
        chosen = (draw(seed, number, index) % n).astype(np.intp)
        scores.append(metric(truth[chosen], predicted[chosen]))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(scores, [tail, 1 - tail]).tolist()
    return Estimate(metric(truth, predicted), low, high)


def over_seeds(values: Sequence[float]) -> Estimate:
    """The mean of runs that differ in their seed alone, with Student's t interval; one run has none, which is nan.

    A run whose score is nan makes all three nan: leaving it out would flatter the rest.

    >>> [round(number, 3) for number in over_seeds([0.5, 0.6, 0.7])]
    [0.6, 0.352, 0.848]
    """
    assert len(values) > 0, "a mean needs at least one run"
    mean = float(np.mean(values))
    if len(values) == 1:
        return Estimate(mean, math.nan, math.nan)
    margin = _t_quantile(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Estimate(mean, mean - margin, mean + margin)


def paired_difference(one: Sequence[float], other: Sequence[float]) -> Estimate:
    """How much more `one` scores than `other`, as the mean over runs matched by seed, with Student's t interval."""
    assert len(one) == len(other), f"runs are matched one to one, got {len(one)} and {len(other)}"
    return over_seeds([left - right for left, right in zip(one, other, strict=True)])


def _check(truth: Numbers, predicted: Numbers) -> None:
    assert truth.shape == predicted.shape == (len(truth),), f"shapes are {truth.shape} and {predicted.shape}"
    assert len(truth) > 0, "a score needs at least one example"


def _check_finite(truth: Numbers, predicted: Numbers) -> None:
    _check(truth, predicted)
    assert np.isfinite(truth).all(), "the truth is not finite"
    assert np.isfinite(predicted).all(), "a prediction is not finite"  # as a rank it would pass for the largest


def _labels(values: Numbers) -> Counts:
    labels = values.astype(np.int64)
    assert np.array_equal(labels, values), "labels must be whole numbers"
    assert labels.min() >= 0, f"labels must be 0, 1, 2, ..., got {labels.min()}"
    return labels


def _counts_by_class(truth: Numbers, predicted: Numbers) -> tuple[Counts, Counts, Counts]:
    """How often each class was guessed rightly, is true, and was guessed."""
    _check(truth, predicted)
    true, guessed = _labels(truth), _labels(predicted)
    n_classes = 1 + max(true.max(), guessed.max())
    right = true[true == guessed]
    return (
        np.bincount(right, minlength=n_classes),
        np.bincount(true, minlength=n_classes),
        np.bincount(guessed, minlength=n_classes),
    )


def _centred(values: Numbers) -> NDArray[np.float64]:
    """Deviations from the mean, in units of the largest, so that their squares neither overflow nor vanish."""
    deviations = values - values.mean(dtype=np.float64)
    return deviations / np.abs(deviations).max()


def _mean_ranks(values: Numbers) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _t_quantile(freedom: int) -> float:
    """The t that Student's |T| stays below with 95%, found by halving the angle that it is the tangent of."""
    low, high = 0.0, math.pi / 2
    while low < (angle := (low + high) / 2) < high:
        low, high = (angle, high) if _t_probability(angle, freedom) < CONFIDENCE else (low, angle)
    return math.sqrt(freedom) * math.tan(low)


def _t_probability(angle: float, freedom: int) -> float:
    """P(|T| < sqrt(freedom) tan(angle)), a finite sum for whole degrees of freedom.

    Source: Abramowitz and Stegun 1964, 26.7.3 for odd ones, 26.7.4 for even ones.
    """
    sine, cosine, odd = math.sin(angle), math.cos(angle), freedom % 2
    term, total = cosine**odd, 0.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * cosine**2
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
