"""Reading bytes under a file's name, and records of web archives written by hand."""

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from gptrilogy.corpus.documents import Loss, Page
from gptrilogy.corpus.readers import Limits, find_files, read_pages

Read: TypeAlias = tuple[list[Page], list[Loss]]
Reading: TypeAlias = Callable[..., Read]
Record: TypeAlias = Callable[..., bytes]


def sorted_out(path: Path, limits: Limits, text_field: str = "text") -> Read:
    """What one file gives, pages and losses apart."""
    (file,) = find_files([str(path)])
    found = list(read_pages(file, limits, text_field=text_field))
    return [item for item in found if isinstance(item, Page)], [item for item in found if isinstance(item, Loss)]


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    """Write bytes as a file of the name and read it."""

    def read(name: str, content: bytes, *, text_field: str = "text", **limits: int) -> Read:
        (tmp_path / name).write_bytes(content)
        return sorted_out(tmp_path / name, Limits(**limits), text_field)

    return read


@pytest.fixture
def record() -> Record:
    """One WARC record; a response unless another type is named, and its own gzip member if asked."""

    def write(
        content: bytes,
        *,
        kind: str = "response",
        media: str = "text/html",
        http: str = "HTTP/1.1 200 OK",
        fields: Mapping[str, str] | None = None,
        http_fields: Mapping[str, str] | None = None,
        packed: bool = False,
    ) -> bytes:
        if kind == "response":
            lines = [http, f"Content-Type: {media}", *(f"{key}: {value}" for key, value in (http_fields or {}).items())]
            content, media = "\r\n".join(lines).encode() + b"\r\n\r\n" + content, "application/http; msgtype=response"
        head = {"WARC-Type": kind, "WARC-Target-URI": "http://a.example/", "Content-Type": media}
        head |= {"Content-Length": str(len(content))} | dict(fields or {})
        lines = ["WARC/1.0", *(f"{key}: {value}" for key, value in head.items())]
        whole = "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n\r\n"
        return gzip.compress(whole, mtime=0) if packed else whole

    return write
