"""What a language model knows of a task nobody trained it on, read from its log-probabilities.

Source: GPT1 §5, "Zero-shot Behaviors".
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gptrilogy.errors import PromptError
from gptrilogy.evaluation.metrics import matthews
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.generation.scoring import encode_pairs

Floats = NDArray[np.float64]


class Question(NamedTuple):
    """A choice: `context` is the document and the question; an answer follows it after a space."""

    context: str
    answers: tuple[str, ...]


class Schema(NamedTuple):
    """A sentence around an ambiguous pronoun: `before`, a referent and `rest` make its text, spaces included."""

    before: str
    referents: tuple[str, ...]
    rest: str


def mean_token_nats(model: LanguageModel, texts: Sequence[str], *, batch_size: int = 1) -> list[float]:
    """The mean log-probability of a text's tokens, the first given <|endoftext|>; texts may be of any length.

    Units: nats a token. Raises: PromptError for an empty text, or where the tokenizer has no <|endoftext|>.
    """
    lengths = _token_counts(model.tokenizer.encode_batch(texts))
    totals = model.loglikelihood_rolling(texts, batch_size=batch_size)
    return [total / length for total, length in zip(totals, lengths, strict=True)]


def acceptability(scores: Sequence[float], *, threshold: float) -> list[bool]:
    """Whether sentences are English, as CoLA asks: those whose `mean_token_nats` lie above a threshold.

    The paper has a threshold and does not say which, nor how it was found; `acceptability_threshold` is our way.
    """
    return [score > threshold for score in scores]


def acceptability_threshold(scores: Sequence[float], labels: Sequence[int]) -> float:
    """The threshold that gives labelled sentences (1: acceptable) the best Matthews correlation; the lowest of equals.

    It lies midway between two neighbouring scores, or is -inf and accepts all where no other is better than that.

    >>> acceptability_threshold([-5.0, -4.0, -3.0, -1.0], [0, 0, 1, 1])
    -3.5
    """
    values, truth = np.array(scores), np.array(labels)
    distinct: Floats = np.unique(values)
    between: Floats = (distinct[1:] + distinct[:-1]) / 2
    candidates: list[float] = [-math.inf, *between.tolist()]
    return max(candidates, key=lambda threshold: matthews(truth, (values > threshold).astype(np.int64)))


def roc_auc(scores: Sequence[float], labels: Sequence[int]) -> float:
    """How often an example of class 1 scores above one of class 0, a tie counting half: what needs no threshold.

    >>> roc_auc([0.1, 0.3, 0.3, 0.9], [0, 0, 1, 1])
    0.875
    """
    values, is_one = np.array(scores), np.array(labels) == 1
    assert is_one.any(), "both classes must occur"
    assert not is_one.all(), "both classes must occur"
    above: Floats = values[is_one][:, None] - values[~is_one]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def sentiment(model: LanguageModel, texts: Sequence[str], *, batch_size: int = 1) -> list[float]:
    """How much likelier each text goes on "very positive" than "very negative", as a probability of the two.

    Texts too long for the context lose their first tokens, with a warning. In byte-level BPE the words may have
    several tokens, whose probabilities are multiplied; the paper's vocabulary has each as one.
    """
    requests = [(f"{text.strip()} very", f" {word}") for text in texts for word in ("positive", "negative")]
    scores = model.loglikelihood(requests, batch_size=batch_size, truncate=True)
    positive, negative = (np.array([score.nats for score in scores[side::2]]) for side in (0, 1))
    likelier: Floats = 1 / (1 + np.exp(negative - positive))
    return likelier.tolist()


def choose_answers(model: LanguageModel, questions: Sequence[Question], *, batch_size: int = 1) -> list[int]:
    """The answer to each question whose tokens have the highest mean log-probability, as RACE is answered."""
    requests = [(question.context.rstrip(), f" {answer}") for question in questions for answer in question.answers]
    nats = _mean_nats(model, requests, batch_size)
    return _best(nats, [len(question.answers) for question in questions])


def resolve_pronouns(model: LanguageModel, schemas: Sequence[Schema], *, batch_size: int = 1) -> list[int]:
    """The referent after which the rest of each sentence has the highest mean log-probability a token.

    Every referent is put in the pronoun's place, and only what follows it is scored.
    """
    requests = [(schema.before + referent, schema.rest) for schema in schemas for referent in schema.referents]
    nats = _mean_nats(model, requests, batch_size)
    return _best(nats, [len(schema.referents) for schema in schemas])


def _mean_nats(model: LanguageModel, requests: Sequence[tuple[str, str]], batch_size: int) -> list[float]:
    """The mean log-probability of each continuation's tokens, given its context."""
    lengths = _token_counts([continuation for _, continuation in encode_pairs(model.tokenizer, requests)])
    scores = model.loglikelihood(requests, batch_size=batch_size, truncate=True)
    return [score.nats / length for score, length in zip(scores, lengths, strict=True)]


def _token_counts(texts: Sequence[Sequence[int]]) -> list[int]:
    lengths = [len(ids) for ids in texts]
    if 0 in lengths:
        place = lengths.index(0) + 1
        raise PromptError(f"text {place} of {len(texts)} has no token, of which a mean could be taken; leave it out")
    return lengths


def _best(values: Iterable[float], sizes: Iterable[int]) -> list[int]:
    """The place of the largest of each group of so many values; the first of equals."""
    rest = iter(values)
    groups = ([next(rest) for _ in range(size)] for size in sizes)
    return [group.index(max(group)) for group in groups]
