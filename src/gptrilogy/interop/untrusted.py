"""Reading files that anybody may have written: no further than a limit, strictly, and refused in one line."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from gptrilogy.errors import FormatError

MAX_JSON_BYTES = 1 << 20  # GPT-1's shapes take 1,478; an index of a thousand tensors a hundred thousand


def small_file(path: Path, max_bytes: int) -> bytes:
    """A whole file.

    Raises: FormatError where it has more than `max_bytes`, or is a pipe or the like.
    """
    if path.exists() and not path.is_file():
        raise damaged("it is not a file")
    with path.open("rb") as file:
        size_bytes = path.stat().st_size
        if size_bytes > max_bytes:
            raise damaged(f"it has {size_bytes} bytes, at most {max_bytes} are read")
        return file.read(size_bytes)


@contextmanager
def naming(path: Path) -> Generator[None]:
    """Put a file's name before what is wrong with it, also where the system says so."""
    try:
        yield
    except OSError as error:
        raise damaged(f"cannot read {path}: {error.strerror}") from None
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None


def read_json(path: Path) -> object:
    """The value in a JSON file.

    Raises: FormatError naming the file where it cannot be read, is no JSON, too large, or gives a field twice.
    """
    with naming(path):
        content = small_file(path, MAX_JSON_BYTES)
        try:
            return json.loads(content, object_pairs_hook=_without_duplicates)
        except (ValueError, RecursionError) as error:  # also a number of too many digits
            raise damaged(f"it is not a JSON file that can be read: {error!s:.100}") from None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Python keeps the last of equal keys in silence; which one was meant is not ours to guess."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field is given twice")
    return fields


def damaged(what: str) -> FormatError:
    return FormatError(f"{what}; take the checkpoint again from its source")
