"""Labelled examples out of the rows of a table, and what is asked of them as a whole."""

import math
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from gptrilogy.config import suggest
from gptrilogy.errors import DataError
from gptrilogy.finetuning.columns import Cells, Columns, check_columns, has_header
from gptrilogy.finetuning.tables import OnBad, TableRow, read_table
from gptrilogy.finetuning.tasks import Example, KindName

MANY_FRACTIONS = 20  # more different ones are scores, and no names of classes


def read_examples(
    path: Path, kind: KindName, columns: Columns, *, labelled: bool = True, on_bad: OnBad | None = None
) -> Iterator[Example]:
    """The examples of a table, in its order; see `examples`.

    Raises: ConfigError at once for impossible `columns`; DataError while reading, naming file and row.
    """
    rows = read_table(path, header=has_header(columns), on_bad=on_bad)
    return examples(rows, kind, columns, labelled=labelled, source=str(path), on_bad=on_bad)


def examples(
    rows: Iterable[TableRow],
    kind: KindName,
    columns: Columns,
    *,
    labelled: bool = True,
    source: str = "the input",
    on_bad: OnBad | None = None,
) -> Iterator[Example]:
    """Rows as examples of a kind of task.

    `columns` gives for a field its column: the name, the number from 0 where there is no header, a path into objects
    (`question.choices`), or several joined by `+` (texts with a space between, answers one after another). Other
    fields are found under their own name or an alias. White space around a text goes, that inside stays. Without
    `labelled` an absent label is None, and one that is there is kept. A row that cannot be used is told to `on_bad`
    and left out where that is given; a column that the first row has not is always an error.

    Raises: ConfigError for impossible `columns`, at once; DataError naming the row, while reading.

    >>> rows = [TableRow({"sentence": "A pleasure. ", "label": 1}, "films.jsonl:1")]
    >>> list(examples(rows, "classification", {}))
    [Example(texts=('A pleasure.',), answers=(), label='1', where='films.jsonl:1')]
    """
    check_columns(kind, columns)
    return _examples(rows, kind, columns, labelled, source, on_bad)


def _examples(
    rows: Iterable[TableRow], kind: KindName, columns: Columns, labelled: bool, source: str, on_bad: OnBad | None
) -> Iterator[Example]:
    way: tuple[str, ...] | None = None
    for row in rows:
        cells = Cells(row, columns)
        if way is None:
            way = cells.way(kind)
            if labelled:
                cells.get("label")
        try:
            example = _example(cells, kind, way, labelled)
        except DataError as error:
            if on_bad is None:
                raise
            on_bad(error)
        else:
            yield example
    if way is None:
        raise DataError(f"{source} holds no rows: give a table with one example a row")


def _example(cells: Cells, kind: KindName, way: tuple[str, ...], labelled: bool) -> Example:
    where = cells.row.where
    texts = {field: _text(cells, field) for field in way if field != "answers"}
    given = _given_label(cells, labelled)
    if kind == "choice":
        answers = _answers(cells)
        index = None if given is None else _index(given, answers, where)
        return Example((texts.get("context", ""), texts.get("question", "")), answers.texts, index, where)
    if given is None:
        return Example(tuple(texts.values()), where=where)
    label = _score(given, where) if kind == "regression" else _class_name(given, where)
    return Example(tuple(texts.values()), label=label, where=where)


def _text(cells: Cells, field: str) -> str:
    parts = [_clean(part, field, cells.row.where) for part in cells.get(field)]
    text = " ".join(part for part in parts if part)
    if not text:
        raise DataError(f"{cells.row.where}: {field} is empty: fill it in or remove the row")
    return text


