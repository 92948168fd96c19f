"""`gpt evaluate`: what a model can do without training."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from gptrilogy.cli.options import Flag, Json, Out, data_folder
from gptrilogy.errors import ConfigError, DataError

Count = Annotated[int, Parameter(validator=Number(gte=1))]


def evaluate(
    *models: str,
    tasks: str | None = None,
    shots: str | None = None,
    draws: Count = 1,
    data: Path | None = None,
    out: Out = None,
    limit: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    batch_size: Count = 1,
    seed: int = 0,
    precision: Literal["fp32", "bf16"] = "fp32",
    demonstrations: Literal["train", "test"] = "train",
    all_rules: Flag = False,
    stride: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    list_tasks: Annotated[bool, Parameter(name="--list", negative="")] = False,
    json: Json = False,
) -> None:
    """Measure what a model can do from its context alone, without training.

    By the protocols of GPT-2 and GPT-3: zero, one or a few demonstrations.

        gpt evaluate runs/novels --tasks arithmetic-1dc --shots 0,1,8 --draws 5
        gpt evaluate runs/novels --tasks lambada,hellaswag --data data/ --out ev
        gpt evaluate small/ large/ --tasks "arithmetic-*" --out both
        gpt evaluate --list

    Every answer goes to OUT/answers.jsonl as it is given: the same command
    goes on from there after anything. OUT also gets results.json, a line for
    each record in records.jsonl, and pictures.

    Parameters
    ----------
    models
        Runs, checkpoints, Hugging Face folders: whatever gpt generate takes.
    tasks
        Names by commas; "arithmetic-*" is all that begin so. --list has them.
    shots
        Numbers of demonstrations by commas. [default: what the paper used]
    draws
        How often the demonstrations are drawn anew.
    data
        The folder of the published files, or hub. [default: the one that GPTRILOGY_DATA names]
    out
        A folder for answers, results and pictures. Without it nothing is kept.
    limit
        At most so many records of each test set.
    batch_size
        Tokens computed at once, in contexts of the model or 1,024 if that is more. It bounds memory, no result.
    seed
        Of the draws.
    precision
        bf16 is faster on some machines, and its scores are labelled so.
    demonstrations
        test: draw them from the test set, never the question itself. The papers draw from the training set.
    all_rules
        Show every rule for choosing among answers: sum, token, character, byte, unconditional.
    stride
        Of the windows over long texts, in tokens; smaller gives each token more context. [default: the context]
    list_tasks
        The tasks, and the files that each reads.
    json
        Print {"results": [{"task", "shots", "draw", "rule", "metric", "value", "stderr", "n"}, ...]}.

    """
    from gptrilogy.cli.output import print_json, print_table

    if list_tasks:
        from gptrilogy.evaluation.catalogue import TASKS, describe

        print_table(f"{len(TASKS)} tasks", describe())
        return
    if not models or not tasks:
        raise ConfigError("give a model and --tasks; `gpt evaluate --list` shows what there is")

    from gptrilogy.cli.launch_evaluate import Order, run

    order = Order(
        models=models,
        tasks=tuple(name.strip() for name in tasks.split(",")),
        shots=None if shots is None else _numbers(shots),
        draws=draws,
        data=data_folder(data),
        out=out,
        limit=limit,
        batch_size=batch_size,
        seed=seed,
        precision=precision,
        demonstrations=demonstrations,
        all_rules=all_rules,
        stride=stride,
    )
    document, lines = run(order)
    if json:
        print_json(document)
    elif document["results"]:
        print_table(f"{len({row['task'] for row in document['results']})} tasks", lines)
    if failures := document["failures"]:
        names = ", ".join(dict.fromkeys(row["task"] for row in failures))
        raise DataError(f"not everything could be evaluated: {names}; the first: {failures[0]['reason']}")


def _numbers(text: str) -> tuple[int, ...]:
    """Whole numbers by commas, each once, in order.

    Raises: ConfigError where they are none.

    >>> _numbers("8,0,1")
    (0, 1, 8)
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--shots must be whole numbers by commas, such as 0,1,8; got {text!r}")
    return tuple(sorted({int(part) for part in parts}))
