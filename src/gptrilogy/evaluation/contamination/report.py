"""How much of a test set a training corpus holds, and what that does to its scores, as GPT-3 reports it.

Needs no torch. An example is dirty if N words in a row of it stand anywhere in the corpus, else clean; N is a task's
5th percentile of example lengths, within bounds. An example is what a demonstration shows of a record, answer
included: so ARC-Easy's N is 11 and ARC-Challenge's 12, as Table C.1 prints; the question with all options has 16 and
18. An example of fewer words than N is clean.

Source: GPT3 Appendix C, Table C.1.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias, cast

import numpy as np

from gptrilogy.corpus.documents import Document
from gptrilogy.corpus.ngrams import normalise, words_of
from gptrilogy.errors import DataError
from gptrilogy.evaluation.contamination.collisions import OnProgress, Overlap, Search, search
from gptrilogy.evaluation.contamination.gram_index import build_index
from gptrilogy.evaluation.data import items_of, read_split
from gptrilogy.evaluation.reading import json_lines
from gptrilogy.evaluation.task import Record, Task
from gptrilogy.files import read_json

SHORTEST, LONGEST = 8, 13
SHORTEST_SYNTHETIC = 2
RECORDS, RESULTS = "records.jsonl", "results.json"
_SYNTHETIC = ("§3.9.1", "§3.9.2")  # GPT-3's arithmetic and its tasks on letters


@dataclass(frozen=True, slots=True)
class Examples:
    """A task's test examples as texts, by record, the N to look for, and the SHA-256 of the files they came from."""

    task: Task
    texts: tuple[str, ...]
    n: int
    files: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class TaskOverlap:
    """A task's dirty examples by record number, from 0, each with the first passage that makes it so."""

    task: Task
    n: int
    total: int
    dirty: Mapping[int, Overlap]

    @property
    def n_clean(self) -> int:
        return self.total - len(self.dirty)

    @property
    def clean_share(self) -> float:
        return self.n_clean / self.total


class Setting(NamedTuple):
    """What an evaluation's values belong to."""

    model: str
    task: str
    shots: int
    rule: str
    metric: str


Values: TypeAlias = list[tuple[int, float]]  # record number and its value; once for each draw of demonstrations


class Scores(NamedTuple):
    """The mean over all examples, over the dirty and over the clean; none where there is no such example."""

    all: float | None
    dirty: float | None
    clean: float | None

    @property
    def log_difference(self) -> float | None:
        """Of clean against all: ln(clean / all)."""
        return None if self.all is None or self.clean is None else log_difference(self.all, self.clean)

    @property
    def symmetric_difference(self) -> float | None:
        return None if self.all is None or self.clean is None else symmetric_difference(self.all, self.clean)


def log_difference(all_score: float, clean_score: float) -> float | None:
    """ln(clean / all), one of two readings of "relative difference" that give every row of Table C.1.

    The plain (clean - all) / all does not: it makes 22% of QuAC's 20%. None where a score is not above 0.

    >>> [round(100 * (difference(44.3, 54.1) or 0)) for difference in (log_difference, symmetric_difference)]
    [20, 20]
    """
    return math.log(clean_score / all_score) if all_score > 0 and clean_score > 0 else None


def symmetric_difference(all_score: float, clean_score: float) -> float | None:
    """(clean - all) over the mean of both, the other reading. None where that mean is 0."""
    return 2 * (clean_score - all_score) / (clean_score + all_score) if clean_score + all_score else None


def read_examples(task: Task, folder: Path | None) -> Examples:
    """The test examples of a task and its N.

    Raises: DataError as `read_split` and `items_of`.
    """
    split = read_split(task, "test", folder)
    texts = tuple(
        "\n".join(dict.fromkeys(item.demonstration for item in items_of(task, split, number, 0)))
        for number in range(len(split.records))
    )
    n = gram_length([count_words(text) for text in texts], synthetic=is_synthetic(task))
    return Examples(task, texts, n, split.files)


def gram_length(lengths: Sequence[int], *, synthetic: bool) -> int:
    """N for examples of so many words: their 5th percentile, from 8 to 13, or from 2 where the task is synthetic.

    >>> [gram_length([words] * 20, synthetic=False) for words in (2, 11, 300)], gram_length([2], synthetic=True)
    ([8, 11, 13], 2)
    """
    shortest = SHORTEST_SYNTHETIC if synthetic else SHORTEST
    return min(max(int(np.percentile(lengths, 5)), shortest), LONGEST)


def is_synthetic(task: Task) -> bool:
    return any(section in task.source for section in _SYNTHETIC)


def count_words(text: str) -> int:
    return len(words_of(normalise(text)).hashes)


