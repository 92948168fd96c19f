"""What a finished corpus says of itself in its files, read strictly: a card must not be made of half a truth."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from gptrilogy.corpus.documents import CORPUS
from gptrilogy.errors import DataError

Counts = dict[str, NonNegativeInt]


class Form(BaseModel):
    """Base of all that is read: fields of later versions are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class CorpusSet(Form):
    """One of the sets that are mixed."""

    name: str
    documents: NonNegativeInt
    characters: NonNegativeInt
    bytes: NonNegativeInt
    weight: NonNegativeFloat | None = None  # in the mixture, of any sum; None: as large as it is
    files: list[dict[str, Any]] = []


class Corpus(Form):
    """`corpus.json`."""

    version: int
    recipe: str
    config: dict[str, Any] = {}
    sets: list[CorpusSet]


class Step(Form):
    """A row of `ledger.json`: what one step did to one set."""

    set: str
    step: str
    taken: NonNegativeInt = Field(alias="in")
    kept: NonNegativeInt
    dropped: Counts = {}

    @property
    def dropped_total(self) -> int:
        return sum(self.dropped.values())

    @property
    def adds_up(self) -> bool:
        return self.taken == self.kept + self.dropped_total


class Histogram(Form):
    """Counts between edges; of as many counts as edges, the last is of all that lies beyond."""

    edges: list[float]
    counts: list[NonNegativeInt]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_edges(self.closed_edges, counts=self.counts)
        return self

    @property
    def closed_edges(self) -> list[float]:
        """The edges with an end to the last bin: an open one is as wide as its neighbour on a logarithmic axis."""
        if not self.edges or len(self.edges) != len(self.counts):
            return self.edges
        last, before = self.edges[-1], self.edges[-2] if len(self.edges) > 1 else 0
        return [*self.edges, last * (last / before if before > 0 else 2) or 1]


class Scores(Form):
    """Documents by quality score, those kept and those dropped."""

    edges: list[float]
    kept: list[NonNegativeInt]
    dropped: list[NonNegativeInt]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_edges(self.edges, kept=self.kept, dropped=self.dropped)
        return self


class Duplicates(Form):
    """Clusters of near-equal documents."""

    clusters: NonNegativeInt
    documents: NonNegativeInt  # in all clusters
    largest: NonNegativeInt  # documents in one cluster
    by_size: dict[int, NonNegativeInt] = {}


class Contamination(Form):
    """What of the evaluations' tests was found and cut out."""

    grams_searched: NonNegativeInt
    grams_found: NonNegativeInt
    grams_ignored: NonNegativeInt
    documents_split: NonNegativeInt
    documents_dropped: NonNegativeInt
    pieces: NonNegativeInt
    characters_removed: NonNegativeInt
    by_task: Counts = {}


class SetStatistics(Form):
    """The numbers of one set; what its recipe does not measure is None or empty."""

    languages: Counts = {}
    domains: Counts = {}
    characters_histogram: Histogram | None = None
    scores: Scores | None = None
    duplicates: Duplicates | None = None
    contamination: Contamination | None = None


class Statistics(Form):
    """`statistics.json`."""

    sets: dict[str, SetStatistics]


class Sample(Form):
    """A line of `samples.jsonl`: a document, kept or dropped."""

    set: str
    kept: bool
    step: str | None = None
    reason: str | None = None
    detail: str | None = None
    id: str = ""
    url: str | None = None
    characters: NonNegativeInt = 0  # of the whole document
    text: str = ""  # its beginning


class Facts(Form):
    """All four files."""

    corpus: Corpus
    ledger: list[Step]
    statistics: Statistics
    samples: list[Sample]


def read_facts(folder: Path) -> Facts:
    """The four files of a finished corpus.

    Raises: DataError for one that is missing, damaged or of another form.
    """
    return Facts(
        corpus=_read(folder / CORPUS, Corpus),
        ledger=_read(folder / "ledger.json", list[Step]),
        statistics=_read(folder / "statistics.json", Statistics),
        samples=[_parse(line, Sample, where) for where, line in _numbered(folder / "samples.jsonl")],
    )


T = TypeVar("T")


def _read(path: Path, form: type[T]) -> T:
    return _parse(_text(path), form, str(path))


def _numbered(path: Path) -> Iterable[tuple[str, str]]:
    lines = _text(path).split("\n")  # not splitlines: a text may hold other ends of lines
    return [(f"{path}:{number}", line) for number, line in enumerate(lines, start=1) if line.strip()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"cannot read {path} ({error.strerror}): give a folder that `gpt corpus build` has made, or build it again"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read {path} ({error}): build the corpus again") from None


def _parse(text: str, form: type[T], where: str) -> T:
    try:
        return TypeAdapter(form).validate_python(json.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise DataError(
            f"{where}: {field}: {first['msg']}, got {first['input']!r:.80}: build the corpus again"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON ({error}): build the corpus again") from None


def _check_edges(edges: list[float], **columns: list[int]) -> None:
    if edges != sorted(set(edges)):
        raise ValueError("edges must grow")
    for name, counts in columns.items():
        if len(edges) != len(counts) + 1:
            raise ValueError(f"{len(counts)} {name} need {len(counts) + 1} edges, not {len(edges)}")
