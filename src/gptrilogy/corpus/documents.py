"""The values that the steps of a corpus pass on: records of a source, documents, and why either is dropped."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

CORPUS = "corpus.json"  # of a built corpus: vouches for every file of it, and is written last


@dataclass(frozen=True, slots=True)
class Document:
    """A text and where it came from.

    >>> Document("It is a truth", id="novels/pride.txt", source="novels").meta
    {}
    """

    text: str
    id: str  # the file within its source, and the line of a JSONL file: "novels/emma.txt", "posts.jsonl:17"
    source: str  # as the user named it
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def parts(self) -> Iterator[str]:
        """The text, as of a long document: all of it at once."""
        yield self.text


@dataclass(frozen=True, slots=True)
class LongDocument:
    """A text too long to be held, which has characters other than white space."""

    parts: Callable[[], Iterator[str]]  # reads it from its beginning: what it gives, put together, is the text
    id: str
    source: str


AnyDocument: TypeAlias = Document | LongDocument


class Reason(NamedTuple):
    """Why something was dropped: a name to count by, and for a person what was seen beside the limit.

    >>> Reason("too short", "31 characters, at least 200").name
    'too short'
    """

    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One record of a source before its text is taken out."""

    content: bytes | str  # str where the source holds text in a known encoding
    id: str  # as a document's: "crawl/a.warc.gz:40961" is the record at that byte
    source: str
    kind: Literal["html", "text"]
    url: str = ""
    charset: str = ""  # as the server declared it, unchecked
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Loss:
    """A record that cannot become a page, or the unreadable rest of a damaged file."""

    id: str
    source: str
    reason: Reason
    url: str = ""
