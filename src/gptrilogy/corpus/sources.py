"""Text, JSON lines, Parquet and folders of them as one stream of documents, of which nothing is lost in silence."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from gptrilogy.corpus.documents import AnyDocument, Document, LongDocument, Loss, Page
from gptrilogy.corpus.readers.finding import Format, SourceFile, local_files, locate
from gptrilogy.corpus.readers.limits import MIB, Limits, UnreadableError
from gptrilogy.corpus.readers.plain import text_parts
from gptrilogy.corpus.readers.reading import read_pages
from gptrilogy.errors import DataError

OnSkip: TypeAlias = Callable[[Path, str], None]

FORMATS: tuple[Format, ...] = ("text", "jsonl", "parquet")
MAX_WINDOW_BYTES = 1 << 31  # of a .zst file, as `zstd --long=31` packs the large public dumps
MAX_GROUP_BYTES = 1 << 40  # of Parquet: a row group is read in pieces, so its size does not matter here
MAX_DOCUMENT_BYTES = 4096 * MIB  # a document is held in memory
MAX_INFLATION = 50  # of that, this many times the size of the file, so that a small one cannot fill the memory
ALWAYS_BYTES = 32 * MIB  # but so much in any case; while it is read, twice that may be in memory
LONG_CHARS = 1 << 24  # a text file of more is read in parts by those who can take them: no book has as many

REMEDIES = {
    "malformed archive": "compress or download it again",
    "truncated archive": "it is cut short, compress or download it again",
    "malformed Parquet": "it is damaged or none, write or download it again",
    "inflates past the limit": "split it, or write it as JSON lines",
    "larger than the limit": "split it, or write it as JSON lines",
    "not UTF-8": "convert it, for example with iconv -f latin1 -t utf-8",
    "not JSON": "each line must be one JSON object",
    "not text": "it must hold strings",
    "half a surrogate pair": "this is no character, remove or replace it",
}


def read_documents(
    sources: Sequence[str | Path], *, text_field: str = "text", on_skip: OnSkip | None = None
) -> Iterator[Document]:
    r"""Every document of the sources, in the order given; a folder's files in the order of their names.

    A source is a text file of any name (one document), a `.jsonl` or `.ndjson` file (one JSON object a line, blank
    lines ignored, other fields kept as `meta`), either also compressed as `.gz`, `.bz2`, `.xz` or `.zst`, a `.parquet`
    or `.pq` file (a document a row, whose other columns are not read), or a folder of these, hidden entries left out.
    Text is UTF-8; a byte-order mark is dropped; `\r\n` and a lone `\r` become `\n`. What is passed over (a file we do
    not know by its name, a hidden one, empty texts) is told to `on_skip(path, reason)`. All but a text file is read
    document by document.

    Raises: DataError, at once for a source that is not there, while reading for what is damaged or no text;
    MissingExtraError for Parquet without pyarrow.
    """
    skip = _say_nothing if on_skip is None else on_skip
    return chain.from_iterable(_read_file(file, text_field, skip) for file in _files(sources, skip))


def stream_documents(
    sources: Sequence[str | Path], *, text_field: str = "text", on_skip: OnSkip | None = None
) -> Iterator[AnyDocument]:
    """As `read_documents`, but that a text file longer than memory may be is a document to be read in parts.

    Raises: DataError and MissingExtraError as `read_documents`; of a long text while its parts are read.
    """
    skip = _say_nothing if on_skip is None else on_skip

    def read(file: SourceFile) -> Iterator[AnyDocument]:
        return _stream_text(file, skip) if file.format == "text" else _read_file(file, text_field, skip)

    return chain.from_iterable(map(read, _files(sources, skip)))


def text_files(source: str | Path) -> list[Path]:
    """The files whose text `read_documents` gives for a source, in its order.

    Raises: DataError where there are none.
    """
    return [Path(file.path) for file in _files_of(str(source), _say_nothing)]


def _say_nothing(path: Path, reason: str) -> None:
    del path, reason


def _files(sources: Sequence[str | Path], skip: OnSkip) -> Iterator[SourceFile]:
    """Raises: DataError, at once for a source that is not there."""
    names = [str(source) for source in sources]
    for name in names:
        locate(name)
    return (file for name in names for file in _files_of(name, skip))


def _files_of(source: str, skip: OnSkip) -> Iterator[SourceFile]:
    for file in local_files(source, lambda path, reason: skip(Path(path), reason), FORMATS):
        if file.format == "warc":
            raise DataError(f"{file.path} is an archive of web pages: `gpt corpus build` makes text of it first")
        yield file if file.format in FORMATS else file.replace(format="text")


def _read_file(file: SourceFile, text_field: str, skip: OnSkip) -> Iterator[Document]:
    empty = list[str]()
    for page in read_pages(file, _limits(file), text_field=text_field):
        if isinstance(page, Page):
            assert isinstance(page.content, str)
            meta = {**page.meta, "url": page.url} if page.url else page.meta
            yield Document(page.content, id=page.id, source=page.source, meta=meta)
        elif page.reason.name == "empty":
            empty.append(page.id)
        else:
            raise DataError(_refusal(file, page))
    if empty:
        skip(Path(file.path), "empty" if file.format == "text" else _emptiness(empty, text_field))


def _stream_text(file: SourceFile, skip: OnSkip) -> Iterator[AnyDocument]:
    parts, n_chars, begin = _parts(file), 0, list[str]()
    while n_chars <= LONG_CHARS and (part := next(parts, "")):
        begin.append(part)
        n_chars += len(part)
    if all(map(str.isspace, chain(begin, parts))):
        skip(Path(file.path), "empty")
    elif n_chars <= LONG_CHARS:
        yield Document("".join(begin), id=file.name, source=file.source)
    else:
        begin.clear()
        yield LongDocument(partial(_parts, file), id=file.name, source=file.source)


def _parts(file: SourceFile) -> Iterator[str]:
    most = max(ALWAYS_BYTES, MAX_INFLATION * file.size_bytes)  # it is not held in memory: the disk is what it may fill
    try:
        yield from text_parts(file, _limits(file).replace(max_text_bytes=most))
    except UnreadableError as error:
        raise DataError(_refusal(file, Loss(file.name, file.source, error.reason))) from None


def _limits(file: SourceFile) -> Limits:
    most = min(MAX_DOCUMENT_BYTES, max(ALWAYS_BYTES, MAX_INFLATION * file.size_bytes))
    return Limits(
        max_record_bytes=most,
        max_line_bytes=most,
        max_text_bytes=most,
        max_window_bytes=MAX_WINDOW_BYTES,
        max_group_bytes=MAX_GROUP_BYTES,
    )


def _emptiness(ids: Sequence[str], text_field: str) -> str:
    """What is said of the records of a file that have no text.

    >>> _emptiness(["posts.jsonl:17", "posts.jsonl:21"], "body")
    "2 records with an empty 'body', the first is number 17"
    """
    number = ids[0].rpartition(":")[2]
    return (
        f"{len(ids):,} record{'s' if len(ids) > 1 else ''} with an empty {text_field!r}, the first is number {number}"
    )


def _refusal(file: SourceFile, loss: Loss) -> str:
    """Why a file is not read on, where in it, and what to do."""
    where = f"{file.path}{loss.id.removeprefix(file.name)}"
    name, detail = loss.reason
    if name == "no text field":
        return f"{where}: {detail}"
    return f"{where}: {name} ({detail}): {REMEDIES[name]}"
