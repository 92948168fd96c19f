"""SuperGLUE's tasks of long passages, several questions to each: MultiRC and ReCoRD."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gptrilogy.errors import DataError
from gptrilogy.evaluation.items import Choice, Option, Outcome
from gptrilogy.evaluation.measures import ACCURACY, ALL_RIGHT, ANSWER_F1, mean_of
from gptrilogy.evaluation.reading import json_lines, position
from gptrilogy.evaluation.scores.answers import best_f1
from gptrilogy.evaluation.task import Hub, Layout, Record, Task

VERDICTS = ("True", "False")
PLACEHOLDER = "@placeholder"
HIGHLIGHT = re.compile(r"\s*@highlight\s*")


@dataclass(frozen=True, slots=True)
class Entities(Choice):
    """A choice of what fills a gap; `names`: what each option fills it with."""

    names: tuple[str, ...] = ()


def multirc_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """Of each answer to a question, whether it is right; any number of them may be.

    Source: GPT3 Figure G.15.
    """
    context = _multirc_context(record)
    return [
        Choice(tuple(Option(context, _judged(verdict, answer)) for verdict in VERDICTS), (_verdict(answer),))
        for answer in record["answers"]
    ]


def multirc_demonstration(record: Record) -> str:
    """A question with all its answers, each judged."""
    judged = [_judged(VERDICTS[_verdict(answer)], answer) for answer in record["answers"]]
    return _multirc_context(record) + "".join(judged)


def record_items(record: Record, _shots: int, /) -> Sequence[Entities]:
    """A passage with its highlights as a list, which goes on with the query, its gap filled with an entity.

    Source: GPT3 Figure G.6.
    """
    query: str = record["query"].strip()
    if PLACEHOLDER not in query:
        raise DataError(f"the query {query!r} has no {PLACEHOLDER}; leave out the record")
    names = tuple(dict.fromkeys(record["entities"]))
    gold = tuple(dict.fromkeys(position(answer, names) for answer in record["answers"]))
    if not gold:
        raise DataError(f"the query {query!r} has no answer; take a split that has them")
    passage, *highlights = HIGHLIGHT.split(record["passage"].strip())
    context = passage + "\n" + "".join(f"\n- {highlight}" for highlight in highlights)
    options = tuple(Option(context, f"\n- {query.replace(PLACEHOLDER, name)}") for name in names)
    return [Entities(options, gold, names=names)]


def entity_f1(outcome: Outcome) -> float:
    """How many words the chosen entity shares with the right one that it is most like, as F1."""
    assert isinstance(outcome.item, Entities)
    assert outcome.chosen is not None
    names = outcome.item.names
    return best_f1(names[outcome.chosen], [names[right] for right in outcome.item.gold])


ENTITY_F1 = mean_of("f1", lambda record: sum(map(entity_f1, record)) / len(record))


def multirc_questions(line: Record) -> Iterator[Record]:
    """The questions of a passage."""
    for question in line["passage"]["questions"]:
        yield {
            "passage": line["passage"]["text"],
            "question": question["question"],
            "answers": question["answers"],
        }


def record_queries(line: Record) -> Iterator[Record]:
    """The queries of a passage; an entity is published as the places of its first and last characters."""
    text: str = line["passage"]["text"]
    entities = [text[entity["start"] : entity["end"] + 1] for entity in line["passage"]["entities"]]
    for query in line["qas"]:
        answers = [answer["text"] for answer in query["answers"]]
        yield {"passage": text, "query": query["query"], "entities": entities, "answers": answers}


def questions_of_lines(questions: Callable[[Record], Iterable[Record]], path: Path) -> Iterator[Record]:
    """The questions of all passages of a file, one passage a line.

    Raises: DataError naming the passage that is not as published.
    """
    for number, line in enumerate(json_lines(path), start=1):
        try:
            yield from questions(line)
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{path} passage {number} is not as published: {type(error).__name__}: {error}; get the file again"
            ) from None


def _multirc_context(record: Record) -> str:
    return f"{record['passage'].strip()}\n\n{record['question'].strip()}"


def _judged(verdict: str, answer: Record) -> str:
    return f"\n- [{verdict}] {answer['text'].strip()}"


def _verdict(answer: Record) -> int:
    return position(answer["label"], (1, 0))


TASKS = (
    Task(
        name="multirc",
        title="MultiRC",
        source="GPT3 §3.7, Figure G.15",
        items=multirc_items,
        measures=(ALL_RIGHT, ANSWER_F1),
        folder="MultiRC",
        test=(Layout(("val.jsonl",), partial(questions_of_lines, multirc_questions)),),
        train=(Layout(("train.jsonl",), partial(questions_of_lines, multirc_questions)),),
        rule="token",
        demonstration=multirc_demonstration,
        description="READING COMPREHENSION ANSWER KEY\n",
        fixed_draw=True,
        shots=32,
        published="gpt3-multirc",
        notes=(
            "That the heading stands once, and that an answer is judged without those before it, is ours. The hub has "
            "one row an answer, which cannot be put together again; only the published files are read."
        ),
    ),
    Task(
        name="record",
        title="ReCoRD",
        source="GPT3 §3.7, Figure G.6",
        items=record_items,
        measures=(ACCURACY, ENTITY_F1),
        folder="ReCoRD",
        test=(Layout(("val.jsonl",), partial(questions_of_lines, record_queries)),),
        train=(Layout(("train.jsonl",), partial(questions_of_lines, record_queries)),),
        hub=Hub("aps/super_glue", "record", test="validation", train="train"),
        rule="token",
        shots=32,
        published="gpt3-record",
        notes="The empty line between passage and highlights is ours.",
    ),
)
