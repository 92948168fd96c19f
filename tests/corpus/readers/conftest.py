"""Reading bytes under a file's name, and records of web archives."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

import web_archive
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
    """One WARC record written by hand."""
    return web_archive.record
