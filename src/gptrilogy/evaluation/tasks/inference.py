"""Whether one text follows from another: ANLI."""

from collections.abc import Sequence
from functools import partial

from gptrilogy.evaluation.items import Choice, Option
from gptrilogy.evaluation.measures import ACCURACY
from gptrilogy.evaluation.reading import json_lines, position
from gptrilogy.evaluation.task import Hub, Layout, Record, Task

LABELS, WORDS = "ecn", ("True", "False", "Neither")  # entailment, contradiction, neutral
HUB_LABELS = "enc"


def anli_items(round_number: int, record: Record, _shots: int, /) -> Sequence[Choice]:
    """Premise, hypothesis and the question in one line; the prefix stands twice, as it is printed.

    Source: GPT3 Figures G.2, G.7 and G.10.
    """
    prefix = f"anli {round_number}: " * 2
    question = f"{record['hypothesis'].strip()} True, False, or Neither?"
    context = f"{prefix}{record['context'].strip()}\nQuestion: {question}"
    options = tuple(Option(context, f" {word}") for word in WORDS)
    return [Choice(options, (position(record["label"], LABELS),))]


def _published_pair(row: Record) -> Record:
    return {"context": row["premise"], "hypothesis": row["hypothesis"], "label": HUB_LABELS[row["label"]]}


def _anli(round_number: int) -> Task:
    return Task(
        name=f"anli-r{round_number}",
        title=f"ANLI, round {round_number}",
        source="GPT3 §3.8, Figures G.2, G.7 and G.10",
        items=partial(anli_items, round_number),
        measures=(ACCURACY,),
        folder="anli_v1.0",
        test=(Layout((f"R{round_number}/test.jsonl",), json_lines),),
        train=(Layout((f"R{round_number}/train.jsonl",), json_lines),),
        hub=Hub(
            "facebook/anli", None, test=f"test_r{round_number}", train=f"train_r{round_number}", record=_published_pair
        ),
        rule="token",
        shots=50,
        published=f"gpt3-anli-r{round_number}",
        notes="That demonstrations have the doubled prefix too is ours.",
    )


TASKS = tuple(_anli(round_number) for round_number in (1, 2, 3))
