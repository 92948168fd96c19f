"""Questions with given answers: PIQA, ARC, OpenBookQA, RACE and the SAT's analogies."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from gptrilogy.errors import DataError
from gptrilogy.evaluation.items import Choice, Option
from gptrilogy.evaluation.measures import ACCURACY
from gptrilogy.evaluation.reading import json_document, json_lines, position, text_lines
from gptrilogy.evaluation.task import Hub, Layout, Record, Task

N_ANALOGIES = 5  # choices a question of the SAT has


def piqa_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """The goal, then a way to reach it.

    Source: GPT3 Figure G.4.
    """
    options = tuple(Option(record["goal"].strip(), f" {record[name].strip()}") for name in ("sol1", "sol2"))
    return [Choice(options, (position(str(record["label"]), "01"),))]


def arc_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """`Question: ...` and `Answer:`, then a choice.

    Source: GPT3 Figures G.11 and G.16.
    """
    return [_science(f"Question: {record['question']['stem'].strip()}\nAnswer:", record)]


def openbookqa_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """The stem, then a choice.

    Source: GPT3 Figure G.8.
    """
    return [_science(record["question"]["stem"].strip(), record)]


def race_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """A passage's questions, each after those before it with their right answers.

    Source: GPT3 Figures G.1 and G.3.
    """
    context = f"Article:\n{record['article'].strip()}\n\n"
    items: list[Choice] = []
    for question, options, answer in zip(record["questions"], record["options"], record["answers"], strict=True):
        context += f"Q: {question.strip()}\n\nA:"
        answers = [f" {option.strip()}" for option in options]
        gold = position(answer, "ABCD"[: len(answers)])
        items.append(Choice(tuple(Option(context, answer) for answer in answers), (gold,), answer_context="A:"))
        context += f"{answers[gold]}\n\n"
    return items


def race_demonstration(record: Record) -> str:
    """A passage with all its questions and answers."""
    return race_items(record, 0)[-1].demonstration


def analogy_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """`ice is to cold as`, then `fire is to hot`.

    Source: GPT3 Figure G.12.
    """
    context = f"{_is_to(record['stem'])} as"
    options = tuple(Option(context, f" {_is_to(pair)}") for pair in record["choice"])
    return [Choice(options, (position(record["answer"], "abcde"[: len(options)]),))]


def labelled_lines(path: Path) -> Iterator[Record]:
    """Records with the answers that are published in a file beside theirs, `dev-labels.lst` beside `dev.jsonl`."""
    beside = path.with_name(f"{path.stem}-labels.lst")
    if not beside.is_file():
        raise DataError(f"the answers to {path} are missing; put {beside.name} beside it")
    labels = (label.strip() for label in text_lines(beside) if label.strip())
    for record, label in zip_longest(json_lines(path), labels):
        if record is None or label is None:
            raise DataError(f"{beside} has {'fewer' if record else 'more'} lines than {path.name}; get both again")
        yield {**record, "label": label}


def passages(path: Path) -> Iterator[Record]:
    """The passages of a folder, one a file, in the order of the files' names."""
    for file in sorted(path.glob("*.txt")):
        yield json_document(file)


def analogy_blocks(path: Path) -> Iterator[Record]:
    """Eight lines a question: its origin, the stem, five choices (two words and their kinds each), the answer's letter.

    Lines that begin with # are comments.
    """
    size = N_ANALOGIES + 3
    lines = [line.strip() for line in text_lines(path) if line.strip() and not line.startswith("#")]
    for number, start in enumerate(range(0, len(lines), size), start=1):
        block = lines[start : start + size]
        pairs = [line.split()[:2] for line in block[1:-1]]
        if len(block) < size or not all(len(pair) == 2 for pair in pairs):
            raise DataError(
                f"{path} question {number} is not an origin, a stem, {N_ANALOGIES} choices and a letter; "
                "mend or leave it out"
            )
        yield {"stem": pairs[0], "choice": pairs[1:], "answer": block[-1]}


def _science(context: str, record: Record) -> Choice:
    choices = record["question"]["choices"]
    gold = position(record["answerKey"], [choice["label"] for choice in choices])
    return Choice(tuple(Option(context, f" {choice['text'].strip()}") for choice in choices), (gold,))


