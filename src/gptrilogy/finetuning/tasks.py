"""The kinds of task, and one labelled example of each. Needs no torch."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

KindName: TypeAlias = Literal["classification", "entailment", "similarity", "choice", "regression"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What an example of a task holds. Each of `fields` is one way to be complete; a label comes on top."""

    fields: tuple[tuple[str, ...], ...]
    label: str

    @property
    def names(self) -> tuple[str, ...]:
        """Every field of every way, each once."""
        return tuple(dict.fromkeys(name for way in self.fields for name in way))


KINDS: dict[KindName, Kind] = {
    "classification": Kind((("text",),), "a name or number of the class"),
    "entailment": Kind((("premise", "hypothesis"),), "a name or number of the class"),
    "similarity": Kind((("first", "second"),), "a name or number of the class"),
    "choice": Kind(
        (("context", "question", "answers"), ("question", "answers"), ("context", "answers")),
        "the right answer: its number from 0, its letter from A, or its text",
    ),
    "regression": Kind((("first", "second"), ("text",)), "a number"),
}


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a data set, in the order its transformation wants.

    `texts`: the fields but for the answers; of a choice always (context, question), of which one may be empty.
    `label`: the name of a class, the index of the right answer, a score; None where nobody knows.
    `where`: file and row, for messages.

    >>> Example(("A man sleeps.", "Nobody is awake."), label="neutral", where="snli.tsv:2").answers
    ()
    """

    texts: tuple[str, ...]
    answers: tuple[str, ...] = ()
    label: str | int | float | None = None
    where: str = ""
