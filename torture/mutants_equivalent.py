"""Mutants that no test can notice, each with the reason, from `mutants_equivalent.toml`."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_suffix(".toml")


class StaleError(Exception):
    """What is called equivalent and is not, or is no mutant any more."""


def reasons(path: str, table: Path = TABLE) -> dict[str, str]:
    """Why the equivalent mutants of one module change nothing, by their names.

    >>> reasons("no/such/module.py")
    {}
    """
    read: Mapping[str, Any] = tomllib.loads(table.read_text(encoding="utf-8"))
    entries: list[dict[str, Any]] = read.get(path, [])
    return {f"{path} {name}": entry["because"] for entry in entries for name in entry["mutants"]}
