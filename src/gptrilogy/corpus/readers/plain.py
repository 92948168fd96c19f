"""Files that are one page each: text, HTML; and the rules by which bytes become text."""

from codecs import getincrementaldecoder
from collections.abc import Iterator
from io import IncrementalNewlineDecoder

from gptrilogy.corpus.documents import Loss, Page
from gptrilogy.corpus.readers.finding import SourceFile
from gptrilogy.corpus.readers.limits import Limits, UnreadableError, over
from gptrilogy.corpus.readers.opening import opened

WHOLE_BYTES = 1 << 24  # read at a time: what is asked for is set aside before it is there
PART_BYTES = 1 << 20
BOM = "\ufeff"


def text_of(content: bytes) -> str:
    r"""UTF-8 bytes as text: without a byte-order mark, every line end a `\n`.

    Raises: UnreadableError for what is not UTF-8, or blank.

    >>> text_of(b"one\r\ntwo")
    'one\ntwo'
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(error, len(content)) from None
    return _tidied(text)


def checked(text: str) -> str:
    r"""Decoded text in the same form.

    Raises: UnreadableError for what is blank, or holds half a surrogate pair, which no encoding can write.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnreadableError("half a surrogate pair", f"\\u{ord(text[error.start]):04x}") from None
    return _tidied(text)


def _tidied(text: str) -> str:
    text = text.removeprefix(BOM)
    if not text or text.isspace():
        raise UnreadableError("empty")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def _not_utf8(error: UnicodeDecodeError, read_bytes: int) -> UnreadableError:
    """Where in a content it was, of which so many bytes had been read."""
    offset = read_bytes - len(error.object) + error.start
    return UnreadableError("not UTF-8", f"byte 0x{error.object[error.start]:02x} at offset {offset:,}")


def read_text(file: SourceFile, limits: Limits) -> Iterator[Page | Loss]:
    """A text file as one page."""
    try:
        text = text_of(_whole(file, limits, limits.max_text_bytes))
    except UnreadableError as error:
        yield Loss(file.name, file.source, error.reason)
    else:
        yield Page(text, file.name, file.source, "text")


def text_parts(file: SourceFile, limits: Limits) -> Iterator[str]:
    """The text of a file, as `read_text` has it, in parts that are never empty; one that is blank too.

    Raises: UnreadableError while reading, as `text_of` but for what is blank, or past `max_text_bytes`; DataError.
    """
    decoder = IncrementalNewlineDecoder(getincrementaldecoder("utf-8")(), translate=True)
    size, begun, ended = 0, False, False
    with opened(file, limits) as stream:
        while not ended:
            piece = stream.read(PART_BYTES)
            size, ended = size + len(piece), not piece
            if size > limits.max_text_bytes:
                raise over(limits.max_text_bytes, compressed=stream.raw.compressed)
            try:
                part = decoder.decode(piece, final=ended)
            except UnicodeDecodeError as error:
                raise _not_utf8(error, size) from None
            if part and not begun:
                part, begun = part.removeprefix(BOM), True
            if part:
                yield part


def read_html(file: SourceFile, limits: Limits) -> Iterator[Page | Loss]:
    """An HTML file as one page, its bytes as they are: its encoding is found where its text is taken out."""
    try:
        content = _whole(file, limits, limits.max_record_bytes)
        if not content.strip():
            raise UnreadableError("empty")
    except UnreadableError as error:
        yield Loss(file.name, file.source, error.reason)
    else:
        yield Page(content, file.name, file.source, "html")


def _whole(file: SourceFile, limits: Limits, limit: int) -> bytes:
    pieces, size = list[bytes](), 0
    with opened(file, limits) as stream:
        while piece := stream.read(min(WHOLE_BYTES, limit + 1 - size)):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise over(limit, compressed=stream.raw.compressed)
    return b"".join(pieces)
