"""`gpt predict`: labels and probabilities from a fine-tuned run."""

import json as json_module
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from gptrilogy.cli.options import Flag, Json
from gptrilogy.errors import ConfigError

STDIN = "-"


def predict(
    run: Path,
    file: Annotated[str, Parameter(allow_leading_hyphen=True)] = STDIN,
    /,
    *,
    columns: str | None = None,
    format: Literal["jsonl", "csv", "tsv", "text"] | None = None,  # noqa: A002 - what everyone calls it
    json: Json = False,
    jsonl: Flag = False,
) -> None:
    """Predict the labels of examples with a fine-tuned run.

    Each example gets a line as soon as it is read: the label, and the
    probability of every class or answer, apart by tabs. Where the examples have
    labels, the scores and what was confused follow on stderr.

        gpt predict runs/reviews new.jsonl
        echo "A quiet triumph." | gpt predict runs/reviews
        gpt predict runs/cola cola/out_of_domain_dev.tsv --json

    Parameters
    ----------
    run
        A fine-tuning run or one of its checkpoints.
    file
        JSONL, CSV, TSV or Parquet; a file or folder of the published data set the run was trained on; - for stdin.
    columns
        Field=column, several by commas, as for gpt finetune. [default: as in training]
    format
        What stdin or a file without a telling name holds; text: a text a line. [default for stdin: jsonl where it
        begins with a brace, else text]
    json
        One JSON document, with a prediction a line and the scores at its end.
    jsonl
        One JSON object a line.

    """
    if json and jsonl:
        raise ConfigError("give --json or --jsonl, not both")

    from gptrilogy.cli.launch_predict import Scoreboard, load_run, read_input

    predictor = load_run(run)
    board = Scoreboard(predictor)
    rows = (board.row(*pair) for pair in predictor.stream(read_input(predictor.config.task, file, columns, format)))
    if json:
        _print_document(rows, board.summary)
    elif jsonl:
        for row in rows:
            _print(json_module.dumps(row, ensure_ascii=False))
    else:
        _print_table(rows, board.header)
    board.show()


def _print_document(rows: Iterator[dict[str, Any]], summary: Any) -> None:
    """A JSON object that is written as its predictions come."""
    opening = before = '{"predictions": [\n'
    for row in rows:
        _print(before + json_module.dumps(row, ensure_ascii=False), end="")
        before = ",\n"
    _print((before if before == opening else "") + '\n], "scores": ' + json_module.dumps(summary()) + "}")


def _print_table(rows: Iterator[dict[str, Any]], header: list[str]) -> None:
    for number, row in enumerate(rows):
        if number == 0:  # where there is nothing to predict, nothing looks like a result
            _print("\t".join(header))
        label = row["label"]
        shares = "".join(f"\t{share:.4f}" for share in row["probabilities"].values())
        _print((f"{label:.4f}" if isinstance(label, float) else str(label)) + shares)


def _print(text: str, *, end: str = "\n") -> None:
    print(text, end=end, file=sys.stdout, flush=True)  # noqa: T201
