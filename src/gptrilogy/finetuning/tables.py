"""Rows of tables - JSON lines, CSV, TSV, Parquet - one after another, each with the place where it stands."""

import csv
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, cast

from gptrilogy.errors import DataError
from gptrilogy.extras import needs

Format: TypeAlias = Literal["jsonl", "csv", "tsv", "text"]
OnBad: TypeAlias = Callable[[DataError], None]

FORMATS: Mapping[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}
PARQUET_SUFFIX = ".parquet"
MAX_LINE_BYTES = 1 << 24  # a row of text is never that long: a bound on what a bomb or an open quote can fill


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row. Without a header the columns are called "0", "1", ...

    `where`: file and row for messages, "train.tsv:17", counting lines as an editor does; of Parquet, records from 1.
    """

    values: Mapping[str, Any]
    where: str


def read_table(
    path: Path,
    *,
    header: bool = True,
    format: Format | None = None,  # noqa: A002 - what everyone calls it
    on_bad: OnBad | None = None,
) -> Iterator[TableRow]:
    """The rows of a file, whose format its suffix tells unless `format` does; text also compressed as `.gz`.

    TSV is read without any quoting, as GLUE's files are written; a quoted cell of CSV may hold line ends. `header`
    concerns these two. Rows with too many or too few cells are told to `on_bad` and passed over, where it is given.

    Raises: DataError for what cannot be read; MissingExtraError for Parquet without pyarrow.
    """
    if format is None and path.suffix.lower() == PARQUET_SUFFIX:
        yield from _read_parquet(path)
        return
    known = format or FORMATS.get(Path(path.name.lower().removesuffix(".gz")).suffix)
    if known is None:
        with _explained(str(path)):
            path.stat()  # what is not there has no right name either
        raise DataError(
            f"{path} is no table known by its name: save it as .jsonl, .csv or .tsv (each also .gz), or as .parquet"
        )
    with _explained(str(path)), _open(path) as stream:
        yield from read_lines(stream, known, name=str(path), header=header, on_bad=on_bad)


def read_lines(
    stream: IO[bytes],
    format: Format,  # noqa: A002
    *,
    name: str = "stdin",
    header: bool = True,
    on_bad: OnBad | None = None,
) -> Iterator[TableRow]:
    """The rows of a stream, each given out as soon as its last line is there. `text`: a line is the column `text`.

    >>> import io
    >>> [row.values for row in read_lines(io.BytesIO(b'text\\tlabel\\nso-called "art"\\t0\\n'), "tsv")]
    [{'text': 'so-called "art"', 'label': '0'}]
    """
    with _explained(name):
        lines = _lines(stream, name)
        match format:
            case "text":
                yield from (TableRow({"text": line}, f"{name}:{number}") for number, line in lines)
            case "jsonl":
                yield from _json_rows(lines, name)
            case "tsv":
                yield from _named(_split_tabs(lines), name, header, on_bad)
            case "csv":
                yield from _named(_parse_csv(lines, name), name, header, on_bad)


Lines: TypeAlias = Iterator[tuple[int, str]]  # number from 1, and the line without its end
Records: TypeAlias = Iterator[tuple[int, list[str]]]  # number of the first line, and the cells


def _lines(stream: IO[bytes], name: str) -> Lines:
    number = offset_bytes = 0
    while content := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(content) > MAX_LINE_BYTES:
            raise DataError(
                f"{name}:{number}: a line of more than {MAX_LINE_BYTES >> 20} MiB: write one row a line, ended by \\n"
            )
        try:
            line = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{name}:{number}: not UTF-8 text: byte 0x{content[error.start]:02x} at offset "
                f"{offset_bytes + error.start}; convert it, for example with iconv -f latin1 -t utf-8"
            ) from None
        offset_bytes += len(content)
        if number == 1:
            line = line.removeprefix("\ufeff")
        yield number, line.removesuffix("\n").removesuffix("\r")


def _json_rows(lines: Lines, name: str) -> Iterator[TableRow]:
    for number, line in lines:
        if line and not line.isspace():
            where = f"{name}:{number}"
            yield TableRow(_parse_object(line, where), where)


def _parse_object(text: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except RecursionError:
        raise DataError(f"{where}: JSON nested too deeply: remove it or flatten it") from None
    except ValueError as error:  # also a number of thousands of digits
        raise DataError(f"{where}: not JSON that can be read ({error}): give one object a line") from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: a JSON {type(record).__name__}, where each line must be one object")
    return cast("dict[str, Any]", record)


def _split_tabs(lines: Lines) -> Records:
    return ((number, line.split("\t")) for number, line in lines if line)


def _parse_csv(lines: Lines, name: str) -> Records:
    reader = csv.reader((f"{line}\n" for _, line in lines), strict=True)
    while True:
        first = reader.line_num + 1
        before = csv.field_size_limit(MAX_LINE_BYTES)  # of the whole process, so it is put back after every row
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DataError(
                f"{name}:{first}: not CSV ({error}): close each quote, and write a quote inside a quoted cell twice"
            ) from None
        finally:
            csv.field_size_limit(before)
        if cells is None:
            return
        if cells:
            yield first, cells


def _named(records: Records, name: str, header: bool, on_bad: OnBad | None) -> Iterator[TableRow]:
    """Cells under the names of their columns."""
    names: list[str] | None = None
    for number, cells in records:
        where = f"{name}:{number}"
        if names is None:
            names = _header(cells, where) if header else [str(column) for column in range(len(cells))]
            if header:
                continue
        if len(cells) == len(names):
            yield TableRow(dict(zip(names, cells, strict=True)), where)
            continue
        model = "header" if header else "first row"
        error = DataError(
            f"{where}: a row of {len(cells)} cells, where the {model} has {len(names)}: correct it or remove it"
        )
        if on_bad is None:
            raise error
        on_bad(error)


def _header(cells: list[str], where: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(
            f"{where}: {count} columns are named {name!r}: rename one, or, where the file has no header, give columns "
            "by number (--columns label=1,text=3)"
        )
    return names


def _read_parquet(path: Path) -> Iterator[TableRow]:
    with needs("parquet", purpose=f"reading {path}"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    unsound = cast("type[Exception]", pa.ArrowException)
    number = 0
    with _explained(str(path)), path.open("rb") as stream:
        try:
            file: Any = pq.ParquetFile(stream, page_checksum_verification=True)
            _header(file.schema_arrow.names, str(path))
            for batch in file.iter_batches(batch_size=1024):
                for values in batch.to_pylist():
                    number += 1
                    yield TableRow(values, f"{path}:{number}")
        except (unsound, OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path} cannot be read as Parquet ({reason:.200}): write it or get it again") from None


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.name.lower().endswith(".gz") else path.open("rb")


@contextmanager
def _explained(name: str) -> Generator[None]:
    """Says in one line what the disk or the compression had against reading `name`."""
    try:
        yield
    except EOFError:
        raise DataError(f"{name} is cut short: compress or download it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name} is not a sound gzip file ({error}): compress or download it again") from None
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or error}; check the name and its permissions") from None
