"""Lists of links as they are published: JSON lines or CSV, compressed or not, under the names each archive uses."""

import bz2
import csv
import gzip
import json
import lzma
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from gptrilogy.corpus.documents import Loss, Reason
from gptrilogy.corpus.links import Link
from gptrilogy.errors import DataError
from gptrilogy.extras import needs

MAX_ROW_BYTES = 1 << 22  # a post with its preview and text has some kilobytes
NAMES: Mapping[str, tuple[str, ...]] = {  # ours first, then Reddit's archives, then what else was seen
    "url": ("url", "link"),
    "votes": ("votes", "score", "karma", "points", "ups"),
    "community": ("community", "subreddit"),
    "time": ("time", "created_utc", "created", "timestamp", "date"),
    "over_18": ("over_18", "over18", "nsfw"),
    "self": ("is_self", "self"),
}
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")

_READ_BYTES = 1 << 18
_ZSTD_READ_BYTES = 1 << 12  # a block of 4 bytes can stand for 128 KiB, so this much for 128 MiB
_ZSTD_MAX_WINDOW_BYTES = 1 << 31  # Reddit's archives were packed with --long=31


def read_links(path: Path, *, source: str | None = None) -> Iterator[Link | Loss]:
    r"""The links of one list in its order; a row that holds none is a loss that says why.

    `.csv` and `.tsv` have a line of names on top; any other file has one JSON object a line, as Reddit's archives
    (`RS_2017-12.zst`). Each may be packed: .gz .bz2 .xz .zst. A time is in seconds or milliseconds since 1970 or in
    ISO 8601, by default UTC. What is damaged ends the list with a loss.
    Units: memory stays below the window of a Zstandard file, up to 2 GiB where it was packed so.
    Raises: DataError for a file that cannot be opened, and for a CSV without a column of addresses.
    """
    if not path.is_file():
        raise DataError(f"{path} is no file: give a list of links as JSON lines or CSV")
    bare = path.name.lower()
    for suffix in COMPRESSED:
        bare = bare.removesuffix(suffix)
    read_rows = _read_csv if bare.endswith((".csv", ".tsv")) else _read_jsonl
    named = str(path) if source is None else source
    number = 0
    try:
        for number, row in read_rows(path, "\t" if bare.endswith(".tsv") else ","):
            id_ = f"{path.name}:{number}"
            yield Loss(id_, named, row) if isinstance(row, Reason) else _link(row, id_, named)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        yield Loss(f"{path.name}:{number + 1}", named, Reason("damaged file", str(error) or "it ends too early"))


def _link(row: Mapping[str, Any], id_: str, source: str) -> Link | Loss:
    fields = {str(name).strip().lower(): value for name, value in row.items() if value not in (None, "")}
    found = {ours: _first(fields, names) for ours, names in NAMES.items()}
    url = found["url"]
    if not isinstance(url, str):
        return Loss(id_, source, Reason("no URL", f"looked for {', '.join(NAMES['url'])}"))
    if _is_true(found["self"]):
        return Loss(id_, source, Reason("self post", "it links to itself"), url)
    try:
        votes, posted = _whole(found["votes"]), _seconds(found["time"])
    except (ValueError, OverflowError):
        seen = f"votes {found['votes']!r:.40}, time {found['time']!r:.40}"
        return Loss(id_, source, Reason("unreadable number", seen), url)
    community = found["community"]
    return Link(
        url=url,
        votes=votes,
        community=community if isinstance(community, str) else "",
        time=posted,
        over_18=_is_true(found["over_18"]),
        id=id_,
        source=source,
    )


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((fields[name] for name in names if name in fields), None)


def _is_true(value: Any) -> bool:
    """True as JSON, CSV and people write it.

    >>> _is_true(True), _is_true("True"), _is_true("0"), _is_true(None)
    (True, True, False, False)
    """
    return str(value).strip().lower() in {"true", "1", "1.0", "t", "yes"}


