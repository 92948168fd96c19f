"""Published data sets that are more than the rows of a table: RACE, Story Cloze, and MRPC as first released."""

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ValidationError

from gptrilogy.errors import DataError
from gptrilogy.finetuning.columns import Cells
from gptrilogy.finetuning.tables import OnBad, TableRow, read_table

Split: TypeAlias = Literal["train", "valid", "test"]

STORY_ENDINGS = "RandomFifthSentenceQuiz1+RandomFifthSentenceQuiz2"
STORY_SEED = 3_535_999_445  # of GPT-1's released code, as are the next two numbers
N_STORIES, N_VALID_STORIES = 1_871, 374


class _Passage(BaseModel):
    """A file of RACE, but for its name."""

    article: str
    questions: list[str]
    options: list[list[str]]
    answers: list[str]


def race_rows(path: Path, split: Split, on_bad: OnBad) -> Iterator[TableRow]:
    """The questions on one passage; RACE keeps each passage, as a JSON object, in a file of its own."""
    del split, on_bad
    lines = [row.values["text"] for row in read_table(path, format="text")]
    try:
        passage = _Passage.model_validate_json("\n".join(lines))
    except ValidationError as error:
        raise DataError(
            f"{path} is no passage of RACE ({error.errors()[0]['msg']}): get it again or remove it"
        ) from None
    questions, options, answers = passage.questions, passage.options, passage.answers
    if not len(questions) == len(options) == len(answers):
        raise DataError(
            f"{path} has {len(questions)} questions, {len(options)} lists of options and {len(answers)} answers: they "
            "must be as many; get it again or remove it"
        )
    for number, (question, choices, answer) in enumerate(zip(questions, options, answers, strict=True), start=1):
        # An option may itself be a letter, and the answer is always the letter of its place.
        lettered = {"text": choices, "label": list(string.ascii_uppercase[: len(choices)])}
        values = {"article": passage.article, "question": question, "options": lettered, "answer": answer}
        yield TableRow(values, f"{path}: question {number}")


def story_rows(path: Path, split: Split, on_bad: OnBad) -> Iterator[TableRow]:
    """The stories of a file; of the validation file, the part GPT-1 trained on, or the rest, for validation.

    Source: GPT-1's released code for 1,871 stories, of which a fixed seed draws 374. Other numbers are parted alike.
    """
    rows = list(read_table(path, on_bad=on_bad))
    kept = range(len(rows)) if split == "test" else story_part(len(rows), split)
    for number in kept:
        row = rows[number]
        endings = Cells(row, {"answers": STORY_ENDINGS}).get("answers")
        yield TableRow({**row.values, "endings": {"text": endings, "label": ["1", "2"]}}, row.where)


def story_part(n: int, split: Split) -> list[int]:
    """Which of n stories are for training, or for validation, in the order of the file.

    >>> len(story_part(1871, "train")), len(story_part(1871, "valid"))
    (1497, 374)
    """
    import numpy as np

    n_valid = -(-n * N_VALID_STORIES // N_STORIES)
    order = np.random.RandomState(STORY_SEED).permutation(n).tolist()
    return sorted(order[:n_valid] if split == "valid" else order[n_valid:])


def mrpc_rows(path: Path, split: Split, on_bad: OnBad) -> Iterator[TableRow]:
    """The pairs of Microsoft's own file; for training without those that GLUE keeps for validation, in dev.tsv."""
    dev = path.with_name("dev.tsv")
    held_out = {_ids(row) for row in read_table(dev)} if split == "train" and dev.exists() else set[Any]()
    return (row for row in read_table(path, format="tsv", on_bad=on_bad) if _ids(row) not in held_out)


def _ids(row: TableRow) -> tuple[Any, Any]:
    return row.values.get("#1 ID"), row.values.get("#2 ID")
