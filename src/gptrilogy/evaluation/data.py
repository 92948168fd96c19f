"""A task's records from its published files, the hub, or its generator, and the items made of them. Needs no torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from gptrilogy.errors import DataError, GPTrilogyError
from gptrilogy.evaluation.items import Choice, Item
from gptrilogy.evaluation.task import Layout, Record, Task
from gptrilogy.extras import needs
from gptrilogy.files import sha256_file, sha256_json

HUB = "hub"


@dataclass(frozen=True, slots=True)
class Split:
    """Records, where they came from, and the SHA-256 of each file by its name."""

    records: list[Record]
    origin: str
    files: dict[str, str] = field(default_factory=dict[str, str])


def read_split(task: Task, name: str, folder: Path | None, *, limit: int | None = None) -> Split:
    """The `test` or `train` records of a task, `limit` at most.

    Raises: DataError where no published file is found or one cannot be read; MissingExtraError for the hub without
    `datasets`.
    """
    assert name in {"test", "train"}
    from_hub = folder is not None and str(folder) == HUB
    layouts = task.test if name == "test" else task.train
    if folder is not None and not from_hub and (found := _from_files(task, layouts, folder, limit)):
        return found
    if task.generate is not None:
        return Split(list(islice(task.generate(name), limit)), f"{task.name} as generated")
    if from_hub:
        return _from_hub(task, name, limit)
    if folder is None:
        raise DataError(f"{task.name} needs its published files: give their folder with --data DIR, {_wanted(layouts)}")
    raise DataError(f"{folder} lacks the {name} file of {task.name}; put it there, {_wanted(layouts)}")


def _from_files(task: Task, layouts: Sequence[Layout], folder: Path, limit: int | None) -> Split | None:
    """The first layout of which a file is found, None where none is."""
    for layout in layouts:
        paths = [_find(folder, task.folder, file) for file in layout.names]
        if found := [path for path in paths if path is not None]:
            if missing := [file for file, path in zip(layout.names, paths, strict=True) if path is None]:
                raise DataError(
                    f"{task.name} is published in {len(paths)} files, {', '.join(missing)} missing in {folder}; "
                    "put what is missing there"
                )
            records = list(islice(_records(layout, found), limit))
            if not records:
                raise DataError(f"{', '.join(map(str, found))} holds no record; get the file again")
            files = [*found, *(path.with_name(name) for path in found for name in layout.beside)]
            return Split(records, ", ".join(map(str, found)), {path.name: _sha256(path) for path in files})
    return None


def _records(layout: Layout, paths: Sequence[Path]) -> Iterator[Record]:
    """Raises: DataError with the file for whatever a reader finds wrong with it."""
    for path in paths:
        try:
            yield from layout.read(path)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{path} is not as published: {type(error).__name__}: {error}; get the file again"
            ) from None


def items_of(task: Task, split: Split, number: int, shots: int) -> Sequence[Item]:
    """The items of record `number`, from 0.

    Raises: DataError with the record's place for a missing field, and for what the task finds wrong with it.
    """
    with _Placed(split, number):
        items = task.items(split.records[number], shots)
        for item in items:
            if isinstance(item, Choice) and not all(option.completion.strip() for option in item.options):
                raise DataError("one of the choices is empty; mend or leave out the record")
        return items


def demonstration_of(task: Task, split: Split, number: int, shots: int) -> str:
    """Record `number` as a demonstration. Raises: DataError as `items_of`."""
    with _Placed(split, number):
        return task.demonstrate(split.records[number], shots)


class _Placed:
    """Says of an error where the record is that caused it."""

    def __init__(self, split: Split, number: int) -> None:
        self.split, self.number = split, number

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        where = f"record {self.number + 1} of {self.split.origin}"
        match error:
            case GPTrilogyError():
                raise DataError(f"{where}: {error}") from None
            case KeyError(args=(str(name), *_)):
                known = ", ".join(map(str, self.split.records[self.number]))
                raise DataError(f"{where} has no field {name}; it has {known}") from None
            case KeyError() | IndexError() | TypeError() | ValueError() | AttributeError():
                raise DataError(f"{where} is not as published: {type(error).__name__}: {error}") from None
            case _:
                pass


def _find(folder: Path, below: str, name: str) -> Path | None:
    """A file of a task's folder, of the data folder itself, or of a folder one level down (eval/lambada/...)."""
    places = [folder / below / name, folder / name, *folder.glob(f"*/{below}/{name}" if below else f"*/{name}")]
    return next((path for path in places if path.exists()), None)


def _sha256(path: Path) -> str:
    """Of a file, or of the names and hashes of all files in a folder."""
    if path.is_file():
        return sha256_file(path)
    return sha256_json({str(file.relative_to(path)): sha256_file(file) for file in path.rglob("*") if file.is_file()})


def _wanted(layouts: Sequence[Layout]) -> str:
    return "or ".join(" and ".join(layout.names) + " " for layout in layouts).strip() or "of which it has none"


def _from_hub(task: Task, name: str, limit: int | None) -> Split:
    if task.hub is None:
        raise DataError(f"{task.name} is not read from the hub; give the folder of its published files with --data DIR")
    split = task.hub.test if name == "test" else task.hub.train
    if split is None:
        raise DataError(
            f"{task.hub.name} on the hub has no split for demonstrations; ask for 0 shots, or give its files by --data"
        )
    with needs("datasets", purpose="a data set of the hub"):
        from datasets import load_dataset  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
    try:
        rows: Iterator[Record] = iter(load_dataset(task.hub.name, task.hub.config, split=split))  # pyright: ignore
    except (OSError, ValueError) as error:
        raise DataError(
            f"{task.hub.name} cannot be read from the hub: {error}; give its files with --data DIR"
        ) from None
    return Split([task.hub.record(row) for row in islice(rows, limit)], f"hub:{task.hub.name}")