def _whole(value: Any) -> int | None:
    """A whole number, of which some lists make a fraction or a text.

    Raises: ValueError, OverflowError for what is no number.

    >>> _whole("12"), _whole(3.0), _whole(None)
    (12, 3, None)
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        raise ValueError(value)
    return int(value) if isinstance(value, int) else int(float(value))


def _seconds(value: Any) -> int | None:
    """Seconds since 1970 of a number or an ISO date.

    Raises: ValueError, OverflowError for what is neither, or lies before the year 1 or after 9999.

    >>> _seconds("2017-12-31T23:59:59Z"), _seconds(1514764799), _seconds("1514764799000"), _seconds("2017-12-31")
    (1514764799, 1514764799, 1514764799, 1514678400)
    """
    if value is None:
        return None
    try:
        seconds = _whole(value)
    except ValueError:
        moment = datetime.fromisoformat(str(value))
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    assert seconds is not None
    if abs(seconds) >= 10**11:  # the year 5138; milliseconds have been so large since 1973
        seconds //= 1000
    datetime.fromtimestamp(seconds, UTC)
    return seconds


def _read_jsonl(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, Any] | Reason]]:
    del delimiter
    for number, line in enumerate(_lines(path), start=1):
        if not line.isspace():
            yield number, _parse(line)


def _parse(line: bytes) -> dict[str, Any] | Reason:
    if len(line) > MAX_ROW_BYTES:
        return Reason("row too long", f"more than {MAX_ROW_BYTES} bytes")
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return Reason("not JSON", str(error)[:200])
    return cast("dict[str, Any]", record) if isinstance(record, dict) else Reason("not JSON", "no object")


def _read_csv(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, str] | Reason]]:
    text = (line[:MAX_ROW_BYTES].decode("utf-8-sig", "replace") for line in _lines(path))
    rows = csv.reader(text, delimiter=delimiter)
    names = _column_names(rows, path)
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:  # a field without end; the reader goes on with the next line
            yield number, Reason("not CSV", str(error))
            continue
        if not row:
            continue
        whole = len(row) == len(names)
        seen = f"{len(row)} fields under {len(names)} names"
        yield number, dict(zip(names, row, strict=True)) if whole else Reason("not CSV", seen)


def _column_names(rows: Iterator[list[str]], path: Path) -> list[str]:
    try:
        names = [name.strip().lower() for name in next(rows)]
    except (StopIteration, csv.Error):
        names = list[str]()
    if not set(names) & set(NAMES["url"]):
        raise DataError(f"{path} has no column of addresses, but {names!r:.200}: name one 'url' in its first line")
    return names


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file with their ends; of a line beyond all measure, only its beginning.

    Raises: OSError, EOFError, LZMAError or zlib.error where the file is damaged.
    """
    rest = b""
    for chunk in _chunks(path):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line + b"\n" for line in whole)
        rest = rest[: MAX_ROW_BYTES + 1]
    if rest:
        yield rest


def _chunks(path: Path) -> Iterator[bytes]:
    openers = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    suffix = path.suffix.lower()
    if suffix == ".zst":
        yield from _zstd_chunks(path)
        return
    with cast("IO[bytes]", openers[suffix](path) if suffix in openers else path.open("rb")) as file:
        while chunk := file.read(_READ_BYTES):
            yield chunk


def _zstd_chunks(path: Path) -> Iterator[bytes]:
    """Frame after frame; a reader of the library's own would take a file cut short for a whole one."""
    with needs("corpus", purpose="a list of links packed with Zstandard"):
        import zstandard
    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_MAX_WINDOW_BYTES)
    frame = None
    with path.open("rb") as file:
        while packed := file.read(_ZSTD_READ_BYTES):
            while packed:
                frame = frame or unpacker.decompressobj()
                try:
                    yield frame.decompress(packed)
                except zstandard.ZstdError as error:
                    raise OSError(str(error)) from None
                packed = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
    if frame is not None:
        raise EOFError("the last frame is cut short")
