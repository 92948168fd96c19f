"""What `gpt papers check` does: a table's tasks put to a model as the paper put them. Imports torch."""

from collections.abc import Sequence
from pathlib import Path

from gptrilogy.errors import ConfigError
from gptrilogy.evaluation.catalogue import TASKS
from gptrilogy.evaluation.harness import Examination, Protocol, Row, describe, evaluate
from gptrilogy.evaluation.journal import Journal
from gptrilogy.evaluation.summary import over_draws
from gptrilogy.evaluation.task import Task
from gptrilogy.loading import load
from gptrilogy.papers.comparing import Comparison, Score, compare
from gptrilogy.papers.entries import Entry, table_entries
from gptrilogy.training.progress import ConsoleReporter


def check(
    model: str, table: str, *, data: Path | None, limit: int | None, out: Path | None
) -> tuple[list[Comparison], int, list[Row]]:
    """Our scores beside a table's; -> those, the model's parameters without embeddings, and what failed.

    Raises: ConfigError where nothing in the table can be measured, or nothing was.
    """
    entries = table_entries(table)
    results = {entry.result for entry in entries}
    tasks = [task for task in TASKS.values() if task.published in results]
    if not tasks:
        raise ConfigError(f"no task here measures what {table} holds; `gpt papers list {table}` shows it")
    language_model = load(model)
    reporter = ConsoleReporter()
    journal = Journal(out / "answers.jsonl" if out else None)
    found = Examination()
    for task in tasks:
        protocol = Protocol(shots=_shots(task, entries), limit=limit)
        found.add(
            evaluate(
                Path(model).name,
                language_model,
                [task],
                protocol,
                data=data,
                journal=journal,
                say=reporter.note,
                passing=reporter.passing,
            )
        )
    n_non_embedding = describe(language_model.model)["parameters"]
    scores: list[Score] = [
        {
            "task": row["task"],
            "shots": row["shots"],
            "metric": row["metric"],
            "value": row["value"],
            "stderr": row["stderr_items"],
            "n": row["n"],
        }
        for row in over_draws(found.rows)
    ]
    if not scores:
        raise ConfigError(f"nothing in {table} could be measured: {'; '.join(row['reason'] for row in found.failures)}")
    published = {task.name: task.published for task in TASKS.values()}
    return compare(scores, published, table, n_non_embedding), n_non_embedding, found.failures


def _shots(task: Task, entries: Sequence[Entry]) -> tuple[int, ...]:
    """The numbers of demonstrations that the table has results for."""
    numbers = {"zeroshot": 0, "oneshot": 1, "fewshot": task.shots}
    return tuple(sorted({numbers.get(entry.setting, 0) for entry in entries if entry.result == task.published}))
