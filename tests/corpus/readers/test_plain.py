import bz2
import gzip

import pytest
import zstandard
from tests.corpus.readers.conftest import Reading

PACKED = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstandard.compress}


@pytest.mark.parametrize("compression", PACKED)
def test_a_book_is_one_page_of_text(reading: Reading, compression: str) -> None:
    text = "\ufeffIt is a truth\r\nuniversally\racknowledged, née\n"
    (page,), losses = reading("emma.txt" + compression, PACKED[compression](text.encode()))
    assert page.content == "It is a truth\nuniversally\nacknowledged, née\n"
    assert (page.id, page.kind, losses) == ("emma.txt" + compression, "text", [])


@pytest.mark.parametrize("name", ["a.html", "a.HTM", "a.xhtml", "a.html.gz"])
def test_an_html_file_is_one_page_of_untouched_bytes(reading: Reading, name: str) -> None:
    content = b"<p>caf\xe9</p>\r\n"
    (page,), _ = reading(name, gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    assert (page.content, page.kind, page.id) == (content, "html", name)


@pytest.mark.parametrize(
    ("name", "content", "reason", "detail"),
    [
        ("a.txt", b"caf\xe9", "not UTF-8", "byte 0xe9 at offset 3"),
        ("a.txt", b" \n\t", "empty", ""),
        ("a.txt", b"", "empty", ""),
        ("a.html", b" \n", "empty", ""),
        ("a.txt.gz", b"plain", "malformed archive", "incorrect header check"),
        ("a.txt", b"text " * 30, "larger than the limit", "more than 100 bytes"),
        ("a.txt.gz", gzip.compress(b"text " * 30, mtime=0), "inflates past the limit", "more than 100 bytes"),
        ("a.txt.gz", gzip.compress(b"text", mtime=0)[:-1], "truncated archive", "the file ends within compressed data"),
    ],
)
def test_a_file_that_is_no_text_is_a_loss(
    reading: Reading, name: str, content: bytes, reason: str, detail: str
) -> None:
    pages, (loss,) = reading(name, content, max_text_bytes=100)
    assert (pages, loss.id, loss.reason.name) == ([], name, reason)
    assert detail in loss.reason.detail
