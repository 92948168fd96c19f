"""What a run remembers of the files its text came from, so that it can say which of them have changed since."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from gptrilogy.corpus.documents import CORPUS
from gptrilogy.corpus.sources import text_files
from gptrilogy.data.built_corpus import is_built_corpus
from gptrilogy.errors import DataError, RunError
from gptrilogy.files import MAX_JSON_BYTES, make_folder, read_sealed, sha256_file, sha256_json, write_sealed

FACTS = "sources.json"
MAX_FACTS_BYTES = MAX_JSON_BYTES // 2  # before it is indented; of more files, some 40,000, one note is made
MOST_NAMED = 3


def note_sources(data_folder: Path, sources: Sequence[str]) -> None:
    """Write down size, modification time and SHA-256 of every file of the sources, beside the shards made of them.

    Raises: RunError where a file cannot be read or the folder not written.
    """
    try:
        files = {str(path): {**_status(path), "sha256": sha256_file(path)} for path in _files(map(Path, sources))}
        facts = {"working_folder": str(Path.cwd()), "sources": [*sources], "files": files}
        if len(json.dumps(facts)) > MAX_FACTS_BYTES:
            facts |= {"files": {}, "together": _together({str(Path.cwd() / name): it for name, it in files.items()})}
        make_folder(data_folder)
        write_sealed(data_folder / FACTS, facts)
    except OSError as error:
        raise RunError(f"cannot note the sources in {data_folder}: {error.strerror}: {error.filename}") from None


def changed_sources(data_folder: Path) -> list[str]:
    """What became of each file since then, as `novels/a.txt has changed`; nothing where none has, or none was noted.

    A file of the same size and time counts as the same; where only the time is another, its hash decides.
    """
    path = data_folder / FACTS
    if not path.exists():
        return []  # shards of an earlier version, or of another run
    try:
        facts = read_sealed(path)
    except (OSError, ValueError, RecursionError):
        return [f"{path} is damaged"]
    if "together" in facts:
        sources = [Path(facts["working_folder"], name) for name in facts["sources"]]
        return _changed_together(sources, facts["together"])
    here, files = Path(facts["working_folder"]), cast("dict[str, dict[str, Any]]", facts["files"])
    changes = {here / name: _change(here / name, was) for name, was in files.items()}
    with suppress(OSError, DataError):  # a source that is gone as a whole has no new files
        changes |= {path: "is new" for path in _files(here / name for name in facts["sources"]) if path not in changes}
    return [
        f"{path.relative_to(here) if path.is_relative_to(here) else path} {what}"
        for path, what in changes.items()
        if what
    ]


def named(changes: Sequence[str]) -> str:
    """The first few, and how many more.

    >>> named(["a.txt has changed", "b.txt is gone", "c.txt is new", "d.txt is new"])
    'a.txt has changed, b.txt is gone, c.txt is new and 1 more'
    """
    more = len(changes) - MOST_NAMED
    return ", ".join(changes[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _files(sources: Iterable[Path]) -> Iterator[Path]:
    """The files behind the sources; of a built corpus the record, which holds the hashes of all others."""
    for source in sources:
        if is_built_corpus(source):
            yield source / CORPUS
        elif source.is_file() or source.is_dir():  # standard input leaves nothing to look at again
            yield from text_files(source)


def _together(files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What is noted of too many files: their number, and one hash of all that is known without reading, one of all."""
    known = {path: [it["size_bytes"], it["modified_ns"]] for path, it in files.items()}
    contents = {path: it["sha256"] for path, it in files.items()}
    return {"n_files": len(files), "status_sha256": sha256_json(known), "content_sha256": sha256_json(contents)}


def _changed_together(sources: Sequence[Path], was: Mapping[str, Any]) -> list[str]:
    with suppress(OSError, DataError):  # then one is gone
        paths = list(_files(sources))
        statuses = {str(path): [*_status(path).values()] for path in paths}
        if sha256_json(statuses) == was["status_sha256"]:
            return []
        if sha256_json({str(path): sha256_file(path) for path in paths}) == was["content_sha256"]:
            return []
    return [
        f"a file or more of the {was['n_files']:,} of {', '.join(map(str, sources))} has changed, is gone or is new"
    ]


def _status(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"size_bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def _change(path: Path, was: Mapping[str, Any]) -> str | None:
    try:
        now = _status(path)
        if now["size_bytes"] != was["size_bytes"]:
            return "has changed"
        same = now["modified_ns"] == was["modified_ns"] or sha256_file(path) == was["sha256"]
    except OSError:
        return "is gone"
    return None if same else "has changed"
