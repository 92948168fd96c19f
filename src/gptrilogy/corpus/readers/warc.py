"""Web archives (WARC, WET) as pages; what a file says of itself is checked, so that no damage passes in silence."""

import base64
import hashlib
import io
import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from gptrilogy.corpus.documents import Loss, Page, Reason
from gptrilogy.corpus.readers.bodies import decoded
from gptrilogy.corpus.readers.finding import SourceFile
from gptrilogy.corpus.readers.limits import Limits, UnreadableError, over
from gptrilogy.corpus.readers.opening import PIECE_BYTES, Unpacked, opened
from gptrilogy.corpus.readers.plain import text_of
from gptrilogy.extras import needs

if TYPE_CHECKING:
    from fastwarc.warc import HeaderMap

MAX_HEAD_BYTES = 32 << 10
NO_CONTENT = {"warcinfo", "request", "metadata"}  # records about the crawl: neither pages nor losses
NOTES = ("metadata:", "urn:x-wpull:")  # addresses under which wget and wpull keep their own logs
KINDS: dict[str, Literal["html", "text"]] = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/plain": "text",
}
DIGESTS = {"md5", "sha1", "sha224", "sha256", "sha384", "sha512"}  # of others we cannot say whether they hold
META = {"date": "WARC-Date", "record_id": "WARC-Record-ID", "truncated": "WARC-Truncated"}
HEAD_END = re.compile(rb"\r?\n\r?\n")
CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)


class Record(NamedTuple):
    """One record as it is framed; its block is None where that is longer than the limit."""

    place: str  # where it begins in the file: "40961", or "0+488" for one inside a longer gzip member
    headers: "HeaderMap"
    block: bytes | None
    length_bytes: int


def read_warc(file: SourceFile, limits: Limits) -> Iterator[Page | Loss]:
    """Pages of the responses, resources and conversions of an archive, and losses of whatever else carries content.

    A record's digest must hold (the block's, or the payload's where there is no other), and so must the checksum of its
    gzip member. The rest of a file from the first record on that is cut short or malformed is one loss.
    """
    with opened(file, limits) as stream:
        records = _Records(stream, limits)
        try:
            for record in records:
                found = _page_or_loss(record, file, limits, compressed=stream.raw.compressed)
                if found is not None:
                    yield found
        except UnreadableError as error:
            read = f"{records.offset:,} of {file.size_bytes:,} bytes were read: {error.reason.detail}"
            yield Loss(f"{file.name}:{records.place}", file.source, Reason(error.reason.name, read))


class _Records:
    """The records of an archive, framed by their declared lengths.

    Raises: UnreadableError where a record is not whole, from which on nothing can be trusted.
    """

    def __init__(self, stream: "io.BufferedReader[Unpacked]", limits: Limits) -> None:
        self._stream, self._limits = stream, limits
        self._position = 0  # in the unpacked content
        self.offset, self.place = 0, "0"  # of the record in hand

    def __iter__(self) -> Iterator[Record]:
        while line := self._first_line():
            begin = self._position - len(line)
            headers = self._head(line)
            length = _length(headers)
            block = self._block(length)
            if self._stream.raw.damage and self._stream.raw.damaged_from <= begin:
                raise self._stream.raw.damage  # the checksum of its member does not hold
            yield Record(self.place, headers, block, length)

    def _line(self) -> bytes:
        line = self._stream.readline(MAX_HEAD_BYTES)
        self._position += len(line)
        return line

    def _first_line(self) -> bytes:
        """The first line of the next record, blank ones passed over; nothing where the file ends as it should."""
        blank, closed, start = 0, self._position, self._position
        try:
            while (line := self._line()) and not line.strip(b"\r\n"):
                blank, start = blank + line.endswith(b"\n"), self._position
        finally:
            self._locate(start)
        if not line:
            self.offset = self._stream.raw.taken_bytes
            self.place = str(self.offset)
            if blank < 2 and closed:
                raise UnreadableError("truncated archive", "the two line ends that close a record are missing")
        return line

    def _locate(self, position: int) -> None:
        self.offset, within = self._stream.raw.locate(position)
        self.place = f"{self.offset}+{within}" if within else str(self.offset)

    def _head(self, line: bytes) -> "HeaderMap":
        if line.startswith(b"filedesc://"):
            raise UnreadableError("ARC archive", "the format before WARC: convert it with `warcio recompress`")
        if not line.startswith(b"WARC/"):
            cut = b"WARC/".startswith(line)  # no line end, so the last of the file
            raise UnreadableError(
                "truncated archive" if cut else "malformed archive", f"no record begins with {line[:20]!r}"
            )
        known = self._stream.peek()
        if not known.startswith((b"\r", b"\n")) and (end := HEAD_END.search(known, 0, MAX_HEAD_BYTES)):
            self._position += end.end()
            return _headers(line + self._stream.read(end.end()))
        lines, size = [line], len(line)
        while line.strip(b"\r\n"):
            line = self._line()
            lines.append(line)
            size += len(line)
            if size > MAX_HEAD_BYTES:
                raise UnreadableError("malformed archive", f"a record's header has more than {MAX_HEAD_BYTES:,} bytes")
            if not line.endswith(b"\n"):
                raise UnreadableError("truncated archive", "the file ends within a record's header")
        return _headers(b"".join(lines))

    def _block(self, length: int) -> bytes | None:
        """A record's content; passed over, piece by piece, where that is too long to hold."""
        if length <= self._limits.max_record_bytes:
            block = self._stream.read(length)
            read = len(block)
        else:
            block, read = None, 0
            while read < length and (piece := self._stream.read(min(PIECE_BYTES, length - read))):
                read += len(piece)
        self._position += read
        if read < length:
            raise UnreadableError("truncated archive", f"a record of {length:,} bytes ends after {read:,}")
        return block


