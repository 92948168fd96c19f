"""JSON lines and Parquet: a page a row, read one line or one small batch at a time."""

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import IO, Any, TypeAlias, cast

from gptrilogy.config import suggest
from gptrilogy.corpus.documents import Loss, Page
from gptrilogy.corpus.readers.finding import SourceFile
from gptrilogy.corpus.readers.limits import MIB, Limits, UnreadableError, over
from gptrilogy.corpus.readers.opening import PIECE_BYTES, opened, stored
from gptrilogy.corpus.readers.plain import checked, text_of
from gptrilogy.extras import needs

MAX_BATCH_ROWS, MAX_BATCH_BYTES = 1024, 16 * MIB
MAX_DIFFERENT_BYTES = 64 * MIB  # of a row group of which every different text may be kept until its end
LARGE_BATCH_ROWS, LARGE_INFLATION = 16, 100
TEXT_TYPES = {"string", "large_string", "string_view", "binary", "large_binary", "binary_view"}
Table: TypeAlias = Any  # pyarrow has no types


def read_jsonl(file: SourceFile, limits: Limits, *, text_field: str) -> Iterator[Page | Loss]:
    """A page a line, its `url` and its other fields kept; blank lines are passed over, bad ones are losses."""
    number = 0
    with opened(file, limits) as stream:
        try:
            for number, line in enumerate(_lines(stream, limits.max_line_bytes), start=1):
                identity = f"{file.name}:{number}"
                try:
                    if line is None:
                        raise over(limits.max_line_bytes, compressed=stream.raw.compressed)
                    if line.strip():
                        yield _page_of_line(line, identity, file.source, text_field)
                except UnreadableError as error:
                    yield Loss(identity, file.source, error.reason)
        except UnreadableError as error:
            yield Loss(f"{file.name}:{number + 1}", file.source, error.reason)


def _lines(stream: IO[bytes], limit: int) -> Iterator[bytes | None]:
    """The lines of a file; for one longer than the limit nothing, so that the next can be read."""
    pieces, size = list[bytes](), 0
    while piece := stream.readline(PIECE_BYTES):
        size += len(piece)
        if size <= limit:
            pieces.append(piece)
        else:
            pieces.clear()
        if piece.endswith(b"\n"):
            yield b"".join(pieces) if size <= limit else None
            pieces, size = [], 0
    if size:
        yield b"".join(pieces) if size <= limit else None


def _page_of_line(line: bytes, identity: str, source: str, text_field: str) -> Page:
    record = _parse(text_of(line))
    text, url = _field(record, text_field), record.get("url")
    meta = {key: value for key, value in record.items() if key not in {text_field, "url"}}
    return Page(text, identity, source, "text", url if isinstance(url, str) else "", meta=meta)


