"""The data sets GPT-1 was fine-tuned on, and a few more, read as their authors publish them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias, cast

from gptrilogy.config import suggest
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.extras import needs
from gptrilogy.finetuning.columns import Columns, has_header
from gptrilogy.finetuning.published_layouts import PUBLISHED, Files, Layout, Published
from gptrilogy.finetuning.published_questions import Split
from gptrilogy.finetuning.reading import examples
from gptrilogy.finetuning.tables import OnBad, TableRow, read_table
from gptrilogy.finetuning.tasks import Example

Note: TypeAlias = Callable[[str], None]

ROWS_A_BAD_ONE = 1_000  # QQP as published has one broken row in about 15,000
NO_LABEL = ("-", "-1", -1.0)  # where annotators did not agree; where the hub has a test set without its labels


def find_published(name: str) -> Published:
    """The data set of a name.

    Raises: ConfigError for another name, with the nearest.
    """
    if name not in PUBLISHED:
        raise ConfigError(f"no published data set is known as {name!r}: {suggest(name, PUBLISHED)}")
    return PUBLISHED[name]


def find_split(published: Published, folder: Path, split: Split) -> list[Path]:
    """The files of a split, in the first layout that has them all.

    Raises: DataError naming the files looked for.
    """
    return _find_split(published, folder, split)[1]


def _find_split(published: Published, folder: Path, split: Split) -> tuple[Layout, list[Path]]:
    looked_for: list[str] = []
    for layout in _layouts(published):
        names = layout.files.get(split, ())
        looked_for += [" and ".join(names)] if names else []
        for below in layout.folders:
            found = [sorted((folder / below).glob(name)) for name in names]
            if found and all(found):
                return layout, [*chain.from_iterable(found)]
    raise DataError(f"{folder} holds no {split} split, looked for {'; or '.join(looked_for)}: give the folder of these")


def _layouts(published: Published) -> list[Layout]:
    """All layouts, with the files that the hub keeps."""
    if (hub := published.hub) is None:
        return [*published.layouts]
    splits: tuple[Split, ...] = ("train", "valid", "test")
    files: Files = {split: (f"{hub.split(split)}-*.parquet",) for split in splits}
    return [*published.layouts, Layout(hub.columns, files, ("", "data", hub.config or "plain_text"))]


def read_published(
    name: str, path: Path, split: Split, *, labelled: bool = True, note: Note | None = None
) -> Iterator[Example]:
    """The examples of a split, from the data set's folder or from one file of it, which need not have its usual name.

    Examples whose annotators did not agree ("-") are left out where labels are needed, and so are rows that are broken
    as published, if they are few; `note` is told how many.

    Raises: ConfigError for an unknown name, at once; DataError.
    """
    data = find_published(name)
    if not path.exists():
        raise DataError(f"there is no {path}: give the folder with the files of {name}, or one of them")
    layout, paths = _find_split(data, path, split) if path.is_dir() else (_layout_of(data, path), [path])
    bad = _BadRows()
    rows = chain.from_iterable(_rows(layout, file, split, bad) for file in paths)
    return _usable(data, layout.columns, rows, bad, str(path), labelled, note)


def _layout_of(published: Published, path: Path) -> Layout:
    """The layout a file belongs to, by its name, or else by its suffix."""
    plain = path.with_name(path.name.removesuffix(".gz"))
    patterns = [(layout, name) for layout in _layouts(published) for names in layout.files.values() for name in names]
    fitting = [layout for layout, name in patterns if plain.match(name)]
    fitting += [layout for layout, name in patterns if plain.suffix == Path(name).suffix]
    if not fitting:
        suffixes = ", ".join(dict.fromkeys(Path(name).suffix for _, name in patterns))
        raise DataError(
            f"{path} is no file of this data set, which come as {suffixes}: give its folder, or name a kind"
        )
    return fitting[0]


def _rows(layout: Layout, path: Path, split: Split, on_bad: OnBad) -> Iterator[TableRow]:
    if layout.rows:
        return layout.rows(path, split, on_bad)
    return read_table(path, header=has_header(layout.columns), format=layout.format, on_bad=on_bad)


def read_hub(name: str, split: Split, *, labelled: bool = True, note: Note | None = None) -> Iterator[Example]:
    """The same from the Hugging Face hub, or from what the package `datasets` has of it on this machine.

    Raises: ConfigError for an unknown name, or a data set the hub has not; MissingExtraError; DataError.
    """
    data = find_published(name)
    if (hub := data.hub) is None:
        raise ConfigError(f"{name} is given out by its authors only, on request: give the folder of its files")
    with needs("datasets", purpose=f"reading {name} from the Hugging Face hub"):
        from datasets import load_dataset  # pyright: ignore[reportUnknownVariableType]
    try:
        loaded = cast("Iterable[dict[str, Any]]", load_dataset(hub.dataset, hub.config, split=hub.split(split)))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"cannot get {hub.dataset} from the Hugging Face hub: {reason:.160}; with its files on this disk, "
            "give their folder instead"
        ) from None
    source = f"{hub.dataset}/{hub.config or ''} {hub.split(split)}"
    rows = (TableRow(values, f"{source}:{number}") for number, values in enumerate(loaded, start=1))
    return _usable(data, hub.columns, rows, _BadRows(), source, labelled, note)


class _BadRows:
    """Counts rows that cannot be used, and keeps the reason of the first."""

    def __init__(self) -> None:
        self.count = 0
        self.first = ""

    def __call__(self, error: DataError) -> None:
        self.count += 1
        self.first = self.first or str(error)


def _usable(
    published: Published,
    columns: Columns,
    rows: Iterable[TableRow],
    bad: _BadRows,
    source: str,
    labelled: bool,
    note: Note | None,
) -> Iterator[Example]:
    """Examples with the labels' own names, without those that cannot serve."""
    n_examples = n_unlabelled = 0
    for example in examples(rows, published.kind, columns, labelled=labelled, source=source, on_bad=bad):
        n_examples += 1
        if example.label in NO_LABEL:
            n_unlabelled += 1
            if not labelled:
                yield replace(example, label=None)
        elif isinstance(example.label, str):
            yield replace(example, label=published.label_names.get(example.label, example.label))
        else:
            yield example
    total = n_examples + bad.count
    if bad.count * ROWS_A_BAD_ONE > total:
        raise DataError(
            f"{source}: {bad.count} of {total} rows cannot be used, where published files have 1 in {ROWS_A_BAD_ONE} "
            f"at most; correct them, or get the file again; the first: {bad.first}"
        )
    if labelled and n_unlabelled == n_examples:
        raise DataError(f"{source}: none of {total} examples has a label: take another split, or only predict")
    if bad.count and note:
        note(f"{source}: {bad.count} of {total} rows left out, broken as published; the first: {bad.first}")
    if n_unlabelled and labelled and note:
        note(f"{source}: {n_unlabelled} of {total} examples left out, whose annotators did not agree on a label")
