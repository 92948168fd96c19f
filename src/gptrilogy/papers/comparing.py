"""Our scores beside the paper's: which of its sizes a model is held against, and what may make the difference."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, cast

from gptrilogy.errors import ConfigError
from gptrilogy.papers.entries import Entry, all_entries, table_entries
from gptrilogy.papers.misprints import misprints_of
from gptrilogy.papers.protocols import PROTOCOLS
from gptrilogy.papers.tables import TABLES, find_table

NOT_SHARES = ("ppl", "bits per byte", "bits per character")  # all else is a percentage there and a fraction here
OUR_METRICS = {  # what measures of the same thing are called here, where not the same
    "acc": ("acc", "em"),
    "bits per byte": ("bits",),
    "bits per character": ("bits",),
    "bleu": ("bleu_sb",),
    "bleu-sb": ("bleu_sb",),
    "average": ("rouge",),
    "rougeL": ("rouge_l",),
}
WIDTHS = {"gpt3-13b": 5120}  # where what is printed is a misprint
SIZE_TABLES = ("gpt1-sizes", "gpt2-2", "gpt3-2.1")


class Score(TypedDict):
    """One of our own scores, by the task's own rule: shares are fractions; the standard error is over records."""

    task: str
    shots: int
    metric: str
    value: float
    stderr: float
    n: int


def score_of(row: Mapping[str, Any]) -> Score:
    """A row of `evaluation.summary` as a score."""
    names = {**{name: name for name in Score.__annotations__}, "stderr": "stderr_items"}
    return cast("Score", {name: row[column] for name, column in names.items()})


class Comparison(NamedTuple):
    """A score of ours and the paper's in the paper's units, and why they may differ."""

    entry: Entry
    task: str
    shots: int
    ours: float
    stderr: float
    n: int
    size: str
    theirs: float
    reasons: tuple[str, ...]

    @property
    def difference(self) -> float:
        return self.ours - self.theirs


def published_sizes() -> dict[str, int]:
    """Non-embedding parameters of each published model, 12 n_layer n_embd^2.

    >>> published_sizes()["gpt3-175b"]
    173946175488
    """
    rows = [row for name in SIZE_TABLES for row in find_table(name).rows]
    return {
        row["size"]: 12 * int(row["n_layer"]) * (WIDTHS.get(row["size"]) or int(row["n_embd"])) ** 2 for row in rows
    }


def nearest_size(n_non_embedding: int, sizes: Sequence[str]) -> str:
    """Of some published sizes, the one nearest in non-embedding parameters, by their ratio.

    >>> nearest_size(1_000_000, ["gpt2-small", "gpt2-xl"])
    'gpt2-small'
    """
    known = published_sizes()
    return min(sizes, key=lambda size: abs(math.log(known[size] / n_non_embedding)))


def describe_size(n_non_embedding: int, size: str) -> str:
    """In words, how far a model is from the published one it is compared with.

    >>> describe_size(1_000_000, "gpt2-small")
    'compared with gpt2-small, the nearest published, which has 84.9 times as many non-embedding parameters'
    """
    ratio = published_sizes()[size] / n_non_embedding
    if ratio == 1:
        return f"compared with {size}, which has as many non-embedding parameters"
    many = f"{ratio:.3g} times as many" if ratio > 1 else f"{1 / ratio:.3g} times fewer"
    return f"compared with {size}, the nearest published, which has {many} non-embedding parameters"


def compare(
    scores: Sequence[Score], published: Mapping[str, str], table: str, n_non_embedding: int
) -> list[Comparison]:
    """Each of our scores that the table has a counterpart of, in the table's order.

    `published`: the result that each of our tasks is in the ledger, as `Task.published` has it.

    Raises: ConfigError where the table holds no results, or none of these scores.
    """
    found = [
        _compare(entry, score, nearest_size(n_non_embedding, list(entry.values)))
        for entry in table_entries(table)
        for score in scores
        if published.get(score["task"]) == entry.result and _same_kind(entry, score)
    ]
    if not found:
        ours = ", ".join(dict.fromkeys(score["task"] for score in scores)) or "nothing"
        raise ConfigError(
            f"{table} has no counterpart of what was evaluated, {ours}; {_tables_with(scores, published)}"
        )
    return found


def counterpart(score: Score, result: str, n_non_embedding: int) -> tuple[str, float] | None:
    """What the papers print for a score of ours: the nearest size, and its number in our units; None where nothing.

    >>> score = Score(task="hellaswag", shots=0, metric="acc", value=0.3, stderr=0.1, n=9)
    >>> counterpart(score, "gpt3-hellaswag", 1_000_000)
    ('gpt3-small', 0.337)
    """
    for entry in all_entries():
        if entry.result == result and entry.values and _same_kind(entry, score):
            size = nearest_size(n_non_embedding, list(entry.values))
            return size, entry.values[size] / (1 if entry.metric in NOT_SHARES else 100)
    return None


def _compare(entry: Entry, score: Score, size: str) -> Comparison:
    factor = 1 if entry.metric in NOT_SHARES else 100
    return Comparison(
        entry,
        score["task"],
        score["shots"],
        ours=factor * score["value"],
        stderr=factor * score["stderr"],
        n=score["n"],
        size=size,
        theirs=entry.values[size],
        reasons=_reasons(entry, score),
    )


def _same_kind(entry: Entry, score: Score) -> bool:
    """Whether metric and setting are the entry's; one whose demonstrations nobody counted takes any number."""
    setting = {0: "zeroshot", 1: "oneshot"}.get(score["shots"], "fewshot")
    metrics = OUR_METRICS.get(entry.metric, (entry.metric,))
    return score["metric"] in metrics and (entry.shots is None or setting == entry.setting)


def _reasons(entry: Entry, score: Score) -> tuple[str, ...]:
    """What is known of why the two numbers may differ, besides the model and what it was trained on."""
    reasons: list[str] = []
    if entry.shots is not None and entry.shots != score["shots"]:
        reasons.append(f"{score['shots']} demonstrations, the paper has {entry.shots}")
    if entry.result in PROTOCOLS:
        reasons += [f"unpublished: {what}" for what in PROTOCOLS[entry.result].unpublished]
    reasons += [f"misprint: {misprint.where} says {misprint.printed}" for misprint in misprints_of(entry.result)]
    return tuple(reasons)


def _tables_with(scores: Sequence[Score], published: Mapping[str, str]) -> str:
    results = {published.get(score["task"]) for score in scores}
    tables = [
        name
        for name, table in TABLES.items()
        if table.results and any(entry.result in results for entry in table_entries(name))
    ]
    return f"these tables have: {', '.join(tables)}" if tables else "no table has"
