"""The input cut into parts, written down once; every worker reads from there what its task is."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptrilogy.config import Config, merge, parse
from gptrilogy.corpus.build.config import CorpusConfig, SetConfig
from gptrilogy.corpus.build.parts import Part, parts_of
from gptrilogy.corpus.links import with_files_read
from gptrilogy.corpus.readers.finding import OnSkip, SourceFile, find_files
from gptrilogy.errors import DataError
from gptrilogy.files import read_json, sha256_json, write_atomic

PLAN = "plan.json"
SLICE_ROWS = 1_000_000  # documents whose keys one task sorts at once, which bounds its memory
NOWHERE = {"paths": ()}


class PlannedPart(Config):
    """Files of one set that one task reads."""

    set: str
    files: tuple[SourceFile, ...]


class LinkFile(Config):
    """A list of links, as it was when the build began."""

    path: str
    name: str
    size_bytes: int
    changed_ns: int


class Plan(Config):
    """A build as it was asked for, with the input as it was found."""

    version: int = 1
    config: CorpusConfig
    parts: tuple[PlannedPart, ...]
    links: tuple[LinkFile, ...] = ()
    tests: str | None = None  # a hash of the texts that must not be trained on


def make_plan(config: CorpusConfig, *, out: Path | None = None, on_skip: OnSkip | None = None) -> Plan:
    """Find the files of every set and cut them into parts.

    Raises: DataError for a source that is not there, or that what is written to `out` would become part of, or where
    no set has any.
    """
    if not config.used:
        among = f" to one of the sets {', '.join(config.sets)}" if config.sets else ", and name its set in the recipe"
        raise DataError(f"there is nothing to build from: give a source{among}")
    sets = {name: {"paths": tuple(map(_lasting, settings.paths))} for name, settings in config.used.items()}
    config = config.replace(
        sets=merge(config.model_dump()["sets"], sets),
        links=tuple(map(_lasting, config.links)),
        linking=with_files_read(config.linking).model_dump(),
    )
    files = {name: find_files(settings.paths, on_skip=on_skip) for name, settings in config.used.items()}
    if out is not None:
        _check_apart(config, out.resolve())
    parts = [
        PlannedPart(set=name, files=cut)
        for name, found in _named_apart(files, on_skip).items()
        for cut in _cut(found, config.part_bytes)
    ]
    return Plan(config=config, parts=tuple(parts), links=tuple(map(_link_file, config.links)))


def _lasting(source: str) -> str:
    """A path that means the same in another working folder and in another process."""
    if "://" in source or not source:
        return source
    path = Path(source).absolute()
    return str(path.resolve() if ".." in path.parts else path)


def _check_apart(config: CorpusConfig, out: Path) -> None:
    """Raises: DataError where a build would read what it writes."""
    for source in (source for settings in config.used.values() for source in settings.paths if "://" not in source):
        if out.is_relative_to(Path(source).resolve()):
            raise DataError(f"{out} lies in the source {source} and would become part of it: choose another --out")


def _named_apart(files: Mapping[str, Sequence[SourceFile]], on_skip: OnSkip | None) -> dict[str, list[SourceFile]]:
    """The files, each once a set, with names no two of which are the same: the second `a.txt` is called `2/a.txt`."""
    apart: dict[str, list[SourceFile]] = {}
    names = set[str]()
    for name, found in files.items():
        paths = set[str]()
        apart[name] = []
        for file in found:
            if file.path in paths:
                if on_skip:
                    on_skip(file.path, f"given to the set {name} twice")
                continue
            paths.add(file.path)
            own = file.name
            if own in names:
                own = next(other for number in count(2) if (other := f"{number}/{file.name}") not in names)
            names.add(own)
            apart[name].append(file if own == file.name else file.replace(name=own))
    return apart


def _link_file(path: str) -> LinkFile:
    try:
        found = Path(path).stat()
    except OSError as error:
        raise DataError(f"cannot read the links in {path} ({error.strerror}): give a JSONL or CSV file") from None
    name = Path(path).name
    return LinkFile(path=str(Path(path).absolute()), name=name, size_bytes=found.st_size, changed_ns=found.st_mtime_ns)


def _cut(files: Sequence[SourceFile], part_bytes: int) -> Iterator[tuple[SourceFile, ...]]:
    """Neighbouring files together until they have `part_bytes`."""
    gathered: list[SourceFile] = []
    size = 0
    for file in files:
        if gathered and size + file.size_bytes > part_bytes:
            yield tuple(gathered)
            gathered, size = [], 0
        gathered.append(file)
        size += file.size_bytes
    if gathered:
        yield tuple(gathered)


class Build:
    """A build's folder as its tasks see it."""

    def __init__(self, out: Path, plan: Plan) -> None:
        self.out = out
        self.work = out / "work"
        self.plan = plan
        self.config = plan.config
        self.sets = list(plan.config.used)

    def settings(self, part: int) -> SetConfig:
        return self.config.sets[self.plan.parts[part].set]

    def set_number(self, part: int) -> int:
        return self.sets.index(self.plan.parts[part].set)

    def part(self, step: str, number: int) -> Part:
        return Part(self.work, step, number)

    def parts(self, step: str, count: int | None = None) -> Iterator[Part]:
        return parts_of(self.work, step, len(self.plan.parts) if count is None else count)

    @cached_property
    def documents(self) -> np.ndarray:
        """How many documents each part has read."""
        return self.part("census", 0).array("documents")

    @cached_property
    def first_of(self) -> np.ndarray:
        """The number of each part's first document, were they all counted through; last the number of all."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.documents)])

    @cached_property
    def n_slices(self) -> int:
        """Into how many tasks the keys of all documents are divided."""
        return max(1, -(-int(self.first_of[-1]) // SLICE_ROWS))

    @property
    def gives_way(self) -> np.ndarray:
        """Which sets lose documents that are in which others: (sets, sets), [i, j] if i loses copies of what j has."""
        table = np.eye(len(self.sets), dtype=np.bool_)
        for i, name in enumerate(self.sets):
            for other in self.config.sets[name].without:
                if other in self.sets:
                    table[i, self.sets.index(other)] = True
        return table


def numbered_docs(part: int, rows: NDArray[np.integer]) -> NDArray[np.uint64]:
    """Numbers for rows of a part that no other part's have: the part, shifted by 32 bits, and the row.

    >>> [numbers.tolist() for numbers in parts_and_rows(numbered_docs(3, np.array([0, 7])))]
    [[3, 3], [0, 7]]
    """
    return np.uint64(part << 32) | rows.astype(np.uint64)


def parts_and_rows(docs: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The part of each document, and its row there."""
    return (docs >> np.uint64(32)).astype(np.int64), (docs & np.uint64(0xFFFFFFFF)).astype(np.int64)