@cache
def _header_map() -> "type[HeaderMap]":
    with needs("corpus", purpose="a web archive"):
        from fastwarc.warc import HeaderMap
    return HeaderMap


def _headers(head: bytes) -> "HeaderMap":
    headers = _header_map()()
    try:
        headers.parse(io.BytesIO(head.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")))  # it knows one line end
    except OSError as error:
        raise UnreadableError("malformed header", str(error)[:100]) from None
    return headers


def _length(headers: "HeaderMap") -> int:
    declared = (headers.get("Content-Length") or "").strip()
    if not (declared.isascii() and declared.isdecimal() and len(declared) < 19):
        raise UnreadableError("malformed archive", f"a record's Content-Length is {declared[:20]!r}")
    return int(declared)


def _page_or_loss(record: Record, file: SourceFile, limits: Limits, *, compressed: bool) -> Page | Loss | None:
    kind = (record.headers.get("WARC-Type") or "").lower()
    url = (record.headers.get("WARC-Target-URI") or "").strip("<> ")
    if kind in NO_CONTENT or url.lower().startswith(NOTES):
        return None
    identity = f"{file.name}:{record.place}"
    try:
        if record.block is None:
            raise over(limits.max_record_bytes, compressed=compressed, size=record.length_bytes)
        content, media, charset = _content(kind, record.headers, record.block, limits)
    except UnreadableError as error:
        return Loss(identity, file.source, error.reason, url)
    meta = {key: value for key, name in META.items() if (value := record.headers.get(name))}
    return Page(content, identity, file.source, KINDS[media], url, charset, meta)


def _content(kind: str, headers: "HeaderMap", block: bytes, limits: Limits) -> tuple[bytes | str, str, str]:
    """A record's text or markup, its media type and its declared charset.

    Raises: UnreadableError for a record that is no page.
    """
    if kind == "revisit":
        raise UnreadableError("revisit", "the page as it was at another time")
    if kind not in {"response", "resource", "conversion"}:
        raise UnreadableError("unknown record type", kind[:40])
    if headers.get("WARC-Segment-Number"):
        raise UnreadableError("segmented record", "one part of a page")
    declared = headers.get("Content-Type") or ""
    if kind == "response":
        return _response(declared, headers, block, limits)
    media = _media(declared, headers)
    _check_digest(headers, block, payload=block)
    if not block.strip():
        raise UnreadableError("empty")
    content = text_of(block) if kind == "conversion" else block
    return content, media, _charset(declared)


def _response(declared: str, headers: "HeaderMap", block: bytes, limits: Limits) -> tuple[bytes, str, str]:
    if not declared.lower().startswith("application/http"):
        raise UnreadableError("not text", f"a response of type {declared[:60]!r}")
    end = HEAD_END.search(block, 0, MAX_HEAD_BYTES)
    http = _headers(block[: end.end()] if end else block[:MAX_HEAD_BYTES])
    body = memoryview(block)[end.end() :] if end else b""
    if http.status_code is None:
        raise UnreadableError("malformed header", f"no status in {(http.status_line or '')[:60]!r}")
    if http.status_code != 200:
        raise UnreadableError(f"status {http.status_code}")
    declared = http.get("Content-Type") or ""
    media = _media(declared, headers)
    _check_digest(headers, block, payload=body)
    codings = [*_listed(http, "Content-Encoding"), *_listed(http, "Transfer-Encoding")]
    content = decoded(bytes(body), codings, limits, cut="WARC-Truncated" in headers)
    if not content.strip():
        raise UnreadableError("empty")
    return content, media, _charset(declared)


def _listed(http: "HeaderMap", name: str) -> list[str]:
    return [part.strip().lower() for value in http.get_multiple(name) for part in value.split(",")]


def _media(declared: str, headers: "HeaderMap") -> str:
    """The media type that the server, or failing that the crawler, gave.

    Raises: UnreadableError for one that holds no text.
    """
    media = declared or headers.get("WARC-Identified-Payload-Type") or ""
    media = media.partition(";")[0].partition(",")[0].strip().lower()
    if media not in KINDS:
        raise UnreadableError("not text", media[:60] or "no content type")
    return media


def _charset(declared: str) -> str:
    """The charset parameter of a content type.

    >>> _charset('text/html; Charset="ISO-8859-1"')
    'iso-8859-1'
    """
    found = CHARSET.search(declared)
    return found[1].lower() if found else ""


def _check_digest(headers: "HeaderMap", block: bytes, *, payload: bytes | memoryview) -> None:
    """Raises: UnreadableError where the digest of the block, or where only that is given of the payload, differs.

    The payload's alone would not do: some crawlers take it before, some after the codings are undone.
    """
    for name, content in (("WARC-Block-Digest", block), ("WARC-Payload-Digest", payload)):
        algorithm, _, value = (headers.get(name) or "").partition(":")
        algorithm = algorithm.strip().lower().replace("-", "")
        if algorithm in DIGESTS:
            digest = hashlib.new(algorithm, content, usedforsecurity=False).digest()
            if value.strip().rstrip("=").lower() not in {
                digest.hex(),
                base64.b32encode(digest).decode().rstrip("=").lower(),
            }:
                raise UnreadableError("digest differs", f"{name} {algorithm}:{value.strip()[:100]}")
            return
