"""Reading files that anybody may have written: no further than a limit, strictly, and refused in one line."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from gptrilogy.errors import TokenizerError

# Three times GPT-2's vocabulary fits, in the longest way to write one.
MAX_BYTES = 1 << 24
MAX_VALUES = 600_000  # lines, or values in JSON, of which `[{},{},...` makes thirty times its size in memory


@contextmanager
def naming(path: Path) -> Generator[None]:
    """Put a file's name before what is wrong with its content."""
    try:
        yield
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from None
    except RecursionError:  # what could just be read can be too deep to be shown in a message
        raise TokenizerError(f"{path} is nested too deeply; take the original again") from None


def read_bytes(path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """A whole file.

    Raises: TokenizerError where it cannot be read or has more than `max_bytes`, of which no more are read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        raise TokenizerError(f"cannot read {str(path)!r}: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > max_bytes:
        raise TokenizerError(f"{path} has more than {max_bytes:,} bytes, more than it should; take the original again")
    return content


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file; the end of the last one may be missing.

    Raises: TokenizerError where it cannot be read, is too large, or is not UTF-8.
    """
    content = read_bytes(path)
    _check_count(path, content, b"\n")
    try:
        return content.decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{path} is not UTF-8 at byte {error.start}; take the original again") from None


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a UTF-8 file.

    Raises: TokenizerError where it is anything else, nested too deeply, or gives a field twice.
    """
    content = read_bytes(path)
    _check_count(path, content, b"[{,")
    try:
        with naming(path):
            document: object = json.loads(content.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{path} is no tokenizer file: it is not UTF-8 at byte {error.start}") from None
    except ValueError as error:  # also a number of too many digits
        raise TokenizerError(f"{path} is not a JSON file that can be read: {error}") from None
    if not isinstance(document, dict):
        raise TokenizerError(f"{path} must hold a JSON object, got {type(document).__name__}")
    return cast("dict[str, Any]", document)


def _check_count(path: Path, content: bytes, marks: bytes) -> None:
    """Every value but the first comes after one of the marks."""
    if sum(content.count(mark) for mark in marks) > MAX_VALUES:
        raise TokenizerError(
            f"{path} has more than {MAX_VALUES:,} values, more than it should; take the original again"
        )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python keeps the last of equal keys in silence; which one was meant is not ours to guess."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise TokenizerError(f"the field {twice!r:.60} is given twice; take the original again")
    return fields
