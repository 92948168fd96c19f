"""Results over draws: a mean, how far the choice of items may have moved it, and how far that of demonstrations.

Needs no torch.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Row: TypeAlias = dict[str, Any]

CONDITION = ("model", "parameters", "precision", "task", "shots", "rule", "metric")


def over_draws(rows: Sequence[Row]) -> list[Row]:
    """One row for all draws of a condition.

    `stderr_items`: the standard error over test records, the root mean square of the draws' own. `stderr_draws`: the
    standard error of the mean over draws of demonstrations, nan for one draw. They are reported apart because more
    records shrink only the first, and more draws only the second.

    >>> alike = {"task": "t", "shots": 1, "stderr": 0.1, "n": 9, "demonstrations": 1.0}
    >>> rows = [{**alike, "value": value} for value in (0.4, 0.6)]
    >>> [(round(row["value"], 3), row["stderr_items"], round(row["stderr_draws"], 3)) for row in over_draws(rows)]
    [(0.5, 0.1, 0.1)]
    """
    alike: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        alike[tuple(row.get(name) for name in CONDITION)].append(row)
    return [_mean(same) for same in alike.values()]


def _mean(rows: Sequence[Row]) -> Row:
    values = [row["value"] for row in rows]
    spread = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {
        **{name: value for name, value in rows[0].items() if name in CONDITION},
        "value": float(np.mean(values)),
        "stderr_items": math.sqrt(float(np.mean([row["stderr"] ** 2 for row in rows]))),
        "stderr_draws": spread,
        "draws": len(rows),
        "n": rows[0]["n"],
        "demonstrations": float(np.mean([row["demonstrations"] for row in rows])),
    }


def table(summary: Sequence[Row]) -> list[tuple[str, ...]]:
    """The summary for people, its header first. Accuracies and F1 as percentages, perplexities as they are.

    K is followed by the mean number of demonstrations in a prompt where not all had room. A precision is named where
    it is not fp32. A row may hold what a paper printed for it: `paper`, in the same units, and `paper_size`, the model
    that is of.
    """
    several, printed = len({row["model"] for row in summary}) > 1, any("paper" in row for row in summary)
    names = [("model", several), ("precision", any(row["precision"] != "fp32" for row in summary))]
    about = [name for name, is_told in names if is_told]
    header = ("task", *about, "K", "rule", "metric", "value", "± items", "± draws", "n")
    return [(*header, *(("paper",) if printed else ())), *(_line(row, about, printed) for row in summary)]


def _line(row: Row, about: Sequence[str], printed: bool) -> tuple[str, ...]:
    scale, digits = scale_of(row["metric"])
    numbers = [row[name] * scale for name in ("value", "stderr_items", "stderr_draws")]
    shown = ["" if math.isnan(number) else f"{number:,.{digits}f}" for number in numbers]
    paper = [f"{row['paper'] * scale:,.{digits}f} ({row['paper_size']})" if "paper" in row else ""] if printed else []
    fewer = f" ({row['demonstrations']:.1f})" if row["demonstrations"] < row["shots"] - 0.05 else ""
    which = (row["task"], *(str(row[name]) for name in about), f"{row['shots']}{fewer}", row["rule"], row["metric"])
    return (*which, *shown, f"{row['n']:,}", *paper)


def scale_of(metric: str) -> tuple[float, int]:
    """What a metric is printed times, and with how many digits: the papers print shares as percentages."""
    return (1.0, 3) if metric in {"ppl", "bits"} else (100.0, 1)
