"""A corpus as `gpt corpus build` leaves it: its record, and its documents, read a row group at a time."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, cast

from pydantic import ConfigDict, Field

from gptrilogy.config import Config, parse
from gptrilogy.corpus.documents import CORPUS, AnyDocument, Document
from gptrilogy.corpus.sources import OnSkip, read_documents, stream_documents
from gptrilogy.data.index import NAME, Count
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.extras import needs
from gptrilogy.files import read_json, sha256_file

COLUMNS = ["id", "text"]
BATCH_ROWS = 256  # documents in memory beside the row group they are read from
REMEDY = "`gpt corpus build` makes it again"


class _Record(Config):
    """Part of `corpus.json`, which tells more than is needed here."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class BuiltFile(_Record):
    """A Parquet file of documents."""

    file: str
    documents: Count
    bytes: Count
    sha256: str

    def check(self) -> None:
        path = PurePosixPath(self.file)
        if path.is_absolute() or ".." in path.parts or "\\" in self.file:
            raise ValueError(f"{self.file} leads out of the corpus")


class BuiltSet(_Record):
    """A named set of documents, with its share of the mixture if it is to have one."""

    name: Annotated[str, Field(pattern=rf"^{NAME}$")]
    documents: Count = 0
    weight: Annotated[float, Field(ge=0)] | None = None
    files: tuple[BuiltFile, ...]


class BuiltCorpus(_Record):
    """What a built corpus consists of. It is written last, so a folder without it is not one."""

    version: Literal[1]
    sets: tuple[BuiltSet, ...]

    def check(self) -> None:
        names = [one.name for one in self.sets]
        if len(set(names)) < len(names):
            raise ValueError(f"two sets have one name: {', '.join(names)}")


def is_built_corpus(folder: Path) -> bool:
    return (folder / CORPUS).is_file()


def read_corpus(folder: Path) -> BuiltCorpus:
    """The record of a built corpus.

    Raises: DataError if it is damaged.
    """
    path = folder / CORPUS
    try:
        return parse(BuiltCorpus, read_json(path))
    except (OSError, ValueError, RecursionError, ConfigError) as error:
        raise DataError(f"{path} is damaged ({error}): {REMEDY}") from None


def read_texts(
    sources: Sequence[str | Path], *, text_field: str = "text", on_skip: OnSkip | None = None
) -> Iterator[Document]:
    """The documents of sources in the order given, as `read_documents` reads them, and of built corpora, set by set.

    Raises: DataError, at once for a source that is not there, while reading for what is damaged.
    """
    plain = partial(read_documents, text_field=text_field, on_skip=on_skip)
    read = [_all_documents(Path(source)) if is_built_corpus(Path(source)) else plain([source]) for source in sources]
    return chain.from_iterable(read)


def stream_texts(
    sources: Sequence[str | Path], *, text_field: str = "text", on_skip: OnSkip | None = None
) -> Iterator[AnyDocument]:
    """As `read_texts`, with long texts to be read in parts as `stream_documents` has them."""
    plain = partial(stream_documents, text_field=text_field, on_skip=on_skip)
    read = [_all_documents(Path(source)) if is_built_corpus(Path(source)) else plain([source]) for source in sources]
    return chain.from_iterable(read)


def _all_documents(folder: Path) -> Iterator[Document]:
    return chain.from_iterable(built_documents(folder, one) for one in read_corpus(folder).sets)


def built_documents(folder: Path, one: BuiltSet) -> Iterator[Document]:
    """The documents of a set in order; the hash of each file is compared with its record before it is read.

    Raises: DataError naming the first file that is missing or damaged; MissingExtraError without pyarrow.
    """
    return chain.from_iterable(_read_file(folder / file.file, file, one.name) for file in one.files)


def _read_file(path: Path, file: BuiltFile, source: str) -> Iterator[Document]:
    with needs("parquet", purpose=f"reading {path}"):
        import pyarrow as pa
        from pyarrow import parquet
    unsound, open_parquet = cast("type[Exception]", pa.ArrowException), cast("Any", parquet.ParquetFile)
    _verify(path, file)
    n_read = 0
    try:
        with open_parquet(path, pre_buffer=False) as opened:
            for batch in opened.iter_batches(BATCH_ROWS, columns=COLUMNS, use_threads=False):
                ids, texts = (batch.column(name).to_pylist() for name in COLUMNS)
                for document_id, text in zip(ids, texts, strict=True):
                    yield Document(_string(text), id=_string(document_id), source=source)
                n_read += len(ids)
    except (unsound, OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is damaged ({reason:.200}): {REMEDY}") from None
    if n_read != file.documents:
        raise DataError(f"{path} is damaged: it has {n_read} documents, and {CORPUS} says {file.documents}: {REMEDY}")


def _verify(path: Path, file: BuiltFile) -> None:
    try:
        found = sha256_file(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; {REMEDY}") from None
    if found != file.sha256:
        raise DataError(
            f"{path} is damaged: its SHA-256 is {found[:12]}, and {CORPUS} says {file.sha256[:12]}; {REMEDY}"
        )


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where there should be text")
    return value
