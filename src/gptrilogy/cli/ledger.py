"""What `gpt papers list` and `gpt papers explain` show: tables, results, how they were measured, and one example.

Every part is made twice, as a value for --json and as lines for people.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from os.path import commonprefix
from pathlib import Path
from typing import Any, TypeAlias

from gptrilogy.cli.output import table_lines
from gptrilogy.errors import GPTrilogyError
from gptrilogy.evaluation.catalogue import TASKS
from gptrilogy.evaluation.data import Split, read_split
from gptrilogy.evaluation.items import Choice, Cloze, Free, Item, Passage
from gptrilogy.evaluation.prompts import Prompt, Prompter
from gptrilogy.evaluation.task import Task
from gptrilogy.papers.entries import COLUMNS, Entry, find_entries, is_size
from gptrilogy.papers.misprints import MISPRINTS, misprints_of
from gptrilogy.papers.protocols import DEMONSTRATIONS, PROTOCOLS
from gptrilogy.papers.tables import COMPLETE, TABLES, Certainty, Table, find_table

Document: TypeAlias = dict[str, Any]

MISPRINT_TABLE = "misprints"
PAPERS = {"gpt1": "GPT-1", "gpt2": "GPT-2", "gpt3": "GPT-3", "kaplan": "Scaling laws"}
CERTAINTIES: dict[Certainty, str] = {
    "twice": "read in two copies of the paper, or follows from what else is printed",
    "once": "read in one copy of the paper",
    "derived": "computed from what is printed",
    "memory": "from memory",
}
WIDTH = 100
SHOWN_DEMONSTRATIONS = 2
RECORDS = 100  # of each split, to draw from
MAX_CHARACTERS = 1500  # of one text of an example


def contents() -> Document:
    """Every table by its name."""
    return {"tables": [_about(table) for table in TABLES.values()], "misprints": len(MISPRINTS)}


def contents_lines() -> Iterator[str]:
    """The same, by paper."""
    width = max(map(len, TABLES))
    for paper, title in PAPERS.items():
        yield title
        for table in TABLES.values():
            if table.paper == paper:
                yield f"  {table.name.ljust(width)}  {table.title}  ({table.source})"
    yield f"  {MISPRINT_TABLE.ljust(width)}  {len(MISPRINTS)} places where the papers say what does not hold"


def table(name: str) -> Document:
    """One table whole.

    Raises: ConfigError naming the nearest table to one there is not.
    """
    if name == MISPRINT_TABLE:
        return {"name": name, "rows": [asdict(misprint) for misprint in MISPRINTS.values()]}
    found = find_table(name)
    return {
        **_about(found),
        "rows": [dict(row) for row in found.rows],
        "misprints": [asdict(misprint) for misprint in misprints_of(name)],
    }


def listing(name: str) -> Iterator[str]:
    """The same as lines, without columns in which nothing stands. Raises: ConfigError, as `table`."""
    if name == MISPRINT_TABLE:
        for misprint in MISPRINTS.values():
            yield from _wrapped(misprint.name, f"{misprint.where} says {misprint.printed}.")
            yield from _wrapped("", f"Rather: {misprint.follows}. {misprint.evidence}")
        return
    found = find_table(name)
    rows = found.rows
    columns = [column for column in rows[0] if any(row[column] for row in rows)]
    if found.results:
        columns.remove("title")
    cells = [[row[column] for column in columns] for row in rows]
    yield from table_lines(f"{found.title} ({found.source})", [columns, *cells])
    yield ""
    yield from _remarks(found, [name])


def _about(table: Table) -> Document:
    return {
        "name": table.name,
        "title": table.title,
        "source": table.source,
        "certainty": table.certainty,
        "notes": table.notes,
    }


def _remarks(table: Table, names: Sequence[str]) -> Iterator[str]:
    """How far a table is certain, and what is known to be wrong in it or in results of these names."""
    yield from _wrapped("certainty", CERTAINTIES[table.certainty])
    if table.notes:
        yield from _wrapped("notes", table.notes)
    for misprint in misprints_of(*names):
        rather = f"{misprint.where} says {misprint.printed}; rather {misprint.follows}: {misprint.evidence}"
        yield from _wrapped("misprint", rather)


def result(name: str, data: Path | None) -> Document:
    """How a result was measured, its numbers, and one example of it.

    Raises: ConfigError naming the nearest result to one there is not.
    """
    entries = find_entries(name)
    first, protocol = entries[0], PROTOCOLS[entries[0].result]
    return {
        "name": name,
        **_about(first.table),
        "title": first.title,
        "table": first.table.name,
        "protocol": asdict(protocol),
        "results": [_numbers(entry) for entry in entries],
        "misprints": [asdict(misprint) for misprint in misprints_of(first.result)],
        "example": example(entries, data),
    }


def explanation(name: str, data: Path | None) -> Iterator[str]:
    """The same as lines. Raises: ConfigError, as `result`."""
    entries = find_entries(name)
    first, protocol = entries[0], PROTOCOLS[entries[0].result]
    yield f"{name}: {first.title} ({first.table.source})"
    yield ""
    yield from _wrapped("shown", f"{protocol.shown} ({protocol.source})")
    yield from _wrapped("judged", protocol.scoring)
    if first.table.name == COMPLETE and any(entry.shots for entry in entries):
        yield from _wrapped("shots", DEMONSTRATIONS)
    if protocol.unpublished:
        yield from _wrapped("unpublished", "; ".join(protocol.unpublished))
    yield from _remarks(first.table, [first.result])
    yield ""
    yield from _number_lines(entries)
    yield ""
    yield from _example_lines(example(entries, data))


def _numbers(entry: Entry) -> Document:
    return {
        "name": entry.name,
        "setting": entry.setting,
        "shots": entry.shots,
        "metric": entry.metric,
        "split": entry.split,
        "values": dict(entry.values),
        "others": dict(entry.others),
    }


def _number_lines(entries: Sequence[Entry]) -> Iterator[str]:
    """A row for each setting and metric, a column for each size and each other system."""
    wanted = {(entry.result, entry.setting, entry.metric) for entry in entries}
    rows = [row for row in entries[0].table.rows if (row["result"], row["setting"], row["metric"]) in wanted]
    scores = [column for column in rows[0] if column not in COLUMNS and any(row[column] for row in rows)]
    columns = ["setting", "metric", "shots", *scores]
    names = [column.removeprefix("gpt2-").removeprefix("gpt3-") if is_size(column) else column for column in columns]
    yield from table_lines("as printed", [names, *([row[column] or "-" for column in columns] for row in rows)])


def example(entries: Sequence[Entry], data: Path | None) -> Document:
    """The first question of the task that measures a result, with a demonstration or two where it had any.

    Without its files, `missing` says which would show it.
    """
    task = next((task for task in TASKS.values() if task.published == entries[0].result), None)
    if task is None:
        return {"missing": "no task here measures it"}
    shots = max(entry.shots or 0 for entry in entries)
    try:
        test = read_split(task, "test", data, limit=RECORDS)
        try:
            prompt, without = _prompt(task, test, data, min(shots, SHOWN_DEMONSTRATIONS)), ""
        except GPTrilogyError as error:
            prompt, without = _prompt(task, test, data, 0), str(error)
    except GPTrilogyError as error:
        return {"task": task.name, "missing": str(error)}
    return {
        "task": task.name,
        "origin": test.origin,
        "shots": prompt.demonstrations,
        "published_shots": shots,
        "without_demonstrations": without,
        **_asked(prompt.prefix, prompt.items[0]),
    }


def _prompt(task: Task, test: Split, data: Path | None, shots: int) -> Prompt:
    """The first record's prompt. Raises: DataError where there are no demonstrations, and for a bad record."""
    has_train = bool(task.train) or task.generate is not None
    train = read_split(task, "train", data, limit=RECORDS) if shots and has_train else None
    return Prompter(task, test, train).prompt(0, shots, 0, room=lambda _prompt: 0, count=lambda _text: 0)


