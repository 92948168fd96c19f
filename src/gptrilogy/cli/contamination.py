"""`gpt contamination`: how much of the tests a training corpus holds."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from gptrilogy.cli.options import Json, data_folder

if TYPE_CHECKING:  # what reads and searches is imported when the verb begins to work
    from gptrilogy.evaluation.contamination.collisions import Search
    from gptrilogy.evaluation.contamination.report import Scores, Setting, TaskOverlap, Values

COLUMNS = ("N", "total", "dirty", "clean", "clean %")
SCORE_COLUMNS = ("metric", "all", "dirty", "clean", "ln(clean/all)", "2(c-a)/(c+a)")
MAX_SHOWN_CHARS = 160


def contamination(
    *corpus: str,
    tasks: str | None = None,
    data: Path | None = None,
    overlap: Annotated[list[str] | None, Parameter(name="--overlap")] = None,
    scores: Path | None = None,
    show: int = 3,
    text_field: str = "text",
    tokenizer: Path | None = None,
    processes: int | None = None,
    max_bytes: int | None = None,
    json: Json = False,
) -> None:
    """How much of the tests a training corpus holds, and what that does to scores.

    With --tasks as GPT-3 asks: a test example is dirty if N words in a row of it
    stand anywhere in the corpus, where N fits the task's shortest examples.

        gpt contamination novels/ --tasks hellaswag,lambada --data tests/
        gpt contamination runs/novels --tasks 'arc-*' --data tests/ --scores out/

    With --overlap as GPT-2 asks: which share of a text's 8-grams the corpus has.

        gpt contamination novels/ --overlap wikitext.test.txt

    Words are compared in lower case and without punctuation. A text file is one
    document and is held whole; JSONL files are read line by line.

    Parameters
    ----------
    corpus
        Text files, JSON lines (both also as .gz, .bz2, .xz, .zst), Parquet, folders of these; built corpora; folders
        of packed tokens; runs.
    tasks
        Names or patterns with commas between, as of `gpt evaluate`.
    data
        The folder with the tasks' published files, or hub. [default: the one that GPTRILOGY_DATA names]
    overlap
        A text file, a folder of text or a JSONL file whose 8-grams are looked for; can be given again for others.
    scores
        What `gpt evaluate --out` wrote: the scores of all, of the dirty and of the clean examples are compared.
    show
        How many overlapping passages of each task to print.
    text_field
        The field of a JSON line, or the column of Parquet, that holds the text.
    tokenizer
        The tokenizer of packed tokens that lie outside a run.
    processes
        How many to search with. [default: one a core]
    max_bytes
        The largest filter that --overlap may make. [default: 4 GiB]
    json
        Print one JSON document, with every dirty example.

    """
    from gptrilogy.errors import ConfigError

    if not corpus or bool(tasks) == bool(overlap):
        raise ConfigError(
            "name a corpus and what to look for, --tasks or --overlap, for example: "
            "gpt contamination novels/ --tasks hellaswag --data tests/"
        )
    for flag, value, least in (("--show", show, 0), ("--processes", processes, 1), ("--max-bytes", max_bytes, 1)):
        if value is not None and value < least:
            raise ConfigError(f"{flag} must be at least {least}, got {value}")
    read = _reader(corpus, text_field, tokenizer)
    if tasks:
        workers = processes or os.cpu_count() or 1
        _search_tasks(read, tasks.split(","), data_folder(data), scores, show, workers, json=json)
    else:
        _measure_overlap(read, overlap or [], text_field, max_bytes, json=json)


def _reader(corpus: Sequence[str], text_field: str, tokenizer: Path | None) -> Callable[[], Any]:
    """Reads the corpus from its beginning each time it is called."""
    from gptrilogy.cli.output import print_note
    from gptrilogy.evaluation.contamination.training_text import read_training_text

    told = set[Path]()

    def skipped(path: Path, why: str) -> None:
        if path not in told:
            told.add(path)
            print_note(f"skipped {path}: {why}")

    return lambda: read_training_text(corpus, text_field=text_field, tokenizer=tokenizer, on_skip=skipped)


def _search_tasks(
    read: Callable[[], Any],
    names: Sequence[str],
    data: Path | None,
    scores: Path | None,
    show: int,
    processes: int,
    *,
    json: bool,
) -> None:
    from gptrilogy.cli.output import count, print_json
    from gptrilogy.evaluation.catalogue import find_tasks
    from gptrilogy.evaluation.contamination.report import check_evaluated, find_overlaps, read_examples, read_scores
    from gptrilogy.training.progress import ConsoleReporter

    console = ConsoleReporter()
    values = read_scores(scores) if scores else {}
    documents = read()  # what is not there is told before the tests are read
    examples = [read_examples(task, data) for task in find_tasks([name.strip() for name in names])]
    if scores:
        check_evaluated(scores, examples)
    overlaps, searched = find_overlaps(
        examples,
        documents,
        processes=processes,
        on_progress=lambda n, chars: console.passing(f"searched {n:,} documents, {count(chars)} characters"),
    )
    console.note(f"searched {searched.documents:,} documents, {count(searched.chars)} characters")
    if json:
        print_json(_document(overlaps, searched, values))
    else:
        _print_tables(overlaps, values, show)


def _document(
    overlaps: "Sequence[TaskOverlap]", searched: "Search", values: "Mapping[Setting, Values]"
) -> dict[str, Any]:
    from gptrilogy.evaluation.contamination.report import scores_of

    def scored(setting: "Setting", scores: "Scores") -> dict[str, Any]:
        differences = {"log_difference": scores.log_difference, "symmetric_difference": scores.symmetric_difference}
        return {**setting._asdict(), **scores._asdict(), **differences}

    rows = [
        {
            "task": one.task.name,
            "n": one.n,
            "total": one.total,
            "dirty": len(one.dirty),
            "clean": one.n_clean,
            "clean_share": one.clean_share,
            "scores": [scored(*pair) for pair in scores_of(one, values)],
            "examples": [{"record": record, **overlap._asdict()} for record, overlap in one.dirty.items()],
        }
        for one in overlaps
    ]
    return {"documents": searched.documents, "chars": searched.chars, "tasks": rows}


def _print_tables(overlaps: "Sequence[TaskOverlap]", values: "Mapping[Setting, Values]", show: int) -> None:
    from gptrilogy.cli.output import print_table, print_text
    from gptrilogy.evaluation.contamination.report import scores_of

    print_table(
        "test examples of which N words in a row stand in the corpus", [("", *COLUMNS), *map(_counts, overlaps)]
    )
    rows = [
        (f"{setting.model}, {setting.task}, {setting.shots} shots, {setting.rule}", setting.metric, *_scores(scores))
        for one in overlaps
        for setting, scores in scores_of(one, values)
    ]
    if rows:
        print_table("scores, and how the clean ones differ from all, relatively", [("", *SCORE_COLUMNS), *rows])
    for one in overlaps:
        for record, overlap in list(one.dirty.items())[:show]:
            passage = " ".join(overlap.passage.split())
            shown = passage if len(passage) <= MAX_SHOWN_CHARS else f"{passage[:MAX_SHOWN_CHARS]}..."
            place = f"{overlap.document}, character {overlap.start:,}"
            print_text(f"\n{_printable(f'{one.task.name}, record {record + 1}, in {place}')}\n  {_printable(shown)}")


def _counts(one: "TaskOverlap") -> tuple[str, ...]:
    return (
        one.task.title,
        str(one.n),
        f"{one.total:,}",
        f"{len(one.dirty):,}",
        f"{one.n_clean:,}",
        f"{one.clean_share:.0%}",
    )


def _scores(scores: "Scores") -> tuple[str, ...]:
    means = tuple("-" if value is None else f"{value:.4g}" for value in scores)
    differences = (scores.log_difference, scores.symmetric_difference)
    return *means, *("-" if value is None else f"{value:+.0%}" for value in differences)


def _measure_overlap(
    read: Callable[[], Any], texts: Sequence[str], text_field: str, max_bytes: int | None, *, json: bool
) -> None:
    from gptrilogy.cli.output import count, print_json, print_note, print_table, size
    from gptrilogy.corpus.sources import read_documents
    from gptrilogy.evaluation.contamination.bloom import GRAM_WORDS, MAX_BYTES, shared_grams
    from gptrilogy.training.progress import ConsoleReporter

    console = ConsoleReporter()
    tests = {text: read_documents([text], text_field=text_field) for text in texts}
    found = shared_grams(
        list(tests.values()),
        read,
        max_bytes=max_bytes or MAX_BYTES,
        on_progress=lambda chars: console.passing(f"read {count(chars)} characters of the corpus"),
    )
    if json:
        rows = [
            {"text": text, **one._asdict(), "share": one.share} for text, one in zip(tests, found.texts, strict=True)
        ]
        print_json({**asdict(found), "n": GRAM_WORDS, "texts": rows})
        return
    rows = [
        (_printable(text), f"{one.grams:,}", f"{one.found:,}", "-" if one.share is None else f"{one.share:.2%}")
        for text, one in zip(tests, found.texts, strict=True)
    ]
    print_table(f"{GRAM_WORDS}-grams found in the corpus", [("", "of the text", "found", "share"), *rows])
    print_note(
        f"a filter of {size(found.filter_bytes)} holds the corpus's {found.corpus_grams:,} and took "
        f"{found.random_found:,} of {found.random_strings:,} random strings for held"
    )


def _printable(text: str) -> str:
    """What a terminal takes as text only."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