def write_plan(out: Path, plan: Plan) -> None:
    (out / "work").mkdir(parents=True, exist_ok=True)
    write_atomic(out / "work" / PLAN, json.dumps(plan.model_dump(mode="json")).encode("ascii"))  # paths are any bytes


def read_plan(out: Path) -> Plan | None:
    """The plan of a build that was begun, None where there is none.

    Raises: DataError where it cannot be read.
    """
    path = out / "work" / PLAN
    try:
        return parse(Plan, read_json(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path} ({error}); remove {out / 'work'} and build again") from None


def plan_digest(plan: Plan) -> str:
    """A hash of what decides a corpus: the recipe, the tests, and the input by its names and sizes."""
    recipe = merge(plan.config.model_dump(mode="json"), {"links": (), "sets": dict.fromkeys(plan.config.sets, NOWHERE)})
    files = [[part.set, [[file.name, file.size_bytes] for file in part.files]] for part in plan.parts]
    links = [[file.name, file.size_bytes] for file in plan.links]
    return sha256_json([recipe, files, links, plan.tests])


def open_build(out: str) -> Build:
    """The build in a folder, read once a process.

    Raises: DataError where none was begun.
    """
    path = Path(out)
    try:
        changed = (path / "work" / PLAN).stat().st_mtime_ns
    except OSError as error:
        raise DataError(f"no build was begun in {out} ({error.strerror})") from None
    return _opened(out, changed)


@lru_cache(maxsize=2)
def _opened(out: str, changed: int) -> Build:
    del changed
    plan = read_plan(Path(out))
    assert plan is not None
    return Build(Path(out), plan)


def describe(plan: Plan) -> dict[str, Any]:
    """What a build will read, for people: files and bytes by set."""
    found: dict[str, Any] = {}
    for part in plan.parts:
        entry = found.setdefault(part.set, {"files": 0, "bytes": 0, "parts": 0})
        entry["files"] += len(part.files)
        entry["bytes"] += sum(file.size_bytes for file in part.files)
        entry["parts"] += 1
    return found
