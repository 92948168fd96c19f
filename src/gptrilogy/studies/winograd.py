"""Winograd schemas out of WSC273's file."""

from collections.abc import Iterator
from pathlib import Path

from gptrilogy.errors import DataError
from gptrilogy.evaluation.heuristics import Schema

ARTICLES = ("The ", "A ", "An ", "My ", "His ", "Her ")


def read_schemas(path: Path) -> Iterator[tuple[Schema, int]]:
    """Records of four lines and an empty one: a sentence with [MASK], that word, two referents, the right one.

    The first word of a referent is in lower case where it is an article inside a sentence; single spaces are kept.

    Raises: DataError naming the record that is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 at byte {error.start}; convert it first") from None
    records = "\n".join(line.strip() for line in lines).strip().split("\n\n")
    for number, record in enumerate(records, start=1):
        try:
            sentence, pronoun, listed, right = record.split("\n")
            before, rest = (" ".join(part.split()) for part in sentence.split(pronoun))
            one, other = (_cased(referent.strip(), before) for referent in listed.split(","))
            place = (one, other).index(_cased(right, before))
            if not (one and other and rest):
                raise ValueError
        except ValueError:
            raise DataError(
                f"{path}, record {number} is not a sentence, [MASK], two referents and the right one"
            ) from None
        rest = rest if rest in {".", "!", "?"} else f" {rest}"
        yield Schema(f"{before} " if before else "", (one, other), rest), place


def _cased(referent: str, before: str) -> str:
    inside = bool(before) and before[-1] not in ".!?"
    return referent[0].lower() + referent[1:] if inside and referent.startswith(ARTICLES) else referent
