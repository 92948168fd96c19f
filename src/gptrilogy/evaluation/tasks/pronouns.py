"""Whom a pronoun means: the Winograd schemas, WinoGrande and Winogender."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from gptrilogy.errors import DataError
from gptrilogy.evaluation.items import Choice, Option
from gptrilogy.evaluation.measures import ACCURACY
from gptrilogy.evaluation.reading import json_lines, position, table_rows, text_lines
from gptrilogy.evaluation.task import Hub, Layout, Record, Task

WSC273 = 273  # the first schemas of the collection, before it grew
ARTICLES = ("The ", "A ", "An ", "My ", "His ", "Her ")
POSSESSIVES = ("his", "her")  # in this collection `her` is never an object
PRONOUN = re.compile(r"\b(he|she|they|him|her|them|his|their|hers|theirs)\b", re.IGNORECASE)


class Schema(NamedTuple):
    """A sentence with a gap, and two candidates as they would stand in it; `gold`: which of them is right."""

    before: str
    candidates: tuple[str, str]
    rest: str
    gold: int


def winograd_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """Partial evaluation: the sentence up to and with a candidate, then the rest, which is all that is scored.

    Source: GPT2 §3.4; GPT3 Figures G.13 and G.14.
    """
    return [_partial(_schema(record))]


def winograd_full_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """Full evaluation: the whole sentence with a candidate, from its first token.

    Source: GPT2 §3.4.
    """
    before, candidates, rest, gold = _schema(record)
    return [Choice(tuple(Option("", before + candidate + rest) for candidate in candidates), (gold,))]


def winogrande_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """Partial evaluation, as of the Winograd schemas; spaces stay as they were published.

    Source: GPT3 Figure G.14.
    """
    before, _, rest = record["sentence"].partition("_")
    if not rest.strip():
        raise DataError(f"nothing follows the gap _ of {record['sentence']!r} that could be scored; leave it out")
    candidates = (record["option1"], record["option2"])
    return [_partial(Schema(before, candidates, rest, position(record["answer"], "12")))]


def winogender_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """The sentence and whom its pronoun refers to: the one with the occupation, or the other."""
    sentence: str = record["sentence"]
    occupation, participant, answer, _ = record["sentid"].split(".", 3)
    pronoun = PRONOUN.search(sentence)
    if pronoun is None:
        raise DataError(f"there is no pronoun in {sentence!r}; leave it out")
    context = f'{sentence} "{pronoun.group().capitalize()}" refers to the'
    options = (Option(context, f" {occupation}"), Option(context, f" {participant}"))
    return [Choice(options, (position(answer, "01"),))]


def collection_rows(path: Path) -> Iterator[Record]:
    """WSC273 out of the collection it is the beginning of."""
    return islice(table_rows(path, delimiter=","), WSC273)


def masked_blocks(path: Path) -> Iterator[Record]:
    """Four lines a schema: a sentence with [MASK], that word, two candidates, the right one.

    The pronoun is not told. The right candidate is always listed first; they are sorted, so that a tie tells nothing.
    """
    lines = [line.strip() for line in text_lines(path) if line.strip()]
    for number, start in enumerate(range(0, len(lines), 4), start=1):
        try:
            sentence, mask, listed, right = lines[start : start + 4]
            before, rest = sentence.split(mask)
            one, other = sorted(candidate.strip() for candidate in listed.split(","))
            label = (one, other).index(right)
        except ValueError:
            raise DataError(
                f"{path} record {number} is not a sentence, [MASK], two candidates and the right one; "
                "get the file again"
            ) from None
        yield {"txt1": before, "pron": "", "txt2": rest, "answer_0": one, "answer_1": other, "label": str(label)}


def named_participants(path: Path) -> Iterator[Record]:
    """The sentences whose other participant is named; the rest say `someone` in his or her place."""
    # A missing field is left for the one who asks for it, who knows the record's number.
    return (row for row in table_rows(path) if ".someone." not in row.get("sentid", ""))


def _partial(schema: Schema) -> Choice:
    options = tuple(Option(schema.before + candidate, schema.rest) for candidate in schema.candidates)
    return Choice(options, (schema.gold,))


def _schema(record: Record) -> Schema:
    before, rest = (" ".join(record[name].split()) for name in ("txt1", "txt2"))
    if not rest:
        raise DataError(f"nothing follows the pronoun after {before!r} that could be scored; leave it out")
    one, other = (_in_place(record[name].strip(), before, record["pron"]) for name in ("answer_0", "answer_1"))
    joined = rest if rest[0] in ".,;!?" else f" {rest}"
    return Schema(f"{before} " if before else "", (one, other), joined, position(str(record["label"]), "01"))


def _in_place(candidate: str, before: str, pronoun: str) -> str:
    """A candidate as it is written in the pronoun's place.

    >>> _in_place("The man", "Here comes", "he"), _in_place("the man", "Wait.", "He"), _in_place("Jim", "It is", "his")
    ('the man', 'The man', "Jim's")
    """
    if not before or before[-1] in ".!?":
        candidate = candidate[:1].upper() + candidate[1:]
    elif candidate.startswith(ARTICLES):
        candidate = candidate[0].lower() + candidate[1:]
    return f"{candidate}'s" if pronoun.lower() in POSSESSIVES else candidate


def _published_schema(row: Record) -> Record:
    text, start = row["text"], row["pronoun_loc"]
    one, other = row["options"]
    return {
        "txt1": text[:start],
        "pron": row["pronoun"],
        "txt2": text[start + len(row["pronoun"]) :],
        "answer_0": one,
        "answer_1": other,
        "label": row["label"],
    }


SCHEMAS = (
    Layout(("WSCollection.csv",), collection_rows),
    Layout(("wsc273.txt",), masked_blocks),
)
WINOGRAD_HUB = Hub("ErnestSDavis/winograd_wsc", "wsc273", test="test", train=None, record=_published_schema)
WINOGRAD_NOTES = (
    "How a candidate is written in the pronoun's place is ours: its article in lower case inside a sentence, with 's "
    "for his and her (wsc273.txt does not tell the pronoun, and has no 's)."
)
TASKS = (
    Task(
        name="winograd",
        title="Winograd schemas, partial",
        source="GPT3 §3.4, Figure G.13; GPT2 §3.4",
        items=winograd_items,
        measures=(ACCURACY,),
        folder="wsc273",
        test=SCHEMAS,
        hub=WINOGRAD_HUB,
        rule="sum",
        shots=7,
        published="gpt3-winograd",
        notes=f"Demonstrations are other schemas of the set. {WINOGRAD_NOTES}",
    ),
    Task(
        name="winograd-full",
        title="Winograd schemas, full",
        source="GPT2 §3.4",
        items=winograd_full_items,
        measures=(ACCURACY,),
        folder="wsc273",
        test=SCHEMAS,
        hub=WINOGRAD_HUB,
        rule="sum",
        published="gpt2-winograd",
        notes=f"Which of its two ways of scoring the paper's one number comes from is not known. {WINOGRAD_NOTES}",
    ),
    Task(
        name="winogrande",
        title="WinoGrande",
        source="GPT3 §3.4, Figure G.14",
        items=winogrande_items,
        measures=(ACCURACY,),
        folder="winogrande",
        test=(Layout(("dev.jsonl",), json_lines),),
        train=tuple(Layout((f"train_{size}.jsonl",), json_lines) for size in ("xl", "l", "m", "s", "xs")),
        hub=Hub("allenai/winogrande", "winogrande_xl", test="validation", train="train"),
        rule="sum",
        shots=50,
        published="gpt3-winogrande",
        notes="Demonstrations come from the largest training file there is.",
    ),
    Task(
        name="winogender",
        title="Winogender schemas",
        source="GPT3 §6.1",
        items=winogender_items,
        measures=(ACCURACY,),
        folder="winogender",
        test=(Layout(("all_sentences.tsv",), named_participants),),
        rule="token",
        published="gpt3-winogender",
        notes="The wording of the question is ours, and that the 360 sentences with `someone` are left out.",
    ),
)