def _clean(value: Any, field: str, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{where}: {field} must be text, got {type(value).__name__} {reprlib.repr(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        escape = f"\\u{ord(value[error.start]):04x}"
        raise DataError(f"{where}: {escape} is half a surrogate pair and no character: remove or replace it") from None
    return value.replace("\r\n", "\n").replace("\r", "\n").strip()


@dataclass(frozen=True, slots=True)
class _Answers:
    """Answers, and what the file calls each of them, if anything."""

    texts: tuple[str, ...]
    names: tuple[str, ...]


def _answers(cells: Cells) -> _Answers:
    where = cells.row.where
    named = [answer for value in cells.get("answers") for answer in _named_answers(value, where)]
    texts = tuple(_clean(text, "an answer", where) for text, _ in named)
    names = tuple(_class_name(name, where) for _, name in named if name is not None)
    if len(texts) < 2:
        raise DataError(f"{where}: answers to choose from must be at least 2, got {len(texts)}: add the others")
    if "" in texts:
        raise DataError(f"{where}: answer {texts.index('')}, counted from 0, is empty: fill it in or remove the row")
    if names and not len(texts) == len(names) == len(set(names)):
        raise DataError(
            f"{where}: {len(texts)} answers labelled {reprlib.repr([*names])}: label each by its own, or none"
        )
    return _Answers(texts, names)


def _named_answers(value: Any, where: str) -> list[tuple[Any, Any]]:
    """Each answer with its label or None, from a text, a list of texts or of objects, or an object of two lists.

    >>> _named_answers({"text": ["salt", "ice"], "label": ["A", "B"]}, "arc.jsonl:1")
    [('salt', 'A'), ('ice', 'B')]
    """
    if isinstance(value, list):
        return [_named_answer(element, where) for element in cast("list[Any]", value)]
    texts, labels = _named_answer(value, where)
    if not isinstance(texts, list):
        return [(texts, labels)]
    texts = cast("list[Any]", texts)
    names: Any = [None] * len(texts) if labels is None else labels
    if not isinstance(names, list) or len(cast("list[Any]", names)) != len(texts):
        raise DataError(f"{where}: {len(texts)} answers with labels {reprlib.repr(labels)}: give one label a text")
    return list(zip(texts, cast("list[Any]", names), strict=True))


def _named_answer(value: Any, where: str) -> tuple[Any, Any]:
    if not isinstance(value, Mapping):
        return value, None
    entry = cast("Mapping[str, Any]", value)
    if "text" not in entry:
        raise DataError(f"{where}: an answer without text, only {reprlib.repr([*entry])}: give it one")
    return entry["text"], entry.get("label")


def _given_label(cells: Cells, labelled: bool) -> Any:
    """What the label's column holds; None where it holds nothing, or is not there and need not be."""
    (value,) = cells.get("label") if labelled or cells.has("label") else [None]
    if (isinstance(value, str) and not value.strip()) or (isinstance(value, float) and math.isnan(value)):
        value = None
    if value is None and labelled:
        raise DataError(f"{cells.row.where}: the label is empty: fill it in or remove the row")
    return value


def _class_name(value: Any, where: str) -> str:
    """A class as its name: a whole number as Python prints an int.

    >>> [_class_name(label, "") for label in ("spam ", 1, 1.0, True, 2.5)]
    ['spam', '1', '1', '1', '2.5']
    """
    match value:
        case str():
            return _clean(value, "the label", where)
        case int():
            return str(int(value))
        case float():
            return str(int(value)) if value.is_integer() else repr(value)
        case _:
            raise DataError(
                f"{where}: the label must be a name or a number, got {type(value).__name__} {reprlib.repr(value)}"
            )


def _score(value: Any, where: str) -> float:
    try:
        score = float(value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise DataError(
            f"{where}: regression needs a finite number as label, got {reprlib.repr(value)}: correct it, or, where "
            "labels are names, give --task classification"
        )
    return score


def _index(value: Any, answers: _Answers, where: str) -> int:
    """Which answer is right, by the label the file gives it, its number from 0, its letter from A, or its text."""
    n, name = len(answers.texts), _class_name(value, where)
    if name in answers.names:
        return answers.names.index(name)
    places = {place for place, text in enumerate(answers.texts) if text == name and isinstance(value, str)}
    if re.fullmatch(r"-?[0-9]{1,9}", name) and not any(label.isdecimal() for label in answers.names):
        places.add(int(name))
    elif re.fullmatch(r"[A-Z]", name) and not any(label.isalpha() for label in answers.names):
        places.add(ord(name) - ord("A"))
    if len(places) > 1:
        raise DataError(
            f"{where}: label {reprlib.repr(value)} means answers {' and '.join(map(str, sorted(places)))} (from 0), by "
            "place or by text: label by a letter from A, or a number from 0, that is itself no answer"
        )
    place = places.pop() if places else n
    if not 0 <= place < n:
        letters = f"0 to {n - 1}, a letter from A to {chr(ord('A') + min(n, 26) - 1)}"
        ways = f"one of {reprlib.repr([*answers.names])}" if answers.names else letters
        raise DataError(
            f"{where}: label {reprlib.repr(value)} is none of {n} answers: give {ways}, or the answer's text"
        )
    return place


def class_labels(examples: Sequence[Example], source: str) -> tuple[str, ...]:
    """The classes of a training set, in the order of the head's outputs: whole numbers by value, else names.

    Raises: DataError where there is one class only, or where labels are scores.

    >>> class_labels([Example(("a",), label=label) for label in ("10", "9", "10")], "train.tsv")
    ('9', '10')
    """
    names = {str(example.label) for example in examples}
    if len(names) < 2:
        raise DataError(
            f"{source}: a classifier needs at least 2 classes, but the labels of its {len(examples)} examples are all "
            f"{reprlib.repr(examples[0].label) if examples else 'absent'}: check --columns label=COLUMN"
        )
    if all(re.fullmatch(r"[+-]?[0-9]{1,18}", name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    fractions = [name for name in names if re.fullmatch(r"[+-]?[0-9]*\.[0-9]+", name) and not float(name).is_integer()]
    if len(fractions) > MANY_FRACTIONS and all(_is_number(name) for name in names):
        first = ", ".join(dict.fromkeys(str(example.label) for example in examples[:3]))
        raise DataError(
            f"{source}: {len(names)} different labels look like scores ({first}, ...): give --task regression"
        )
    return tuple(sorted(names))


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def check_labels(examples: Iterable[Example], labels: Sequence[str]) -> None:
    """See that a classifier knows every label there is.

    Raises: DataError naming the first row whose label was not among those of training.
    """
    known = set(labels)
    for example in examples:
        if example.label is not None and example.label not in known:
            raise DataError(
                f"{example.where}: label {reprlib.repr(example.label)} did not occur in training: "
                f"{' '.join(suggest(str(example.label), labels).split())}"
            )
