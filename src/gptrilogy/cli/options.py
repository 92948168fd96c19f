"""Options that several verbs share, and how recipe, file and flags become one config."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter, Token, validators

from gptrilogy.config import Tree, merge, parse, read_toml
from gptrilogy.errors import ConfigError
from gptrilogy.recipes.papers import recipe
from gptrilogy.training.config import RunConfig

Json: TypeAlias = Annotated[bool, Parameter(name="--json", negative="")]
Flag: TypeAlias = Annotated[bool, Parameter(negative="")]


def _folder(_: Any, tokens: Sequence[Token]) -> Path:
    """A path that was written: without this, an empty word, of an unset variable of the shell, is where one stands."""
    if not tokens[0].value:
        raise ValueError("it is empty: name a folder")
    return Path(tokens[0].value)


Out: TypeAlias = Annotated[Path | None, Parameter(converter=_folder)]
StopAt: TypeAlias = Annotated[int | None, Parameter(validator=validators.Number(gte=1))]
Files: TypeAlias = Annotated[list[Path], Parameter(consume_multiple=True)]
ConfigFile: TypeAlias = Annotated[Path | None, Parameter(name="--config")]
Fields: TypeAlias = Annotated[RunConfig | None, Parameter(name="*")]

UNITS_OF_ONE_LENGTH = (("max_steps", "epochs"), ("warmup_steps", "warmup_tokens"), ("decay_steps", "decay_tokens"))
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def requested_config(fields: RunConfig | None, file: Path | None, shorthands: Tree) -> RunConfig:
    """Recipe, then file, then flags, then the short forms of flags; the later overrides field by field.

    What nobody set stays unset in the result (`model_fields_set`), which leaves it to `auto`.

    Raises: ConfigError naming what is wrong.
    """
    asked = read_toml(file) if file else {}
    asked = merge(merge(asked, fields.model_dump(exclude_unset=True) if fields else {}), shorthands)
    name = asked.get("recipe", "auto")
    base: Tree = {"recipe": "auto"} if name == "auto" else recipe(str(name)).model_dump(exclude_unset=True)
    for one, other in UNITS_OF_ONE_LENGTH:  # a length the user gives replaces the recipe's, in whichever unit
        for given, replaced in ((one, other), (other, one)):
            if asked.get("train", {}).get(given):
                base.get("train", {}).pop(replaced, None)
    return parse(RunConfig, merge(base, asked))


def data_folder(named: Path | None) -> Path | None:
    """Where published data sets lie: the folder of --data, else the one that GPTRILOGY_DATA names."""
    usual = os.environ.get("GPTRILOGY_DATA")
    return named or (Path(usual) if usual else None)


def budget_seconds(text: str) -> float:
    """A length of time as people write it.

    Raises: ConfigError where it is none.

    >>> [budget_seconds(text) for text in ("90s", "10m", "1.5h", "45")]
    [90.0, 600.0, 5400.0, 45.0]
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip().lower())
    if not found or float(found[1]) == 0:
        raise ConfigError(f"--budget must be a time such as 90s, 10m or 1.5h, got {text!r}")
    return float(found[1]) * UNITS_S[found[2] or "s"]
