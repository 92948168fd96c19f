"""Which column of a table is which field of a task."""

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from gptrilogy.config import suggest
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.finetuning.tables import TableRow
from gptrilogy.finetuning.tasks import KINDS, KindName

Columns: TypeAlias = Mapping[str, str]  # field -> column, as `--columns premise=sentence1` says it

# Where a field is looked for, after its own name, if nothing is said of it.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "text": ("sentence",),
    "premise": ("sentence1",),
    "hypothesis": ("sentence2",),
    "first": ("sentence1", "question1", "text_1"),
    "second": ("sentence2", "question2", "text_2"),
    "answers": ("choices", "options", "endings"),
    "label": ("gold_label", "score", "answer", "answerKey"),
}
MAX_SHOWN, MAX_SHOWN_LETTERS = 20, 60  # in a message


def has_header(columns: Columns) -> bool:
    """Whether CSV and TSV begin with names: not where all columns are given by number.

    >>> has_header({"text": "3", "label": "1"}), has_header({"text": "sentence"}), has_header({})
    (False, True, True)
    """
    parts = [part for column in columns.values() for part in column.split("+")]
    return not parts or not all(part.isdecimal() for part in parts)


def check_columns(kind: KindName, columns: Columns) -> None:
    """Refuse what no table could satisfy.

    Raises: ConfigError for a field the kind has not, fields it does not take together, or an empty name.
    """
    fields = (*KINDS[kind].names, "label")
    for field, column in columns.items():
        if field not in fields:
            raise ConfigError(f"{kind} has no field {field!r} to take from a column: {suggest(field, fields)}")
        if not column:
            raise ConfigError(f"{field} must be the name or number of a column, got nothing after its =")
    if not _ways(kind, columns):
        ways = " or ".join("+".join(way) for way in KINDS[kind].fields)
        raise ConfigError(f"{kind} takes {ways}, but columns are given for {', '.join(columns)}: leave some out")


def _ways(kind: KindName, columns: Columns) -> list[tuple[str, ...]]:
    """The ways of being complete that use every field given a column."""
    return [way for way in KINDS[kind].fields if columns.keys() - {"label"} <= set(way)]


class _AbsentError(Exception):
    """A column, or a key on the path to a value, that is not there."""

    def __init__(self, name: str, known: Iterable[object]) -> None:
        super().__init__(name)
        self.name = name
        self.known = [str(key) for key in known]


@dataclass(frozen=True, slots=True)
class Cells:
    """A row, asked by field."""

    row: TableRow
    columns: Columns

    def has(self, field: str) -> bool:
        try:
            self._find(field)
        except _AbsentError:
            return False
        return True

    def get(self, field: str) -> list[Any]:
        """The value in each of the columns joined by `+`; mostly that is one.

        Raises: DataError naming the columns there are, and the nearest.

        >>> row = TableRow({"question": {"stem": "Why?"}, "one": "salt", "other": "ice"}, "questions.jsonl:1")
        >>> Cells(row, {"question": "question.stem", "answers": "one+other"}).get("answers")
        ['salt', 'ice']
        """
        try:
            return self._find(field)
        except _AbsentError as absent:
            raise DataError(self._explain(field, absent)) from None

    def way(self, kind: KindName) -> tuple[str, ...]:
        """The fields of the first way in which this row is complete.

        Raises: DataError for a field missing from the way that comes closest.
        """
        ways = _ways(kind, self.columns)
        missing = [[field for field in way if not self.has(field)] for way in ways]
        nearest = min(range(len(ways)), key=lambda number: len(missing[number]))
        for field in missing[nearest]:
            self.get(field)
        return ways[nearest]

    def _find(self, field: str) -> list[Any]:
        values = self.row.values
        if field in self.columns:
            column = self.columns[field]
            parts = [column] if column in values or field == "label" else column.split("+")
            if field == "answers":  # beside each text may stand the label by which the right one is called
                parts = [part if part in values else part.removesuffix(".text") for part in parts]
            return [_follow(values, part) for part in parts]
        for name in (field, *ALIASES.get(field, ())):
            if name in values:
                return [values[name]]
        raise _AbsentError(field, values)

    def _explain(self, field: str, absent: _AbsentError) -> str:
        tried = (absent.name,) if field in self.columns else (field, *ALIASES.get(field, ()))
        near = [name for wanted in tried for name in difflib.get_close_matches(wanted, absent.known, n=1)]
        if near:
            remedy = f"did you mean --columns {field}={_shown(near[0])}?"
        elif absent.name.isdecimal():
            remedy = "number all columns, from 0, where there is no header, and name them where there is one"
        else:
            remedy = f"name one with --columns {field}=COLUMN"
        there = ", ".join(map(_shown, absent.known[:MAX_SHOWN])) + (", ..." if len(absent.known) > MAX_SHOWN else "")
        return f"{self.row.where}: no column {absent.name!r} for {field}, only {there or 'none'}: {remedy}"


def _shown(name: str) -> str:
    """The name of a column, in one short line."""
    return name if name.isprintable() and len(name) <= MAX_SHOWN_LETTERS else reprlib.repr(name)


def _follow(values: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; through a list, that of each element.

    >>> _follow({"question": {"choices": [{"text": "salt"}, {"text": "ice"}]}}, "question.choices.text")
    ['salt', 'ice']
    """
    if path in values:
        return values[path]
    here: Any = values
    for key in path.split("."):
        if isinstance(here, list):
            here = [_step(element, key) for element in cast("list[Any]", here)]
        else:
            here = _step(here, key)
    return here


def _step(value: Any, key: str) -> Any:
    keys = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else dict[str, Any]()
    if key not in keys:
        raise _AbsentError(key, keys)
    return keys[key]
