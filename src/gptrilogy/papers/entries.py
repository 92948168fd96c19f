"""What each model scores at each task, in one shape for all tables.

A table of results has the columns `result`, `title`, `metric`, `setting`, `shots` and `split`, then one for each of our
sizes it has a score of, under the size's name, and one for each other system.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from gptrilogy.config import suggest
from gptrilogy.errors import ConfigError
from gptrilogy.papers.tables import TABLES, Row, Table, find_table

COLUMNS = ("result", "title", "metric", "setting", "shots", "split")
PARTS = ("gpt3-3.2", "gpt3-3.3", "gpt3-3.8")  # what they have of GPT-3 is a part of gpt3-h.1


@dataclass(frozen=True, slots=True)
class Entry:
    """A published score of every size it is published of.

    `result`: the name of the task in the ledger, which `Task.published` gives. `shots`: demonstrations, None where the
    paper does not say. `values`: by size, as printed, so accuracies are percentages. `others`: by the name of another
    system. `first`: whether this metric is the one that a result without further words means.
    """

    result: str
    title: str
    metric: str
    setting: str
    shots: int | None
    split: str
    values: Mapping[str, float]
    others: Mapping[str, float]
    table: Table
    first: bool

    @property
    def name(self) -> str:
        """As `gpt papers explain` takes it; a metric that is not the first ends it.

        >>> [entry.name for entry in find_entries("gpt3-lambada-fewshot")]
        ['gpt3-lambada-fewshot', 'gpt3-lambada-fewshot-ppl']
        """
        ending = "" if self.first else f"-{self.metric}"
        return f"{self.result}-{self.setting}{ending}".replace(" ", "-")


def is_size(column: str) -> bool:
    """Whether a column holds the scores of one of the papers' own models."""
    return column.startswith(("gpt1", "gpt2-", "gpt3-"))


@cache
def table_entries(name: str) -> tuple[Entry, ...]:
    """The entries of one table of results, in its order.

    Raises: ConfigError for an unknown table, and for one that holds no results.
    """
    table = find_table(name)
    if not table.results:
        with_results = [name for name, table in TABLES.items() if table.results]
        raise ConfigError(f"{name} holds no results of tasks; those that do are {', '.join(with_results)}")
    rows = table.rows
    metrics = {row["result"]: row["metric"] for row in reversed(rows)}
    return tuple(_entry(table, row, first=row["metric"] == metrics[row["result"]]) for row in rows)


def _entry(table: Table, row: Row, *, first: bool) -> Entry:
    scores = {column: float(cell) for column, cell in row.items() if column not in COLUMNS and cell}
    return Entry(
        result=row["result"],
        title=row["title"],
        metric=row["metric"],
        setting=row["setting"],
        shots=int(row["shots"]) if row["shots"] else None,
        split=row["split"],
        values=MappingProxyType({name: score for name, score in scores.items() if is_size(name)}),
        others=MappingProxyType({name: score for name, score in scores.items() if not is_size(name)}),
        table=table,
        first=first,
    )


@cache
def all_entries() -> tuple[Entry, ...]:
    """Each published score once, from the table that has the most of it."""
    tables = [table.name for table in TABLES.values() if table.results and not (table.drawn or table.name in PARTS)]
    return tuple(entry for name in tables for entry in table_entries(name))


def find_entries(name: str) -> Sequence[Entry]:
    """The entries of a result in all its settings (`gpt3-lambada`), in one (`gpt3-lambada-fewshot`), or one metric.

    Raises: ConfigError naming the nearest entry to one there is not.
    """
    entries = all_entries()
    found = [entry for entry in entries if name in {entry.result, f"{entry.result}-{entry.setting}", entry.name}]
    if not found:
        known = dict.fromkeys([*(entry.result for entry in entries), *(entry.name for entry in entries)])
        nearest = suggest(name, known)
        hint = nearest if nearest.startswith("did you mean") else "`gpt papers list gpt3-h.1` has most"
        raise ConfigError(f"the ledger has no result {name}; {hint}")
    return found
