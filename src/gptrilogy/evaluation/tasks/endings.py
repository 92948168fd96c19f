"""Which ending follows: HellaSwag."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gptrilogy.evaluation.items import Choice, Option
from gptrilogy.evaluation.measures import ACCURACY
from gptrilogy.evaluation.reading import json_lines, position, text_lines
from gptrilogy.evaluation.task import Hub, Layout, Record, Task


def hellaswag_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """`{activity}: {context}`, then an ending.

    Source: GPT3 Figure G.9.
    """
    context = _clean(f"{record['activity_label']}: {record['ctx']}")
    endings = [_clean(ending) for ending in record["endings"]]
    gold = position(str(record["label"]), [str(place) for place in range(len(endings))])
    return [Choice(tuple(Option(context, f" {ending}") for ending in endings), (gold,))]


def hellaswag_blocks(path: Path) -> Iterator[Record]:
    """Six lines a question: activity and context, the number of the right ending, four endings."""
    lines = [line for line in text_lines(path) if line.strip()]
    for start in range(0, len(lines), 6):
        opening, label, *endings = lines[start : start + 6]
        activity, _, context = opening.partition(": ")
        yield {"activity_label": activity, "ctx": context, "label": label, "endings": endings}


def _clean(text: str) -> str:
    """Without the marks of the WikiHow pages that some records were taken from, such as [step]."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


TASKS = (
    Task(
        name="hellaswag",
        title="HellaSwag",
        source="GPT3 §3.1.3, Figure G.9",
        items=hellaswag_items,
        measures=(ACCURACY,),
        folder="hellaswag",
        test=(
            Layout(("hellaswag_val.jsonl",), json_lines),
            Layout(("hellaswag_val_full.txt.bz2",), hellaswag_blocks),
        ),
        train=(Layout(("hellaswag_train.jsonl",), json_lines),),
        hub=Hub("Rowan/hellaswag", None, test="validation", train="train"),
        rule="token",
        shots=20,
        published="gpt3-hellaswag",
        notes="Marks such as [header] are taken out, as lm-evaluation-harness does; the paper does not say.",
    ),
)
