"""The numbers of one row of `metrics.jsonl` under the names that a tracker shows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from gptrilogy.config import Tree
from gptrilogy.metrics import Row

OF_THE_RUN = ("lr", "grad_norm", "tokens", "examples", "elapsed_s", "tokens_per_s", "examples_per_s")
RENAMED = {"valid_loss_by_set": "loss_nats_by_set"}


def points(row: Row) -> dict[str, float]:
    """Names and numbers: what was measured under the event's name, the state of the run, which train rows tell, bare.

    A number that was not finite, which the log writes as null, is NaN. An interval becomes its two ends. Texts, and
    tables such as what was confused, are left out.

    >>> points({"event": "train", "step": 3, "tokens": 96, "loss_nats": 2.5, "lr": 0.1})
    {'tokens': 96.0, 'train/loss_nats': 2.5, 'lr': 0.1}
    >>> points({"event": "valid", "step": 3, "tokens": 96, "accuracy": 0.5, "accuracy_95": [0.25, 0.75]})
    {'valid/accuracy': 0.5, 'valid/accuracy_95/low': 0.25, 'valid/accuracy_95/high': 0.75}
    """
    found: dict[str, float] = {}
    for key, value in row.items():
        if key in {"event", "step"} or (key in OF_THE_RUN and row["event"] != "train"):
            continue
        found |= _numbers(key if key in OF_THE_RUN else f"{row['event']}/{RENAMED.get(key, key)}", value)
    return found


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    match value:
        case None:
            yield name, math.nan
        case bool() | int() | float():
            yield name, float(value)
        case Mapping():
            for key, part in cast("Mapping[str, Any]", value).items():
                yield from _numbers(f"{name}/{key}", part)
        case [float() | int() as low, float() | int() as high]:
            yield from ((f"{name}/low", float(low)), (f"{name}/high", float(high)))
        case _:
            return


def flat(config: Tree, prefix: str = "") -> dict[str, str | int | float | bool]:
    """The fields of a config in one level, under the names of their flags.

    >>> flat({"seed": 1, "model": {"n_layer": 2, "attention": ["dense"], "sub_blocks": None}})
    {'seed': 1, 'model.n_layer': 2, 'model.attention': 'dense', 'model.sub_blocks': 'none'}
    """
    found: dict[str, str | int | float | bool] = {}
    for key, value in config.items():
        match value:
            case Mapping():
                found |= flat(cast("Tree", value), f"{prefix}{key}.")
            case str() | int() | float():
                found[prefix + key] = value
            case None:
                found[prefix + key] = "none"
            case _:
                found[prefix + key] = ",".join(map(str, cast("Sequence[object]", value)))
    return found


def judged_by(config: Tree) -> list[str]:
    """Names of the numbers that runs are compared by.

    >>> judged_by({"model": {}}), judged_by({"task": {"metrics": ["matthews"]}})
    (['valid/loss_nats', 'valid/bits_per_byte'], ['valid/loss_nats', 'valid/matthews'])
    """
    metrics: Sequence[str] = config.get("task", {}).get("metrics", ("bits_per_byte",))
    return [f"valid/{name}" for name in ("loss_nats", *metrics)]
