"""Frozen, typed, strict configs: an unknown field is refused with the nearest known name; merging is by field."""

import difflib
import tomllib
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import NoneType
from typing import Any, Self, TypeAlias, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from gptrilogy.errors import ConfigError

Tree: TypeAlias = dict[str, Any]  # nested fields, as TOML and JSON hold them

MAX_NAMES = 12  # that a message lists

_IN_PART = ContextVar("in part", default=False)


class Config(BaseModel):
    """Base of every config: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _nothing_by_name(cls, values: Any) -> Any:
        """The word none where a field may be None: flags and TOML have no other way to say it."""
        if not isinstance(values, Mapping):
            return values
        given = cast("Mapping[str, Any]", values)
        return {name: None if value == "none" and cls._may_be_none(name) else value for name, value in given.items()}

    @classmethod
    def _may_be_none(cls, name: str) -> bool:
        return name in cls.model_fields and NoneType in get_args(cls.model_fields[name].annotation)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not _IN_PART.get():
            self.check()
        return self

    def check(self) -> None:
        """Rules over several fields.

        Raises: ValueError naming them.
        """

    def replace(self, **changes: object) -> Self:
        """A copy with some fields changed, checked as a whole.

        Raises: ConfigError, as `parse`.
        """
        return parse(type(self), merge(self.model_dump(), changes))


@contextmanager
def in_part() -> Generator[None]:
    """Leave out `check`: what is built are a few fields, to be merged with others before they mean anything."""
    token = _IN_PART.set(True)
    try:
        yield
    finally:
        _IN_PART.reset(token)


C = TypeVar("C", bound=Config)


def parse(kind: type[C], values: Mapping[str, Any]) -> C:
    """Build a config from plain values.

    Raises: ConfigError naming every bad field at once, its value, and the nearest known name of an unknown one.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(kind, error)) from None


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Tree:
    """`base` with `changes` laid over it; one changed field leaves its siblings as they were.

    >>> merge({"model": {"n_layer": 12, "n_head": 12}}, {"model": {"n_layer": 6}})
    {'model': {'n_layer': 6, 'n_head': 12}}
    """
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(cast("Tree", old), cast("Tree", value))
        else:
            merged[key] = value
    return merged


def read_toml(path: Path) -> Tree:
    """The fields a TOML file sets.

    Raises: ConfigError if it is missing, unreadable or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the config file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def suggest(name: str, known: Iterable[str]) -> str:
    """A remedy for a misspelt name: the nearest known one, or what there is.

    >>> suggest("n_layr", ["n_layer", "n_head"])
    'did you mean n_layer?'
    >>> suggest("width", ["n_layer", "n_head"])
    'known: n_layer, n_head'
    """
    names = list(known)
    nearest = difflib.get_close_matches(name, names, n=1)
    if nearest:
        return f"did you mean {nearest[0]}?"
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"known: {', '.join(names[:MAX_NAMES])}{more}"


def explain(kind: type[Config], error: ValidationError) -> str:
    """Every bad field of a config at once, in one line."""
    return "; ".join(_explain(kind, detail) for detail in error.errors())


def _explain(kind: type[Config], detail: ErrorDetails) -> str:
    field = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = _fields_beside(kind, detail["loc"])
        return f"unknown field {field}: " + (suggest(str(detail["loc"][-1]), known) if known else "look at --help")
    reason = detail["msg"].removeprefix("Value error, ")
    if not field or (detail["type"] == "value_error" and isinstance(detail["input"], Mapping)):
        return reason  # a rule over several fields names them itself
    if detail["type"] == "missing":
        return f"{field} is missing"
    return f"{field}: {reason[0].lower()}{reason[1:]}, got {detail['input']!r}"


def _fields_beside(kind: type[Config], location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields at the level where an unknown one was found; none where the level cannot be told."""
    here: Any = kind
    for part in location[:-1]:
        here = _inside(here, str(part))
    return list(here.model_fields) if _is_model(here) else []


def _inside(kind: Any, part: str) -> Any:
    """The kind of a config's field, or of a mapping's values; of one that may be None, what it is else."""
    if not _is_model(kind):
        return (get_args(kind) or (None,))[-1]
    annotation = kind.model_fields[part].annotation if part in kind.model_fields else None
    options = [option for option in get_args(annotation) if option is not NoneType]
    return options[0] if len(options) == 1 and NoneType in get_args(annotation) else annotation


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