def _asked(prefix: str, item: Item) -> Document:
    """The text before what an item's options do not share, and each option's rest with its completion."""
    match item:
        case Choice():
            contexts = [option.context for option in item.options]
            shared = commonprefix(contexts)  # noqa: RUF071 - of texts, not of paths
            rests = [(option.context[len(shared) :], option.completion) for option in item.options]
            right = item.gold
        case Cloze():
            shared, rests, right = item.context, [("", item.completion)], (0,)
        case Free():
            shared, rests = item.context, [("", item.separator + answer) for answer in item.answers]
            right = range(len(rests))
        case Passage():
            shared, rests, right = "", [("", item.text)], (0,)
    return {
        "prompt": prefix + shared,
        "completions": [{"context": rest, "completion": completion} for rest, completion in rests],
        "right": list(right),
    }


def _example_lines(shown: Document) -> Iterator[str]:
    """An example between bars, what is asked for behind an arrow, doubled where it is right."""
    if "missing" in shown:
        yield from _wrapped("example", shown["missing"])
        return
    some = f"{shown['shots']} of {shown['published_shots']} demonstrations" if shown["published_shots"] else "no shots"
    yield from _wrapped("example", f"of {shown['task']}, from {shown['origin']}, {some}")
    if shown["without_demonstrations"]:
        yield from _wrapped("", shown["without_demonstrations"])
    if shown["prompt"]:
        yield from _barred("  | ", "  | ", shown["prompt"])
    for number, option in enumerate(shown["completions"]):
        arrow = " => " if number in shown["right"] else " -> "
        yield from _barred(arrow, "  | ", f"{option['context']}|{option['completion']}")


def _barred(first: str, other: str, text: str) -> Iterator[str]:
    """A text's lines, each behind a mark; of a long text the beginning and the end."""
    if len(text) > MAX_CHARACTERS:
        half = MAX_CHARACTERS // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half} characters ...]\n{text[-half:]}"
    for number, line in enumerate(text.split("\n")):
        printable = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
        yield (other if number else first) + printable


def _wrapped(label: str, text: str) -> Iterable[str]:
    """Words beside a label, as wide as a terminal."""
    lead = f"{label.ljust(11)}  "
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * 13,
        break_long_words=False,
        break_on_hyphens=False,
    )