def find_overlaps(
    examples: Sequence[Examples],
    documents: Iterable[Document],
    *,
    processes: int = 1,
    on_progress: OnProgress | None = None,
) -> tuple[list[TaskOverlap], Search]:
    """Every task's dirty examples, in one pass over the corpus, and what was read.

    Raises: what `documents` raises; RunError as `search`.
    """
    texts = [text for one in examples for text in one.texts]
    lengths = [one.n for one in examples for _ in one.texts]
    searched = search(build_index(texts, lengths), documents, processes=processes, on_progress=on_progress)
    results: list[TaskOverlap] = []
    first = 0
    for one in examples:
        numbers = (number for number in range(len(one.texts)) if first + number in searched.found)
        dirty = {number: searched.found[first + number] for number in numbers}
        results.append(TaskOverlap(one.task, one.n, len(one.texts), dirty))
        first += len(one.texts)
    return results, searched


def divide_scores(values: Values, dirty: Collection[int], *, geometric: bool = False) -> Scores:
    """Means over all values, those of dirty records and those of clean ones; `geometric` ones for perplexities.

    >>> divide_scores([(0, 1.0), (1, 0.0), (2, 1.0), (3, 0.0)], dirty={0})
    Scores(all=0.5, dirty=1.0, clean=0.3333333333333333)
    """
    dirty_values = [value for record, value in values if record in dirty]
    clean_values = [value for record, value in values if record not in dirty]
    mean = _geometric_mean if geometric else _mean
    return Scores(mean(dirty_values + clean_values), mean(dirty_values), mean(clean_values))


def check_evaluated(scores: Path, examples: Iterable[Examples]) -> None:
    """Refuse scores of other test files than those that were searched for, as far as `results.json` beside them says.

    Raises: DataError.
    """
    file = (scores if scores.is_dir() else scores.parent) / RESULTS
    if not file.is_file():
        return
    try:
        evaluated = cast("Mapping[str, Mapping[str, str]]", read_json(file)["files"])
        for one in examples:
            theirs = evaluated.get(one.task.name, {})
            if other := next((name for name, digest in one.files.items() if theirs.get(name, digest) != digest), None):
                raise DataError(
                    f"{scores} has scores of another {other} of {one.task.name}: give --data the folder that was "
                    "evaluated, or evaluate again"
                )
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
        raise DataError(f"{file} is not what `gpt evaluate --out` wrote; evaluate again") from None


def read_scores(path: Path) -> dict[Setting, Values]:
    """The values of each record that an evaluation left in a folder, or in the file `records.jsonl` of one.

    Raises: DataError where there is none, naming the line where one is not such a row.
    """
    file = path / RECORDS if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{path} holds no {RECORDS}: name the folder that `gpt evaluate --out` wrote")
    scores: dict[Setting, Values] = defaultdict(list)
    for number, row in enumerate(json_lines(file), start=1):
        if row.get("value", 0.0) is None:  # was not a number, such as the perplexity of what cannot be
            continue
        setting, record, value = _score(row, f"{file}, row {number}")
        scores[setting].append((record, value))
    return dict(scores)


def scores_of(overlap: TaskOverlap, scores: Mapping[Setting, Values]) -> list[tuple[Setting, Scores]]:
    """A task's scores in every setting it was evaluated in, divided.

    Raises: DataError where they are of other records than were searched for.
    """
    name = overlap.task.name
    divided: list[tuple[Setting, Scores]] = []
    for setting, values in scores.items():
        if setting.task == name:
            if (last := max(record for record, _ in values)) >= overlap.total:
                raise DataError(
                    f"the scores of {name} speak of record {last + 1}, its test file has {overlap.total}: "
                    "give --data the folder that was evaluated"
                )
            divided.append((setting, divide_scores(values, overlap.dirty, geometric=setting.metric == "ppl")))
    return divided


def _score(row: Record, where: str) -> tuple[Setting, int, float]:
    fields = {"model": str, "task": str, "shots": int, "rule": str, "metric": str, "record": int, "value": int | float}
    for name, kind in fields.items():
        if name not in row:
            raise DataError(f"{where} has no field {name}; evaluate again")
        if not isinstance(row[name], kind) or isinstance(row[name], bool):
            raise DataError(f"{where}: {name} must be {'text' if kind is str else 'a number'}, got {row[name]!r:.40}")
    if row["record"] < 0 or not math.isfinite(row["value"]):
        raise DataError(f"{where}: record {row['record']} with the value {row['value']} cannot be; evaluate again")
    setting = Setting(row["model"], row["task"], row["shots"], row["rule"], row["metric"])
    return setting, cast("int", row["record"]), float(row["value"])


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _geometric_mean(values: Sequence[float]) -> float | None:
    """Of perplexities, whose logarithms are what a model was asked for."""
    if not all(value > 0 for value in values):
        raise DataError("a perplexity of 0 or less cannot be; evaluate again")
    nats = _mean([math.log(value) for value in values])
    return None if nats is None else math.exp(nats)
