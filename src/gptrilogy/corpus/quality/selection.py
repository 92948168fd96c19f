"""Which documents their scores let in: GPT-3's draw, that lets a few poor ones through, or a threshold.

Source: GPT3 Appendix A keeps a document if `np.random.pareto(9) > 1 - document_score`.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from gptrilogy.config import Config
from gptrilogy.corpus.documents import Reason
from gptrilogy.corpus.draws import draw
from gptrilogy.errors import DataError

N_BINS = 20


class Selection(Config):
    """The rule by which a score keeps or drops a document."""

    rule: Literal["pareto", "threshold"] = "pareto"
    alpha: Annotated[int, Field(ge=1, le=1000)] = 9  # of the Pareto law, GPT3 Appendix A; higher keeps fewer
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5  # the least score that is kept; ours
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0  # of the draws; ours


def select(scores: ArrayLike, ids: Sequence[str], selection: Selection) -> NDArray[np.bool_]:
    """Whether each document is kept, which depends on its own score and id alone.

    numpy's Pareto numbers begin at 0, so that one exceeds 1 - s with the chance (2 - s)^-alpha. What is compared is a
    uniform number with that chance, by multiplications only, which every machine rounds alike.

    Shapes: scores (N,) -> (N,)

    >>> select([1.0, 0.0], ["emma.txt", "spam.txt"], Selection()).tolist()
    [True, False]
    """
    checked = _checked(scores)
    if checked.size != len(ids):
        raise DataError(f"every document needs one score, got {checked.size} scores and {len(ids)} ids")
    if selection.rule == "threshold":
        return checked >= selection.threshold
    chance = uniform(ids, selection.seed)
    for _ in range(selection.alpha):
        chance *= 2.0 - checked
    return chance < 1.0


def keep_probability(scores: ArrayLike, alpha: int = 9) -> NDArray[np.float64]:
    """The chance that GPT-3's draw keeps a document of each score.

    >>> keep_probability([0, 0.5, 1]).round(4).tolist()
    [0.002, 0.026, 1.0]
    """
    return (2.0 - _checked(scores)) ** -alpha


def uniform(ids: Iterable[str], seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each id, a multiple of 2^-53."""
    draws = np.array([draw("quality: keep", document_id, seed) for document_id in ids], np.uint64)
    return (draws >> np.uint64(11)).astype(np.float64) * 2.0**-53


def dropped(score: float, selection: Selection) -> Reason:
    """Why a document of this score is not kept.

    >>> dropped(0.5, Selection())
    Reason(name='low quality', detail='score 0.5000, kept with a chance of 0.0260')
    >>> dropped(0.25, Selection(rule="threshold"))
    Reason(name='low quality', detail='score 0.2500, at least 0.5')
    """
    if selection.rule == "threshold":
        return Reason("low quality", f"score {score:.4f}, at least {selection.threshold:g}")
    chance = float(keep_probability(score, selection.alpha))
    return Reason("low quality", f"score {score:.4f}, kept with a chance of {chance:.4f}")


def histogram(scores: ArrayLike) -> NDArray[np.int64]:
    """How many scores fall into each twentieth of 0 to 1, the last one with its end; histograms of parts add up.

    >>> histogram([0.0, 0.04, 0.05, 1.0]).tolist()
    [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    """
    bins = np.minimum((_checked(scores) * N_BINS).astype(np.int64), N_BINS - 1)
    return np.bincount(bins, minlength=N_BINS)


def _checked(scores: ArrayLike) -> NDArray[np.float64]:
    checked = np.asarray(scores, np.float64)
    wrong = checked[~((checked >= 0) & (checked <= 1))]
    if wrong.size:
        raise DataError(f"a quality score must lie in 0..1, got {wrong.flat[0]}: score the documents again")
    return checked