def _is_to(pair: Sequence[str]) -> str:
    one, other = pair
    return f"{one} is to {other}"


def _published_question(stem: str, row: Record) -> Record:
    columns: dict[str, list[Any]] = row["choices"]
    choices = [{"text": text, "label": label} for text, label in zip(columns["text"], columns["label"], strict=True)]
    return {"question": {"stem": stem, "choices": choices}, "answerKey": row["answerKey"]}


def _arc(which: str) -> Task:
    return Task(
        name=f"arc-{which.lower()}",
        title=f"ARC-{which}",
        source="GPT3 §3.5, Figures G.11 and G.16",
        items=arc_items,
        measures=(ACCURACY,),
        folder=f"ARC-{which}",
        test=(Layout((f"ARC-{which}-Test.jsonl",), json_lines),),
        train=(Layout((f"ARC-{which}-Train.jsonl",), json_lines),),
        hub=Hub(
            "allenai/ai2_arc",
            f"ARC-{which}",
            test="test",
            train="train",
            record=lambda row: _published_question(row["question"], row),
        ),
        rule="unconditional",
        shots=50,
        published=f"gpt3-arc-{which.lower()}",
    )


def _race(which: str, figure: str) -> Task:
    return Task(
        name=f"race-{which}",
        title=f"RACE-{which}",
        source=f"GPT3 §3.6, Figure {figure}",
        items=race_items,
        measures=(ACCURACY,),
        folder="RACE",
        test=(Layout((f"test/{which}",), passages),),
        train=(Layout((f"train/{which}",), passages),),
        rule="unconditional",
        demonstration=race_demonstration,
        shots=10,
        published=f"gpt3-race-{which}",
        notes=(
            "That K counts passages, each shown with all its questions and answers, is ours. The hub has one row a "
            "question, from which the questions before it are not known; only the published files are read."
        ),
    )


def _openbookqa(split: str) -> tuple[Layout, ...]:
    main = f"Data/Main/{split}.jsonl"
    return tuple(Layout((name,), json_lines) for name in (f"OpenBookQA-V1-Sep2018/{main}", main, f"{split}.jsonl"))


TASKS = (
    Task(
        name="piqa",
        title="PIQA",
        source="GPT3 §3.5, Figure G.4",
        items=piqa_items,
        measures=(ACCURACY,),
        folder="piqa",
        test=(
            Layout(("valid.jsonl",), labelled_lines, beside=("valid-labels.lst",)),
            Layout(("physicaliqa-train-dev/dev.jsonl",), labelled_lines, beside=("dev-labels.lst",)),
        ),
        train=(
            Layout(("train.jsonl",), labelled_lines, beside=("train-labels.lst",)),
            Layout(("physicaliqa-train-dev/train.jsonl",), labelled_lines, beside=("train-labels.lst",)),
        ),
        hub=Hub("ybisk/piqa", None, test="validation", train="train"),
        rule="token",
        shots=50,
        published="gpt3-piqa",
        notes="Table 3.6 prints 80.5 for zero shots, Table H.1 81.0.",
    ),
    _arc("Easy"),
    _arc("Challenge"),
    Task(
        name="openbookqa",
        title="OpenBookQA",
        source="GPT3 §3.5, Figure G.8",
        items=openbookqa_items,
        measures=(ACCURACY,),
        folder="openbookqa",
        test=_openbookqa("test"),
        train=_openbookqa("train"),
        hub=Hub(
            "allenai/openbookqa",
            "main",
            test="test",
            train="train",
            record=lambda row: _published_question(row["question_stem"], row),
        ),
        rule="unconditional",
        shots=100,
        published="gpt3-openbookqa",
        notes="The answer context is `Answer:`; which of its two the paper used here is not known.",
    ),
    _race("middle", "G.3"),
    _race("high", "G.1"),
    Task(
        name="sat-analogies",
        title="SAT analogies",
        source="GPT3 §3.9.3, Figure G.12",
        items=analogy_items,
        measures=(ACCURACY,),
        folder="sat-analogies",
        test=(Layout(("SAT-package-V3.txt",), analogy_blocks),),
        rule="token",
        shots=20,
        published="gpt3-sat-analogies",
        notes="The set is not public: its file is asked of its author. Demonstrations are its other questions.",
    ),
)
