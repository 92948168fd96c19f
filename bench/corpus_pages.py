"""What a bench does to a page: wraps it as a crawler's record, changes a known share of its words, or breaks it."""

import base64
import gzip
import hashlib
import random
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

DATE = "2026-01-01T00:00:00Z"
CHARSET = re.compile(rb"""<meta[^>]{0,80}?charset\s*=\s*["']?([A-Za-z0-9_:.-]{2,40})""", re.IGNORECASE)
MARKUP = re.compile(r"(<!--.*?-->|<(script|style)\b.*?</\2\s*>|<[^>]*>)", re.DOTALL | re.IGNORECASE)
LEAST_WORDS = 100  # of a page whose words are changed, so that one hundredth of them is a word
NOT_FOUND = b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1><p>No such page.</p></body></html>"


def make_url(host: str, path: str) -> str:
    """The address of a package's file.

    >>> make_url("libstdc++-12-doc", "gcc 12/a.html")
    'https://libstdc---12-doc.example/gcc%2012/a.html'
    """
    return f"https://{re.sub('[^a-z0-9.-]', '-', host)}.example/{quote(path)}"


def warc_record(url: str, content: bytes, mime: str, *, charset: str = "", status: str = "200 OK") -> bytes:
    """A `response` record, as its own gzip member; equal arguments give equal bytes."""
    served_as = f"{mime}; charset={charset}" if charset else mime
    head = f"HTTP/1.1 {status}\r\nContent-Type: {served_as}\r\nContent-Length: {len(content)}\r\n\r\n".encode("ascii")
    fields = {
        "WARC-Type": "response",
        "WARC-Target-URI": url,
        "WARC-Payload-Digest": _digest(content),
        "WARC-Block-Digest": _digest(head + content),
        "WARC-Identified-Payload-Type": mime,
        "Content-Type": "application/http; msgtype=response",
    }
    return _member(f"{url} {status}", fields, head + content)


def warc_info(name: str) -> bytes:
    """The record that opens a file."""
    fields = {"WARC-Type": "warcinfo", "WARC-Filename": name, "Content-Type": "application/warc-fields"}
    return _member(name, fields, b"software: gptrilogy bench.corpus_data\r\nformat: WARC File Format 1.0\r\n")


def declared_charset(html: bytes) -> str:
    """What a page's own head names, if it names anything; unchecked.

    >>> declared_charset(b'<html><head><meta charset="EUC-JP"></head>')
    'EUC-JP'
    """
    found = CHARSET.search(html[:2048])
    return found.group(1).decode("ascii") if found else ""


def change_words(html: bytes, share: float, rng: random.Random) -> tuple[bytes, dict[str, int]] | None:
    """The page with this share of the words between its tags exchanged for others of them, and how many were.

    None where the page cannot be read in its own encoding or is too short.
    """
    charset = declared_charset(html) or "utf-8"
    try:
        pieces = MARKUP.split(html.decode(charset))
    except (UnicodeDecodeError, LookupError):
        return None
    texts = [re.split(r"(\s+)", piece) for piece in pieces[::3]]  # then the markup, then its group's name or None
    places = [(line, at) for line, words in enumerate(texts) for at, word in enumerate(words) if word.strip()]
    if len(places) < LEAST_WORDS:
        return None
    words = sorted({texts[line][at] for line, at in places})
    changed = 0
    for line, at in rng.sample(places, round(share * len(places))):
        before, texts[line][at] = texts[line][at], rng.choice(words)
        changed += texts[line][at] != before
    pieces[::3] = ["".join(words) for words in texts]
    kept = (piece for number, piece in enumerate(pieces) if number % 3 < 2)
    return "".join(kept).encode(charset), {"words": len(places), "changed": changed}


def break_encoding(html: bytes, rng: random.Random) -> bytes:
    """The page with ten bytes in it that no UTF-8 text holds."""
    content = bytearray(html)
    for _ in range(10):
        content.insert(rng.randrange(len(content)), 0xFF)
    return bytes(content)


def _long_page(rng: random.Random) -> bytes:
    words = [bytes(rng.choices(range(97, 123), k=rng.randint(2, 9))) for _ in range(5000)]
    paragraph = b"<p>" + b" ".join(words) + b"</p>\n"
    return b"<html><body>" + paragraph * (50_000_000 // len(paragraph)) + b"</body></html>"


def _nested(tag: bytes) -> bytes:
    return b"<html><body>" + tag * 100_000 + b"the innermost words" + b"</body></html>"


# pages that an extractor must get over, each with the charset its server declares
HOSTILE: Mapping[str, tuple[str, Callable[[random.Random], bytes]]] = {
    "long": ("utf-8", _long_page),
    "nested_blocks": ("utf-8", lambda _: _nested(b"<div>")),
    "nested_inline": ("utf-8", lambda _: _nested(b"<b><i>")),
    "nested_tables": ("utf-8", lambda _: _nested(b"<table><tr><td>")),
    "random_bytes": ("utf-8", lambda rng: b"<html><body><p>" + rng.randbytes(100_000) + b"</p></body></html>"),
    "unknown_charset": ("utf-42", lambda _: "<html><body><p>Grüße</p></body></html>".encode()),
    "wrong_charset": ("utf-16", lambda _: b"<html><body><p>" + b"plain ASCII " * 999 + b"</p></body></html>"),
    "zero_bytes": ("utf-8", lambda _: b"<html><body><p>a\x00b" + b"\x00" * 100_000 + b"</p></body></html>"),
    "attributes": ("utf-8", lambda _: b"<html><body><p" + b" a=b" * 100_000 + b">text</p></body></html>"),
    "open_comment": ("utf-8", lambda _: b"<html><body><p>before</p><!-- " + b"- " * 500_000),
    "entities": ("utf-8", lambda _: b"<html><body><p>" + b"&#1114112;&amp;amp;&bogus;" * 50_000 + b"</p></body>"),
    "empty": ("utf-8", lambda _: b""),
}


def _digest(content: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(content).digest()).decode("ascii")


def _member(name: str, fields: Mapping[str, Any], block: bytes) -> bytes:
    identity = uuid.UUID(bytes=hashlib.sha256(name.encode()).digest()[:16], version=4)
    known = {**fields, "WARC-Record-ID": f"<urn:uuid:{identity}>", "WARC-Date": DATE, "Content-Length": len(block)}
    lines = "".join(f"{key}: {value}\r\n" for key, value in known.items())
    return gzip.compress(b"WARC/1.0\r\n" + lines.encode() + b"\r\n" + block + b"\r\n\r\n", 6, mtime=0)
