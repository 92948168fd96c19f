"""What `gpt papers check` shows: the paper's number, ours, the difference, and what may make it."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from gptrilogy.cli.output import table_lines
from gptrilogy.papers.comparing import Comparison, describe_size

Document: TypeAlias = dict[str, Any]


def comparison(rows: Sequence[Comparison], n_non_embedding: int) -> Document:
    """Each comparison with the numbers of all the paper's sizes."""
    return {
        "n_non_embedding": n_non_embedding,
        "rows": [
            {
                "result": row.entry.name,
                "task": row.task,
                "shots": row.shots,
                "metric": row.entry.metric,
                "n": row.n,
                "ours": row.ours,
                "stderr": row.stderr,
                "size": row.size,
                "paper": row.theirs,
                "difference": row.difference,
                "sizes": dict(row.entry.values),
                "others": dict(row.entry.others),
                "reasons": list(row.reasons),
            }
            for row in rows
        ],
    }


def comparison_lines(rows: Sequence[Comparison], n_non_embedding: int) -> Iterator[str]:
    """The same for people."""
    table = [("result", "metric", "shots", "n", "paper", "ours", "difference")]
    table += [
        (
            row.entry.name,
            row.entry.metric,
            str(row.shots),
            str(row.n),
            f"{row.theirs:g}",
            f"{row.ours:.2f} ± {row.stderr:.2f}",
            f"{row.difference:+.2f}",
        )
        for row in rows
    ]
    yield from table_lines("beside the paper", table)
    yield ""
    yield from dict.fromkeys(describe_size(n_non_embedding, row.size) for row in rows)
    names_by_reason: dict[str, list[str]] = {}
    for row in rows:
        for reason in row.reasons:
            names_by_reason.setdefault(reason, []).append(row.entry.name)
    for reason, names in names_by_reason.items():
        yield f"{reason} ({'all' if len(names) == len(rows) else ', '.join(names)})"
