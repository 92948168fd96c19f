"""Files that are whole or absent: written under a temporary name, flushed to disk, hashed, then renamed."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from gptrilogy.errors import RunError

SEAL = "sha256"
MAX_JSON_BYTES = 1 << 24  # of settings, a manifest or an index: 60,000 shards take as much
MAX_JSON_VALUES = 600_000  # of which `[{},{},...` makes thirty times its size in memory


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: object) -> str:
    """Hex digest of a JSON value in one canonical spelling.

    >>> sha256_json({"b": 1, "a": 2}) == sha256_json({"a": 2, "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file that anybody may have written: read only where it cannot fill the memory.

    Raises: OSError; ValueError where it is too large, no JSON in UTF-8, or another value; RecursionError.
    """
    with path.open("rb") as file:
        content = file.read(MAX_JSON_BYTES + 1)
    if len(content) > MAX_JSON_BYTES or sum(map(content.count, (b"[", b"{", b","))) > MAX_JSON_VALUES:
        raise ValueError(f"it has more than {MAX_JSON_BYTES:,} bytes or {MAX_JSON_VALUES:,} values")
    found: object = json.loads(content.decode("utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"it holds a JSON {type(found).__name__}, not an object")
    return cast("dict[str, Any]", found)


def write_json(path: Path, value: object) -> None:
    """Replace `path` by a JSON document, atomically."""
    write_atomic(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8"))


def write_sealed(path: Path, fields: Mapping[str, Any]) -> None:
    """As `write_json`, with a field that is the SHA-256 of all others, so that no flipped bit goes unseen."""
    write_json(path, {**fields, SEAL: sha256_json(fields)})


def read_sealed(path: Path) -> dict[str, Any]:
    """What `write_sealed` wrote.

    Raises: as `read_object`; ValueError where it is anything else.
    """
    fields = read_object(path)
    if fields.pop(SEAL, None) != sha256_json(fields):
        raise ValueError("its SHA-256 of itself is missing or wrong")
    return fields


def write_atomic(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, so that a reader sees the old bytes or the new, never a part."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def check_writable(folder: Path) -> None:
    """Refuse a folder that could not be made, or written, in the end; what can be known before long work begins.

    Raises: RunError.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise RunError(f"cannot write the folder {folder}: {there} is a file; choose another --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise RunError(f"cannot write the folder {folder}: {there} may not be written; choose another --out")


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, so that a power cut does not take their names back.

    Raises: OSError, which names it.
    """
    if folder.is_dir():
        return
    if not folder.parent.exists():
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    try:
        flush(folder.parent)
    except PermissionError:
        pass  # a place in which one may write and not read
    except OSError as error:
        error.filename = str(folder)
        raise


def temporary_beside(path: Path, ending: str = "tmp") -> Path:
    """A name beside `path` that nobody else takes, of this machine or of any other that writes to the same disk."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{ending}")


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary file beside `path` that takes its name when the block succeeds and vanishes when it fails.

    Raises: OSError from the block or the disk, which names `path`; it is then as it was.
    """
    temporary = temporary_beside(path)
    try:
        yield temporary
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    except OSError as error:
        if error.filename in {None, str(temporary)}:
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def replacing_folder(folder: Path) -> Generator[Path]:
    """Like `replacing`, for a folder with everything in it: each file reaches the disk before the name does.

    A folder that is replaced is whole until the new one is, but for the moment between two renames.
    Raises: OSError from the block or the disk, which names `folder`.
    """
    temporary = temporary_beside(folder)
    try:
        make_folder(temporary)
        yield temporary
        for path in [*temporary.rglob("*"), temporary]:
            flush(path)
        with _out_of_the_way(folder):
            temporary.rename(folder)
        flush(folder.parent)
    except OSError as error:
        of_the_disk = error.errno is not None  # and not shutil's, which is a list of such
        if of_the_disk and (error.filename is None or Path(str(error.filename)).is_relative_to(temporary)):
            error.filename = str(folder)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Delete a folder so that a crash leaves all of it, or none under its name."""
    aside = temporary_beside(folder, "old.tmp")
    folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)  # what stays is removed as a temporary


@contextmanager
def _out_of_the_way(folder: Path) -> Generator[None]:
    """A folder's name free for another; it is put back if that fails, and deleted if not."""
    if not folder.exists():
        yield
        return
    aside = temporary_beside(folder, "old.tmp")
    folder.rename(aside)
    try:
        yield
    except OSError:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def remove_temporaries(folder: Path) -> None:
    """Delete what a killed process left half-written in a folder, into which nobody else may be writing now.

    What cannot be deleted stays: no name is in its way.
    """
    for path in folder.glob(".*.tmp"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def user_cache() -> Path | None:
    """Where this user's programs keep what can be made again; None for one without a home."""
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if shared.is_absolute():  # a relative one is to be ignored, says the XDG specification
        return shared
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return None


def flush(path: Path) -> None:
    """Force a file or a folder's entries out to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
