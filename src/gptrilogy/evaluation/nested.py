"""Records that lie nested within one JSON document, and the lists of texts in them. Needs no torch."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from gptrilogy.errors import DataError
from gptrilogy.evaluation.reading import json_document
from gptrilogy.evaluation.task import Record


def unfolded(path: Path, unfold: Callable[[Any], Iterable[Record]]) -> Iterator[Record]:
    """The records that `unfold`, which knows the published nesting, finds in a document.

    Raises: DataError where a field is missing on the way to them, or of another kind.
    """
    document = json_document(path)
    try:
        yield from unfold(document)
    except KeyError as error:
        raise DataError(f"{path} has no field {error} where it is published; get the file again") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is not nested as published: {error}; get the file again") from None


def texts(value: object) -> tuple[str, ...]:
    """The texts of a list that holds at least one.

    Raises: DataError for anything else.

    >>> texts(["Paris", "Lutetia"])
    ('Paris', 'Lutetia')
    >>> texts([])
    Traceback (most recent call last):
    ...
    gptrilogy.errors.DataError: the answers must be a list of one text or more, got []; mend or leave out the record
    """
    entries = cast("list[object]", value) if isinstance(value, list) else []
    found = tuple(entry for entry in entries if isinstance(entry, str))
    if not found or len(found) < len(entries):
        raise DataError(
            f"the answers must be a list of one text or more, got {value!r:.80}; mend or leave out the record"
        )
    return found
