"""The sets of text that a run trains on: one, or several by weight."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from gptrilogy.config import parse, suggest
from gptrilogy.corpus.documents import AnyDocument
from gptrilogy.corpus.readers.finding import compression_of, format_of
from gptrilogy.corpus.sources import OnSkip, stream_documents
from gptrilogy.data.built_corpus import BuiltSet, built_documents, is_built_corpus, read_corpus
from gptrilogy.data.index import WeightedSet
from gptrilogy.data.mixture import total_weight
from gptrilogy.errors import ConfigError
from gptrilogy.training.config import DataConfig

Note: TypeAlias = Callable[[str], None]
Read: TypeAlias = Callable[[OnSkip | None], Iterator[AnyDocument]]
MAX_NAME = 100  # letters, as many as `index.NAME` takes


@dataclass(frozen=True, slots=True)
class TextSet:
    """A set of documents, read from its beginning each time; its weight is its share before the sum is made 1."""

    name: str
    weight: float | None
    read: Read
    source: str = ""  # as the user named it


def text_sets(data: DataConfig, note: Note) -> list[TextSet]:
    """What to train on: a mixture where two sets or more have a weight, else one set with all the text.

    A built corpus gives its sets with the weights of its recipe; where `data.weights` are given they replace these, and
    then a source that is no corpus is a set too, of its own file's or folder's name. A set without a weight, or of
    weight 0, is left out where others have one, which is noted; so are weights that do not add up to 1, and sets of
    which the corpus kept nothing.

    Raises: ConfigError where weights and sets do not fit together; DataError for a damaged corpus.
    """
    found = list(chain.from_iterable(_sets_of(source, data, note) for source in data.sources))
    if not data.weights and len(data.sources) > 1 and any(one.weight for one in found):
        raise ConfigError(
            f"{', '.join(data.sources)}: a corpus with weights is the only source, unless --data.weights has those of "
            f"all sets: {', '.join(one.name for one in found)}"
        )
    if data.weights:
        _check_apart(found)
    chosen = _chosen([one.name for one in found], {one.name: one.weight for one in found}, data.weights, note)
    if not chosen:
        return [TextSet("", None, lambda on_skip: chain.from_iterable([one.read(on_skip) for one in found]))]
    if data.valid and len(chosen) > 1:
        raise ConfigError("a mixture holds out a part of each of its sets: leave --valid out, or train on one text")
    by_name = {one.name: one for one in found}
    return [replace(by_name[one.name], weight=one.weight) for one in chosen]


def reweighted(sets: Sequence[WeightedSet], weights: Mapping[str, float], note: Note) -> list[WeightedSet]:
    """The sets of a packed mixture by the weights asked for, or by those it has; none of one text.

    Raises: ConfigError where weights and sets do not fit together.
    """
    return _chosen([one.name for one in sets], {one.name: one.weight for one in sets}, weights, note)


def _sets_of(source: str, data: DataConfig, note: Note) -> Iterator[TextSet]:
    path = Path(source)
    if is_built_corpus(path):
        for one in read_corpus(path).sets:
            if not one.documents:
                note(f"the set {one.name} of {path} has no documents and is left out")
                continue
            yield TextSet(one.name, one.weight, partial(_read_built, path, one), source)
    else:
        yield TextSet(_name_of(path), None, partial(_read_plain, source, data.text_field), source)


def _read_built(folder: Path, one: BuiltSet, on_skip: OnSkip | None) -> Iterator[AnyDocument]:
    del on_skip  # what a corpus left out, its own report tells
    return built_documents(folder, one)


def _read_plain(source: str, text_field: str, on_skip: OnSkip | None) -> Iterator[AnyDocument]:
    return stream_documents([source], text_field=text_field, on_skip=on_skip)


def _name_of(path: Path) -> str:
    """What a source that is no corpus is called; a link by its own name, and what a folder cannot be called by "-".

    >>> _name_of(Path("text/novels/")), _name_of(Path("posts.jsonl.gz")), _name_of(Path("Jane's novels.txt"))
    ('novels', 'posts', 'Jane-s-novels')
    """
    name = path.name if path.name.strip(".") else path.resolve().name
    name = name[: len(name) - len(compression_of(name))]
    while format_of(name):
        name = Path(name).stem
    return re.sub(r"^[^\w-]|[^\w.-]", "-", name)[:MAX_NAME] or "text"


def _chosen(
    names: Sequence[str], own: Mapping[str, float | None], asked: Mapping[str, float], note: Note
) -> list[WeightedSet]:
    """The sets that have a weight, in their order; none where there are no weights."""
    if asked:
        _check_names(names, asked)
    weights = asked or own
    chosen = [parse(WeightedSet, {"name": name, "weight": weight}) for name in names if (weight := weights.get(name))]
    if not chosen:
        return []
    for name in names:
        if not weights.get(name):
            note(f"the set {name} has {'no weight' if weights.get(name) is None else 'weight 0'} and is left out")
    total = total_weight({one.name: one.weight for one in chosen})
    if total != 1 and len(chosen) > 1:
        note(f"the weights add up to {total:g}: each is divided by that")
    return chosen


def _check_apart(sets: Sequence[TextSet]) -> None:
    sources: dict[str, str] = {}
    for one in sets:
        if one.name in sources:
            raise ConfigError(
                f"{sources[one.name]} and {one.source} are both the set {one.name}: rename one, or make a link of "
                f"another name (ln -s) and give that"
            )
        sources[one.name] = one.source


def _check_names(names: Sequence[str], weights: Mapping[str, float]) -> None:
    for name in weights:
        if name not in names:
            raise ConfigError(f"data.weights names the set {name}, which is not there: {suggest(name, names)}")
