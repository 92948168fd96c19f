"""What `gpt evaluate` does once its order is known. Imports torch."""

import json
import math
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptrilogy.devices import Precision, describe
from gptrilogy.errors import ConfigError
from gptrilogy.evaluation.catalogue import find_tasks
from gptrilogy.evaluation.harness import Examination, Protocol, Row
from gptrilogy.evaluation.harness import evaluate as examine
from gptrilogy.evaluation.journal import Journal
from gptrilogy.evaluation.picture import draw_by_shots, draw_by_size
from gptrilogy.evaluation.rules import RULE_NAMES
from gptrilogy.evaluation.summary import over_draws, table
from gptrilogy.evaluation.task import Task
from gptrilogy.files import write_atomic, write_json
from gptrilogy.generation.prefixes import PASS_TOKENS
from gptrilogy.loading import load
from gptrilogy.papers.comparing import counterpart, score_of
from gptrilogy.runs import Run
from gptrilogy.training.progress import ConsoleReporter


@dataclass(frozen=True, slots=True)
class Order:
    """The command's words; see `cli.evaluate`."""

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    shots: tuple[int, ...] | None
    draws: int
    data: Path | None
    out: Path | None
    limit: int | None
    batch_size: int
    seed: int
    precision: Precision
    demonstrations: str
    all_rules: bool
    stride: int | None


def run(order: Order) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """Evaluate, write the results folder; -> the document in results.json, and the table for people.

    Raises: ConfigError for unknown tasks or models of one name; RunError where the folder cannot be written or is in
    use; what loading a model raises.
    """
    tasks = find_tasks(order.tasks)
    names = _names(order.models)
    if order.out:
        Run(order.out).must_hold_none()
    with Run(order.out).at_work() if order.out else nullcontext():
        return _evaluate(order, tasks, names)


def _evaluate(
    order: Order, tasks: Sequence[Task], names: Sequence[str]
) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    reporter = ConsoleReporter()

    def warned(message: Warning | str, *_: object) -> None:
        reporter.warn(str(message))

    warnings.showwarning = warned
    journal = Journal(order.out / "answers.jsonl" if order.out else None)
    found = Examination()
    for path, name in zip(order.models, names, strict=True):
        model = load(path, precision=order.precision)
        n_ctx = model.model.config.n_ctx
        protocol = Protocol(
            shots=order.shots,
            draws=order.draws,
            seed=order.seed,
            limit=order.limit,
            demonstrations=order.demonstrations,
            all_rules=order.all_rules,
            stride=order.stride if order.stride is None else min(order.stride, n_ctx),
            pass_tokens=order.batch_size * max(n_ctx, PASS_TOKENS),
        )
        found.add(
            examine(
                name,
                model,
                tasks,
                protocol,
                data=order.data,
                journal=journal,
                say=reporter.note,
                passing=reporter.passing,
            )
        )
    task_of = {task.name: task for task in tasks}
    summary = [_beside_paper(row, task_of[row["task"]]) for row in over_draws(found.rows)]
    document = _document(order, found, summary)
    if order.out is not None:
        _write(order.out, document, found.record_rows, summary)
        reporter.note(f"results: {order.out / 'results.json'}")
    return document, table(summary)


def _beside_paper(row: Row, task: Task) -> Row:
    """A row with what the papers print for it, of the size nearest to the model, where it is by the task's own rule."""
    if row["rule"] in RULE_NAMES and row["rule"] != task.rule:
        return row
    found = counterpart(score_of(row), task.published, row["parameters"])
    return row if found is None else {**row, "paper": found[1], "paper_size": found[0]}


def _document(order: Order, found: Examination, summary: Sequence[Row]) -> dict[str, Any]:
    return {
        "results": [_finite(row) for row in found.rows],
        "summary": [_finite(row) for row in summary],
        "failures": found.failures,
        "files": found.files,
        "seed": order.seed,
        "limit": order.limit,
        "demonstrations": order.demonstrations,
        "environment": describe(),
    }


def _write(out: Path, document: dict[str, Any], record_rows: Sequence[Row], summary: Sequence[Row]) -> None:
    lines = (json.dumps(_finite(row), ensure_ascii=False) + "\n" for row in record_rows)
    write_atomic(out / "records.jsonl", "".join(lines).encode())
    write_json(out / "results.json", document)
    if summary:
        draw_by_shots(summary, out / "shots.png")
    if len({row["parameters"] for row in summary}) > 1:
        draw_by_size(summary, out / "sizes.png")


def _names(models: Sequence[str]) -> list[str]:
    """What results call each model: the last part of its path, or all of it where two would be alike.

    >>> _names(["runs/a", "runs/b/"]), _names(["one/a", "two/a"])
    (['a', 'b'], ['one/a', 'two/a'])
    """
    short = [Path(model).name for model in models]
    names = short if len(set(short)) == len(short) else list(models)
    if len(set(names)) < len(names):
        raise ConfigError(f"a model was named twice: {', '.join(models)}")
    return names


def _finite(row: Row) -> Row:
    """A row that JSON can hold: null for what is not a number."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }
