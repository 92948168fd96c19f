"""Files that are one page each: text, HTML; and the rules by which bytes become text."""

from collections.abc import Iterator

from gptrilogy.corpus.documents import Loss, Page
from gptrilogy.corpus.readers.finding import SourceFile
from gptrilogy.corpus.readers.limits import Limits, UnreadableError, over
from gptrilogy.corpus.readers.opening import opened


def text_of(content: bytes) -> str:
    r"""UTF-8 bytes as text: without a byte-order mark, every line end a `\n`.

    Raises: UnreadableError for what is not UTF-8, or blank.

    >>> text_of(b"one\r\ntwo")
    'one\ntwo'
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError("not UTF-8", f"byte 0x{content[error.start]:02x} at offset {error.start:,}") from None
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
    if text.startswith("\ufeff"):
        text = text[1:]
    if not text or text.isspace():
        raise UnreadableError("empty")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def read_text(file: SourceFile, limits: Limits) -> Iterator[Page | Loss]:
    """A text file as one page."""
    try:
        text = text_of(_whole(file, limits, limits.max_text_bytes))
    except UnreadableError as error:
        yield Loss(file.name, file.source, error.reason)
    else:
        yield Page(text, file.name, file.source, "text")


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
    with opened(file, limits) as stream:
        content = stream.read(limit + 1)
        if len(content) > limit:
            raise over(limit, compressed=stream.raw.compressed)
    return content
