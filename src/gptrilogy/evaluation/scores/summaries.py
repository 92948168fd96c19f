"""ROUGE of the first three sentences of a summary. Needs the extra `scores`, and no torch.

F1 over stemmed words as pyrouge takes it; ROUGE-L is the summary's, over the union of longest common subsequences of
its sentences, which tables of CNN/Daily Mail print.

Source: Lin 2004; GPT2 §3.6, which names no script.
"""

from functools import lru_cache
from statistics import fmean
from typing import Any, NamedTuple

from gptrilogy.evaluation.items import Free, Outcomes
from gptrilogy.evaluation.measures import Mean, mean_of
from gptrilogy.evaluation.scores.sentences import first_sentences
from gptrilogy.extras import needs

SENTENCES = 3


class Rouge(NamedTuple):
    """F1 over words, pairs of words, and longest common subsequences; fractions of 1."""

    rouge1: float
    rouge2: float
    rouge_l: float


@lru_cache(maxsize=2**15)  # four measures ask for the same three numbers, each twice
def rouge(summary: str, reference: str) -> Rouge:
    """The scores of a summary, one sentence a line, against one reference.

    Raises: MissingExtraError without `rouge-score`.
    """
    with needs("scores", purpose="ROUGE"):
        from rouge_score.rouge_scorer import RougeScorer  # pyright: ignore[reportUnknownVariableType]  # has no types
    scorer: Any = RougeScorer(["rouge1", "rouge2", "rougeLsum"], use_stemmer=True)
    scores = scorer.score(target=reference, prediction=summary)
    return Rouge(*(float(scores[kind].fmeasure) for kind in ("rouge1", "rouge2", "rougeLsum")))


def _of_record(outcomes: Outcomes) -> Rouge:
    (outcome,) = outcomes
    assert isinstance(outcome.item, Free)
    return rouge("\n".join(first_sentences(outcome.text, SENTENCES)), outcome.item.answers[0])


def _measure(name: str) -> Mean:
    return mean_of(name, lambda outcomes: getattr(_of_record(outcomes), name))


ROUGE_1, ROUGE_2, ROUGE_L = map(_measure, Rouge._fields)
ROUGE_MEAN = mean_of("rouge", lambda outcomes: fmean(_of_record(outcomes)))
