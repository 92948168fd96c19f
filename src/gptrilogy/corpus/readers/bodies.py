"""HTTP bodies as a browser would see them: transfer and content codings undone, never past the limit."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from gptrilogy.corpus.readers.limits import Limits, UnreadableError, over
from gptrilogy.corpus.readers.opening import PIECE_BYTES, Decoder, Unpacked, ZlibDecoder, ZstdDecoder
from gptrilogy.extras import needs

CHUNK_SIZE = re.compile(rb"\s*[0-9a-fA-F]{1,16}[ \t]*(;[^\r\n]*)?\r?\n")
ALIASES = {"x-gzip": "gzip", "x-deflate": "deflate", "x-zstd": "zstd"}
NO_CODING = {"", "identity", "none", "binary", "7bit", "8bit", "utf-8"}  # servers send these, and mean nothing by them


class Reader(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


def decoded(body: bytes, codings: Sequence[str], limits: Limits, *, cut: bool = False) -> bytes:
    r"""A body with its codings undone, the last applied first; `cut` allows that it ends before its end.

    A coding that the body plainly does not wear was undone when the page was stored, and is passed over.

    Raises: UnreadableError for an unknown coding, a damaged body, or one that inflates past the limit.

    >>> decoded(b"5\r\nhello\r\n0\r\n\r\n", ["chunked"], Limits())
    b'hello'
    """
    for listed in reversed(codings):
        coding = ALIASES.get(listed, listed)
        if coding in NO_CODING or not body:
            continue
        if coding not in CODINGS:
            raise UnreadableError("unknown http coding", coding[:40])
        wears, reader = CODINGS[coding]
        if wears(body):
            body = _read(reader(body, limits), body, coding, limits, cut=cut)
    return body


def _read(reader: Reader, body: bytes, coding: str, limits: Limits, *, cut: bool) -> bytes:
    pieces, size = list[bytes](), 0
    try:
        while piece := reader.read(PIECE_BYTES):
            pieces.append(piece)
            size += len(piece)
            if size > limits.max_record_bytes:
                raise over(limits.max_record_bytes, compressed=True)
    except (OSError, UnreadableError) as error:
        if isinstance(error, UnreadableError) and error.reason.name == "inflates past the limit":
            raise
        if not pieces and _is_markup(body):
            return body  # declared, but not there
        if not (pieces and cut):
            raise UnreadableError("malformed http body", f"{coding}: {str(error)[:100]}") from None
    return b"".join(pieces)


def _is_markup(body: bytes) -> bool:
    return body[:100].lstrip().startswith(b"<")


def _unpacked(body: bytes, decoder: Callable[[], Decoder]) -> Reader:
    return Unpacked(io.BytesIO(body), decoder)


def _deflate(body: bytes, limits: Limits) -> Reader:
    del limits
    wrapped = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return _unpacked(body, lambda: ZlibDecoder(15 if wrapped else -15))  # many servers leave out the zlib wrapping


def _chunked(body: bytes, limits: Limits) -> Reader:
    del limits
    with needs("corpus", purpose="a web archive"):
        from fastwarc.stream_io import ChunkedReader
    return ChunkedReader(io.BytesIO(body))


def _brotli(body: bytes, limits: Limits) -> Reader:
    del limits
    with needs("corpus", purpose="a web archive"):
        from fastwarc.stream_io import BrotliReader
    return BrotliReader(io.BytesIO(body))


CODINGS: dict[str, tuple[Callable[[bytes], bool], Callable[[bytes, Limits], Reader]]] = {
    "chunked": (lambda body: CHUNK_SIZE.match(body) is not None, _chunked),
    "gzip": (lambda body: body.startswith(b"\x1f\x8b"), lambda body, _: _unpacked(body, ZlibDecoder)),
    "zstd": (
        lambda body: body.startswith(b"\x28\xb5\x2f\xfd"),
        lambda body, limits: _unpacked(body, lambda: ZstdDecoder(limits.max_window_bytes)),
    ),
    "deflate": (lambda _: True, _deflate),
    "br": (lambda _: True, _brotli),
}