def _parse(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except RecursionError:
        raise UnreadableError("not JSON", "nested too deeply") from None
    except ValueError as error:  # also for a number of thousands of digits
        raise UnreadableError("not JSON", str(error)[:100]) from None
    if not isinstance(record, dict):
        raise UnreadableError("not JSON", f"a {type(record).__name__}, where each line must be one object")
    return cast("dict[str, Any]", record)


def _field(record: Mapping[str, Any], text_field: str) -> str:
    if text_field not in record:
        raise UnreadableError("no text field", f"no field {text_field!r}: {suggest(text_field, record)}"[:200])
    text = record[text_field]
    if isinstance(text, bytes):
        return text_of(text)
    if text is None:
        raise UnreadableError("empty")
    if not isinstance(text, str):
        raise UnreadableError("not text", f"field {text_field!r} is of type {type(text).__name__}")
    return checked(text)


def read_parquet(file: SourceFile, limits: Limits, *, text_field: str) -> Iterator[Page | Loss]:
    """A page a row, of the columns `text_field` and `url`; a row group that cannot be read is one loss."""
    with stored(file) as source:
        try:
            with _explained():
                table = _open(source, text_field, file)
                columns = [text_field, "url"] if "url" in table.schema_arrow.names else [text_field]
                groups = [table.metadata.row_group(group) for group in range(int(table.num_row_groups))]
                rows = [int(group.num_rows) for group in groups]
        except UnreadableError as error:
            yield Loss(file.name, file.source, error.reason)
            return
        for group in range(len(rows)):
            yield from _read_group(table, group, sum(rows[:group]), columns, file, limits)


def _open(source: IO[bytes], text_field: str, file: SourceFile) -> Table:
    """A table with a column of text.

    A value that repeats is kept once, since a few bytes may stand for a long text a million times; but not where row
    groups are large, since then every different value would be kept.

    Raises: UnreadableError where there is no such column.
    """
    with needs("parquet", purpose="Parquet"):
        parquet: Any = import_module("pyarrow.parquet")
    seen: Table = parquet.ParquetFile(source)
    kinds = {str(field.name): _kind(field.type) for field in seen.schema_arrow}
    if text_field not in kinds:
        raise UnreadableError("no text field", f"no column {text_field!r}: {suggest(text_field, kinds)}"[:200])
    if kinds[text_field] not in TEXT_TYPES:
        raise UnreadableError("not text", f"column {text_field!r} is of type {kinds[text_field]}"[:200])
    return parquet.ParquetFile(
        source,
        metadata=seen.metadata,
        read_dictionary=[] if _is_large(seen, file) else [text_field],
        buffer_size=PIECE_BYTES,
        pre_buffer=False,
        page_checksum_verification=True,
    )


def _is_large(table: Table, file: SourceFile) -> bool:
    """Whether row groups are large in earnest, and not just said to be by a small file."""
    largest = max(
        (int(table.metadata.row_group(n).total_byte_size) for n in range(int(table.num_row_groups))), default=0
    )
    return MAX_DIFFERENT_BYTES < largest <= LARGE_INFLATION * file.size_bytes


def _kind(column: Any) -> str:
    """The type of a column's values; a categorical column has them apart from its indices."""
    return str(column.value_type if hasattr(column, "index_type") else column)


@contextmanager
def _explained() -> Generator[None]:
    """Turns what pyarrow has against the content into one line; what the disk has against reading it passes."""
    with needs("parquet", purpose="Parquet"):
        pyarrow: Any = import_module("pyarrow")
    failures: tuple[type[Exception], ...] = (pyarrow.ArrowException, OSError, KeyError, UnicodeDecodeError)
    try:
        yield
    except failures as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise UnreadableError("malformed Parquet", " ".join(str(error).split())[:200]) from None


def _read_group(
    table: Table, group: int, first: int, columns: list[str], file: SourceFile, limits: Limits
) -> Iterator[Page | Loss]:
    row = first
    try:
        rows_at_once = min(
            _batch_rows(table, group, limits), LARGE_BATCH_ROWS if _is_large(table, file) else MAX_BATCH_ROWS
        )
        batches = table.iter_batches(rows_at_once, [group], columns)
        while True:
            with _explained():
                batch = next(batches, None)
                rows = [] if batch is None else [batch.column(name) for name in columns]
            if not rows:
                return
            for values in zip(*rows, strict=True):
                yield _page_of_row(values, columns[0], f"{file.name}:{row}", file.source, limits)
                row += 1
    except UnreadableError as error:
        yield Loss(f"{file.name}:{row}", file.source, error.reason)


def _batch_rows(table: Table, group: int, limits: Limits) -> int:
    """As many rows as hold little, judged by the size of all columns: asking for that of one can abort.

    Raises: UnreadableError for a row group larger than is let in.
    """
    with _explained():
        found: Any = table.metadata.row_group(group)
        size, rows = max(1, int(found.total_byte_size)), max(1, int(found.num_rows))
    if size > limits.max_group_bytes:
        raise over(limits.max_group_bytes, compressed=True, size=size)
    return min(MAX_BATCH_ROWS, max(1, min(MAX_BATCH_BYTES, limits.max_record_bytes) * rows // size))


def _page_of_row(values: tuple[Any, ...], text_field: str, identity: str, source: str, limits: Limits) -> Page | Loss:
    url = ""
    try:
        text, *others = (_plain(value) for value in values)
        url = others[0] if others and isinstance(others[0], str) else ""
        content = _field({text_field: text}, text_field)
        if (size := len(content.encode())) > limits.max_record_bytes:
            raise over(limits.max_record_bytes, compressed=True, size=size)
    except UnreadableError as error:
        return Loss(identity, source, error.reason, url)
    return Page(content, identity, source, "text", url)


def _plain(value: Any) -> object:
    try:
        return value.as_py()
    except UnicodeDecodeError as error:
        raise UnreadableError("not UTF-8", str(error)[:100]) from None
    except IndexError as error:  # a damaged dictionary
        raise UnreadableError("malformed Parquet", str(error)[:100]) from None
