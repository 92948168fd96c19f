"""What `gpt predict` reads, and how it keeps score. Imports torch."""

import math
import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from gptrilogy.checkpoints import read_checkpoint
from gptrilogy.cli.launch_finetune import confusion_rows, parsed_columns
from gptrilogy.cli.output import print_note, table_lines
from gptrilogy.errors import CheckpointError
from gptrilogy.finetuning.batches import Item
from gptrilogy.finetuning.columns import has_header
from gptrilogy.finetuning.config import TaskConfig
from gptrilogy.finetuning.judging import Predicted, confusion_table, estimates
from gptrilogy.finetuning.predicting import Prediction, Predictor
from gptrilogy.finetuning.preparation import target
from gptrilogy.finetuning.published import read_published
from gptrilogy.finetuning.published_layouts import PUBLISHED
from gptrilogy.finetuning.reading import check_labels, examples
from gptrilogy.finetuning.saved import is_finetuned
from gptrilogy.finetuning.tables import FORMATS, Format, read_lines, read_table
from gptrilogy.finetuning.tasks import Example
from gptrilogy.loading import find_checkpoint
from gptrilogy.tokenizers import load_tokenizer

STDIN = "-"


def load_run(path: Path) -> Predictor:
    """A fine-tuned run, at its best checkpoint.

    Raises: CheckpointError where there is none, or it is a language model's.
    """
    folder = find_checkpoint(path)
    checkpoint = read_checkpoint(folder, with_train_state=False)
    if not is_finetuned(checkpoint.config):
        raise CheckpointError(
            f"{path} is a language model, which predicts no labels: `gpt finetune {path} TRAIN --task ... --out RUN` "
            "makes one that does"
        )
    return Predictor.of(checkpoint, load_tokenizer(folder / "tokenizer"))


def read_input(task: TaskConfig, file: str, columns: str | None, form: Format | None) -> Iterator[Example]:
    """The examples of a file or of stdin, with labels where there are some.

    Raises: DataError naming file and row of what cannot be used.
    """
    asked = parsed_columns(columns) if columns else task.columns
    if file == STDIN:
        form = form or _guessed(sys.stdin.buffer)
    elif task.name in PUBLISHED and not asked and form is None:
        return _checked(task, read_published(task.name, Path(file), "test", labelled=False, note=print_note))
    if form == "text" or (not has_header(asked) and (form or _suffix_format(file)) not in ("csv", "tsv")):
        asked = {}  # the numbers of columns in the training file say nothing of these
    if file == STDIN:
        rows = read_lines(sys.stdin.buffer, form or "text", header=has_header(asked))
    else:
        rows = read_table(Path(file), header=has_header(asked), format=form)
    source = "stdin" if file == STDIN else file
    return _checked(task, examples(rows, task.kind, asked, labelled=False, source=source))


def _suffix_format(file: str) -> Format | None:
    return FORMATS.get(Path(file.lower().removesuffix(".gz")).suffix)


def _guessed(stream: IO[bytes]) -> Format:
    """JSON lines where the first byte is a brace, else one text a line."""
    first = cast("BufferedReader", stream).peek(1)[:1]
    return "jsonl" if first == b"{" else "text"


def _checked(task: TaskConfig, found: Iterator[Example]) -> Iterator[Example]:
    """Examples, if what labels they have are known."""
    for example in found:
        if task.labels:
            check_labels([example], task.labels)
        yield example


class Scoreboard:
    """Predictions as rows to print, and how they compare with labels where every example has one."""

    def __init__(self, predictor: Predictor) -> None:
        self.task = predictor.config.task
        self._items: list[Item] = []
        self._values: list[float] = []
        self._n_cut = 0

    @property
    def header(self) -> list[str]:
        return ["prediction", *self.task.labels]

    def row(self, example: Example, prediction: Prediction) -> dict[str, Any]:
        """What is printed of a prediction."""
        said = prediction.label
        value = float(self.task.labels.index(str(said))) if self.task.labels else float(said)
        self._items.append(Item((), target(self.task, example)))
        self._values.append(value)
        self._n_cut += prediction.is_cut
        row: dict[str, Any] = {"label": said, "probabilities": prediction.probabilities}
        if self.task.kind == "choice":
            row["answer"] = example.answers[int(value)]
        if example.label is not None:
            row["truth"] = example.label
        return row

    def summary(self) -> dict[str, Any] | None:
        """Each score with its 95% interval; None where an example had no label, or where there was none."""
        if not self._items or any(math.isnan(item.target) for item in self._items):
            return None
        found = estimates(self.task, self._items, self._predicted())
        return {name: {"value": e.value, "low": e.low, "high": e.high} for name, e in found.items()}

    def show(self) -> None:
        """The scores and the confusion, on stderr."""
        if self._n_cut:
            print_note(f"{self._n_cut:,} of {len(self._items):,} examples were cut to the model's context")
        summary = self.summary()
        if summary is None:
            return
        for name, x in summary.items():
            print_note(f"{name} {x['value']:.4f} ({x['low']:.4f} to {x['high']:.4f}), {len(self._items):,} examples")
        if self.task.labels:
            counts = confusion_table(self.task, self._items, self._predicted())
            for line in table_lines("truth in rows, predictions in columns", confusion_rows(self.task.labels, counts)):
                print_note(line)

    def _predicted(self) -> Predicted:
        return Predicted(np.array(self._values), [], math.nan)
