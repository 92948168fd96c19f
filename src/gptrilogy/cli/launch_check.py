"""What `gpt papers check` does: a table's tasks put to a model as the paper put them. Imports torch."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from gptrilogy.errors import ConfigError
from gptrilogy.evaluation.catalogue import TASKS
from gptrilogy.evaluation.harness import Examination, Protocol, Row, evaluate
from gptrilogy.evaluation.journal import Journal
from gptrilogy.evaluation.summary import over_draws
from gptrilogy.evaluation.task import Task
from gptrilogy.loading import load
from gptrilogy.papers.comparing import Comparison, compare, score_of
from gptrilogy.papers.entries import Entry, table_entries
from gptrilogy.runs import Run
from gptrilogy.scaling.compute import n_non_embedding
from gptrilogy.training.progress import ConsoleReporter


def check(
    model: str, table: str, *, data: Path | None, limit: int | None, out: Path | None
) -> tuple[list[Comparison], int, list[Row]]:
    """Our scores beside a table's; -> those, the model's parameters without embeddings, and what failed.

    Raises: ConfigError where nothing in the table can be measured, or nothing was; RunError as `Run.at_work`.
    """
    results = {entry.result for entry in table_entries(table)}
    tasks = [task for task in TASKS.values() if task.published in results]
    if not tasks:
        raise ConfigError(f"no task here measures what {table} holds; `gpt papers list {table}` shows it")
    with Run(out).at_work() if out else nullcontext():
        return _check(model, table, tasks, data, limit, Journal(out / "answers.jsonl" if out else None))


def _check(
    model: str, table: str, tasks: Sequence[Task], data: Path | None, limit: int | None, journal: Journal
) -> tuple[list[Comparison], int, list[Row]]:
    language_model = load(model)
    reporter = ConsoleReporter()
    found = Examination()
    for task in tasks:
        protocol = Protocol(shots=_shots(task, table_entries(table)), limit=limit)
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
    n_parameters = n_non_embedding(language_model.model.config)  # counted as those of the papers are
    scores = [score_of(row) for row in over_draws(found.rows)]
    if not scores:
        raise ConfigError(f"nothing in {table} could be measured: {'; '.join(row['reason'] for row in found.failures)}")
    published = {task.name: task.published for task in TASKS.values()}
    return compare(scores, published, table, n_parameters), n_parameters, found.failures


def _shots(task: Task, entries: Sequence[Entry]) -> tuple[int, ...]:
    """The numbers of demonstrations that the table has results for."""
    numbers = {"zeroshot": 0, "oneshot": 1, "fewshot": task.shots}
    return tuple(sorted({numbers.get(entry.setting, 0) for entry in entries if entry.result == task.published}))
