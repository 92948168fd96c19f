"""The one value that every step of a corpus passes on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
