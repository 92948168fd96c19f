"""Which ending follows: HellaSwag, StoryCloze."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from gptrilogy.errors import DataError
from gptrilogy.evaluation.items import Choice, Option
from gptrilogy.evaluation.measures import ACCURACY
from gptrilogy.evaluation.reading import json_lines, position, table_rows, text_lines
from gptrilogy.evaluation.task import Hub, Layout, Record, Task


def hellaswag_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """`{activity}: {context}`, then an ending.

    Source: GPT3 Figure G.9.
    """
    context = _clean(_capitalised(f"{record['activity_label']}: {record['ctx']}"))
    endings = [_clean(ending) for ending in record["endings"]]
    gold = position(str(record["label"]), [str(place) for place in range(len(endings))])
    return [Choice(tuple(Option(context, f" {ending}") for ending in endings), (gold,))]


def hellaswag_blocks(path: Path) -> Iterator[Record]:
    """Six lines a question: activity and context, the number of the right ending, four endings.

    Raises: DataError where the last question is cut short.
    """
    lines = (line for line in text_lines(path) if line.strip())
    while block := list(islice(lines, 6)):
        if len(block) < 6:
            raise DataError(f"{path} has {len(block)} lines of its last question, not 6; get the file again")
        opening, label, *endings = block
        activity, _, context = opening.partition(": ")
        yield {"activity_label": activity, "ctx": context, "label": label, "endings": endings}


def storycloze_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """Four sentences, then a fifth.

    Source: GPT3 Figure G.17.
    """
    context = " ".join(record[f"InputSentence{number}"].strip() for number in (1, 2, 3, 4))
    endings = [record[f"RandomFifthSentenceQuiz{number}"].strip() for number in (1, 2)]
    gold = position(str(record["AnswerRightEnding"]), ["1", "2"])
    return [Choice(tuple(Option(context, f" {ending}") for ending in endings), (gold,))]


def storycloze_row(row: Record) -> Record:
    """A row of `LSDSem/story_cloze` under the names of the published table."""
    sentences = {f"InputSentence{number}": row[f"input_sentence_{number}"] for number in (1, 2, 3, 4)}
    endings = {f"RandomFifthSentenceQuiz{number}": row[f"sentence_quiz{number}"] for number in (1, 2)}
    return {**sentences, **endings, "AnswerRightEnding": row["answer_right_ending"]}


def _capitalised(text: str) -> str:
    """With a capital where the last sentence begins: where that is unfinished, it is published without."""
    return re.sub(r"(?<=[.!?] )[a-z](?=[^.!?]*$)", lambda first: first[0].upper(), text)


def _clean(text: str) -> str:
    """Without the marks of the WikiHow pages that some records were taken from, such as [step]."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ").strip()


def _tables(*names: str) -> tuple[Layout, ...]:
    return tuple(Layout((name,), partial(table_rows, delimiter=",")) for name in names)


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
        notes="Marks such as [header] are taken out and a context's last, unfinished sentence begins with a capital, as"
        " lm-evaluation-harness does, which keeps the space after a mark; the paper does not say.",
    ),
    Task(
        name="storycloze",
        title="StoryCloze 2016",
        source="GPT3 §3.1.4, Figure G.17",
        items=storycloze_items,
        measures=(ACCURACY,),
        folder="storycloze",
        test=_tables("cloze_test_test__spring2016 - cloze_test_ALL_test.csv", "cloze_test_test__spring2016.csv"),
        train=_tables(
            "cloze_test_val__spring2016 - cloze_test_ALL_val.csv",
            "cloze_test_val__spring2016.csv",
            "cloze_test_val__winter2018-cloze_test_ALL_val - 1 - 1.csv",
            "cloze_test_val__winter2018.csv",
        ),
        hub=Hub("LSDSem/story_cloze", "2016", test="test", train="validation", record=storycloze_row),
        rule="token",
        shots=70,
        published="gpt3-storycloze",
        notes="Demonstrations are of the validation set, as in the paper. The test of 2018 has no published answers.",
    ),
)
