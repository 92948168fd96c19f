"""Labelled data for zero-shot heuristics, and the scores of a model on it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TypeVar

import numpy as np

from gptrilogy.errors import DataError
from gptrilogy.evaluation.heuristics import (
    Question,
    Schema,
    acceptability,
    acceptability_threshold,
    choose_answers,
    mean_token_nats,
    resolve_pronouns,
    roc_auc,
    sentiment,
)
from gptrilogy.evaluation.metrics import Estimate, accuracy, matthews
from gptrilogy.files import sha256_json
from gptrilogy.finetuning.published import read_published
from gptrilogy.finetuning.published_questions import Split
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.studies.study import Say
from gptrilogy.studies.winograd import read_schemas

BATCH_SIZE = 32
COLA_TRAINING = 2000  # labelled sentences that the threshold is set on
ACCURACY, MATTHEWS, ROC_AUC = "accuracy", "Matthews", "ROC AUC"

Scores = dict[str, float]
Sentence = tuple[str, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Task:
    """A data set with a heuristic. `digest` names the data.

    `chance`: what each measure gives to random answers, and the middle 95% of what these get on so few examples. Every
    seed is scored on the same ones, so that agreement among seeds gives a score inside this interval no weight.
    """

    name: str
    chance: Mapping[str, Estimate]
    examples: int
    digest: str
    score: Callable[[LanguageModel], Scores]


def read_tasks(data: Path, say: Say, *, limit: int | None = None) -> list[Task]:
    """The tasks whose files are there, each of at most `limit` examples; what is missing is said.

    Raises: DataError where none is there, or a file is not what it should be.
    """
    tasks: list[Task] = []
    for name, (place, build) in TASKS.items():
        if (data / place).exists():
            tasks.append(build(name, data / place, limit))
        else:
            say(f"{name} is left out: there is no {data / place}")
    if not tasks:
        places = ", ".join(place for place, _ in TASKS.values())
        raise DataError(f"{data} holds no data set of this study; it may have {places}")
    return tasks


def cola(name: str, folder: Path, limit: int | None) -> Task:
    """Acceptable above a threshold that training sentences set; both development sets are one, as in GLUE."""
    train = evenly(_sentences("cola", folder, "train"), min(COLA_TRAINING, limit or COLA_TRAINING))
    dev = evenly(_sentences("cola", folder, "valid"), limit)
    if len({label for _, label in dev}) < 2:
        raise DataError(f"{folder} holds {len(dev)} validation sentences of one label, where both must occur")
    n, ones = len(dev), sum(label for _, label in dev)
    chance = {
        MATTHEWS: _around(0.0, math.sqrt(1 / n)),  # its square times n is chi-squared
        ROC_AUC: _around(0.5, math.sqrt((n + 1) / (12 * ones * (n - ones)))),  # Mann and Whitney 1947
    }
    return Task(name, chance, n, _digest([train, dev]), partial(_score_cola, train, dev))


def sst2(name: str, folder: Path, limit: int | None) -> Task:
    """Positive where "very positive" is likelier than "very negative"."""
    rows = evenly(_sentences("sst2", folder, "valid"), limit)
    return Task(name, _guessing([2] * len(rows)), len(rows), _digest(rows), partial(_score_sst2, rows))


def openbookqa(name: str, folder: Path, limit: int | None) -> Task:
    return _multiple_choice(name, _questions("openbookqa", folder), limit)


def arc_easy(name: str, folder: Path, limit: int | None) -> Task:
    return _multiple_choice(name, _questions("arc_easy", folder), limit)


def winograd(name: str, file: Path, limit: int | None) -> Task:
    """The referent after which the rest of the sentence is likeliest."""
    rows = evenly(list(read_schemas(file)), limit)
    return Task(name, _guessing([2] * len(rows)), len(rows), _digest(rows), partial(_score_winograd, rows))


TASKS: dict[str, tuple[str, Callable[[str, Path, int | None], Task]]] = {
    "CoLA": ("finetune/cola", cola),
    "SST-2": ("finetune/sst2", sst2),
    "OpenBookQA": ("finetune/openbookqa", openbookqa),
    "ARC-easy": ("finetune/arc_easy", arc_easy),
    "Winograd": ("eval/wsc273/wsc273.txt", winograd),
}


def evenly(rows: Sequence[T], count: int | None) -> list[T]:
    """So many rows, evenly spaced over all of them; all where there are no more.

    >>> evenly("abcdefg", 3)
    ['a', 'c', 'e']
    """
    taken = min(count or len(rows), len(rows))
    return [rows[place * len(rows) // taken] for place in range(taken)]


def _sentences(name: str, folder: Path, split: Split) -> list[Sentence]:
    """Raises: DataError where a label is neither 0 nor 1."""
    rows: list[Sentence] = []
    for example in read_published(name, folder, split):
        if example.label not in ("0", "1"):
            raise DataError(f"{example.where}: the label must be 0 or 1, got {example.label!r}")
        rows.append((example.texts[0], int(example.label)))
    return rows


def _questions(name: str, folder: Path) -> list[tuple[Question, int]]:
    """Questions with the place of their right answer."""
    rows: list[tuple[Question, int]] = []
    for example in read_published(name, folder, "valid"):
        assert isinstance(example.label, int)
        rows.append((Question(" ".join(filter(None, example.texts)), example.answers), example.label))
    return rows


def _multiple_choice(name: str, questions: Sequence[tuple[Question, int]], limit: int | None) -> Task:
    """The answer whose tokens have the highest mean log-probability after the question."""
    rows = evenly(questions, limit)
    chance = _guessing([len(question.answers) for question, _ in rows])
    return Task(name, chance, len(rows), _digest(rows), partial(_score_choice, rows))


def _guessing(n_answers: Sequence[int]) -> dict[str, Estimate]:
    """The accuracy of a random choice among so many answers to each question."""
    shares = [1 / n for n in n_answers]
    variance = sum(share * (1 - share) for share in shares) / len(shares) ** 2
    return {ACCURACY: _around(fmean(shares), math.sqrt(variance))}


def _around(mean: float, deviation: float) -> Estimate:
    """The middle 95% of a normal distribution."""
    return Estimate(mean, mean - 1.96 * deviation, mean + 1.96 * deviation)


def _score_cola(train: Sequence[Sentence], dev: Sequence[Sentence], model: LanguageModel) -> Scores:
    train_scores = mean_token_nats(model, [text for text, _ in train], batch_size=BATCH_SIZE)
    threshold = acceptability_threshold(train_scores, [label for _, label in train])
    scores = mean_token_nats(model, [text for text, _ in dev], batch_size=BATCH_SIZE)
    labels = [label for _, label in dev]
    found = matthews(np.array(labels), np.array(acceptability(scores, threshold=threshold), np.int64))
    return {MATTHEWS: found, ROC_AUC: roc_auc(scores, labels)}


def _score_sst2(rows: Sequence[Sentence], model: LanguageModel) -> Scores:
    likelier = sentiment(model, [text for text, _ in rows], batch_size=BATCH_SIZE)
    return _accuracy([label for _, label in rows], [int(positive > 0.5) for positive in likelier])


def _score_choice(rows: Sequence[tuple[Question, int]], model: LanguageModel) -> Scores:
    chosen = choose_answers(model, [question for question, _ in rows], batch_size=BATCH_SIZE)
    return _accuracy([right for _, right in rows], chosen)


def _score_winograd(rows: Sequence[tuple[Schema, int]], model: LanguageModel) -> Scores:
    chosen = resolve_pronouns(model, [schema for schema, _ in rows], batch_size=BATCH_SIZE)
    return _accuracy([right for _, right in rows], chosen)


def _accuracy(truth: Sequence[int], predicted: Sequence[int]) -> Scores:
    return {ACCURACY: accuracy(np.array(truth), np.array(predicted))}


def _digest(examples: object) -> str:
    return sha256_json(examples)[:12]
