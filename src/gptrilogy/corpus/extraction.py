"""The text of a page: bytes decoded although their declared encoding may be wrong, main content taken out of HTML."""

import codecs
import re
from typing import Any

from pydantic import Field

from gptrilogy.config import Config
from gptrilogy.corpus.documents import Page, Reason
from gptrilogy.extras import needs

MARKS = (  # UTF-32's first: the mark of UTF-16 begins it
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
META_BYTES = 1024  # where browsers look for a charset
META_CHARSET = re.compile(rb"""<meta[^<>]{0,512}?charset\s*=\s*["']?\s*([\w:.-]{1,40})""", re.IGNORECASE)
WESTERN = "cp1252"
BROKEN_SHARE = 0.05  # of the characters beyond ASCII, in a text that is still taken to be in an encoding
JUNK_SHARE = 0.1  # of all characters, in what is still a text
NEWLINES = ("\r", "\f", "\x85", "\u2028", "\u2029")
CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff]")
LONG_TAG = re.compile(r"<[A-Za-z][\w:-]*[\s/][^<>]{2000,}")
ATTRIBUTE = re.compile(r"""[^\s"'<>/=]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+))?""")
TAG = re.compile(r"<(/?)([A-Za-z][\w:-]*)(?=[\s/>])")  # what follows keeps a script's `i<n;` apart
NAMES = "area base br col dd dt embed hr img input li link meta option p param source tbody td tfoot th thead tr wbr"
FLAT_TAGS = frozenset(NAMES.split())  # hold nothing, or are closed by the next of their kind


class ExtractionConfig(Config):
    """What is taken out of a page, and which page is not worth its time. The papers name extractors, no settings.

    Source: GPT2 §2.1 (Dragnet and Newspaper); the values are ours.
    """

    comments: bool = False  # keep what readers wrote below a page
    max_html_bytes: int = Field(default=5 << 20, ge=1)  # memory is up to a hundred times as much
    max_ancestors: int = Field(default=2_000_000, ge=1)  # of all elements together, 0.2 µs each
    max_attributes: int = Field(default=1_000, ge=1)  # of one tag; the parser compares each with each


def extract(page: Page, config: ExtractionConfig) -> str | Reason:
    r"""The main text of a page, or why it has none; a page of kind "text" is decoded and cleaned alone.

    Raises: MissingExtraError without resiliparse.

    >>> html = "<body><nav><a href=/>Home</a></nav><article><h1>Rain</h1><p>It rained all day.</p></article>"
    >>> extract(Page(html, id="a:0", source="crawl", kind="html"), ExtractionConfig())
    'Rain\n\nIt rained all day.'
    """
    content, html = page.content, page.kind == "html"
    if html and len(content) > config.max_html_bytes:
        return Reason("too large", f"{len(content):,} bytes of HTML, at most {config.max_html_bytes:,}")
    raw = content if isinstance(content, str) else decode(content, page.charset, html=html)
    text = clean(raw)
    junk = len(raw) - raw.count("\r\n") - len(text) + text.count("\ufffd")
    if junk > JUNK_SHARE * len(raw):
        return Reason("not text", f"{junk:,} of {len(raw):,} characters mean nothing")
    if html:
        if reason := too_costly(text, config):
            return reason
        text = clean(main_text(text, config))
    return text.strip() or Reason("no text", f"nothing was found in {len(content):,} bytes")


def main_text(html: str, config: ExtractionConfig) -> str:
    """Headings, paragraphs, lists and tables of the main content, a blank line between blocks."""
    with needs("corpus", purpose="taking text out of HTML"):
        from resiliparse.extract.html2text import extract_plain_text
    return extract_plain_text(
        html, main_content=True, preserve_formatting=True, alt_texts=False, comments=config.comments
    )


def clean(text: str) -> str:
    r"""One kind of newline; no control characters but tab and newline, no byte-order mark, no half surrogate pair.

    >>> clean("one\r\ntwo\x00 \ud83d\ude00 \ud800")
    'one\ntwo 😀 �'
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    text = text.replace("\r\n", "\n")
    for newline in NEWLINES:
        text = text.replace(newline, "\n")
    return CONTROLS.sub("", text)


def decode(content: bytes, charset: str = "", *, html: bool = True) -> str:
    """Bytes as text, in the first encoding of these that fits.

    1. What a byte-order mark says. 2. UTF-16, where zeros fill every other byte. 3. ISO-2022-JP, where its escapes
    are. 4. UTF-8: other encodings hardly ever look like it by chance. 5. What the server
    declared, then what the page says of itself; Windows-1252 (servers declare it unasked) is not believed where
    most bytes beyond ASCII stand side by side, as no Western language has them. 6. What the bytes look like.
    7. Windows-1252. To fit is to leave at most one in twenty characters beyond ASCII undecoded.
    """
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    if encoding := _zeros(content):
        return content.decode(encoding, "replace")
    declared = [name for name in (_known(charset), _meta(content) if html else None) if name]
    candidates = ["utf-8", *(name for name in declared if not _doubtful(name, content))]
    if b"\x1b$B" in content or b"\x1b$@" in content:
        candidates.insert(0, "iso2022_jp")
    for encoding in candidates:
        if (text := _fitting(content, encoding)) is not None:
            return text
    guess = _guess(content)
    text = _fitting(content, guess) if guess else None
    return content.decode(WESTERN, "replace") if text is None else text


def _fitting(content: bytes, encoding: str) -> str | None:
    """The text if these bytes are in this encoding, but for a few."""
    text = content.decode(encoding, "replace")
    broken = text.count("\ufffd")
    if broken == 0:
        return text
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    return text if broken <= BROKEN_SHARE * beyond_ascii else None


def _zeros(content: bytes) -> str | None:
    """UTF-16 without a mark, known by the zero halves of its ASCII characters."""
    sample = content[:4096]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if even + odd < len(sample) / 20 or 10 * min(even, odd) > even + odd:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _doubtful(encoding: str, content: bytes) -> bool:
    """Whether an encoding that fits all bytes is not that of these."""
    if encoding != WESTERN:
        return False
    beyond_ascii = len(content) - len(content.translate(None, bytes(range(128, 256))))
    side_by_side = sum(map(len, re.findall(rb"[\x80-\xff]{2,}", content)))
    return 2 * side_by_side > beyond_ascii


def _meta(content: bytes) -> str | None:
    found = META_CHARSET.search(content[:META_BYTES])
    return _known(found[1].decode("ascii", "ignore")) if found else None


def _known(label: str) -> str | None:
    """Python's name for an encoding as the web calls it; none for UTF-16, which shows itself, and for unknown ones."""
    with needs("corpus", purpose="reading web pages"):
        from resiliparse.parse.encoding import map_encoding_to_html5
    name: str | None = map_encoding_to_html5(label.strip(" \t\"'"), fallback_utf8=False) if label else None
    return None if name is None or name.startswith("utf-16") else codecs.lookup(name).name


def _guess(content: bytes) -> str | None:
    with needs("corpus", purpose="reading web pages"):
        from resiliparse.parse.encoding import detect_encoding
    name: Any = detect_encoding(content, html5_compatible=False)
    return (_known(name) or codecs.lookup(name).name) if name else None


def too_costly(html: str, config: ExtractionConfig) -> Reason | None:
    """Why a page would keep the parser busy for long, if it would."""
    for tag in LONG_TAG.finditer(html):
        if (count := len(ATTRIBUTE.findall(tag[0])) - 1) > config.max_attributes:
            return Reason("too many attributes", f"{count:,} in one tag, at most {config.max_attributes:,}")
    if html.count("<") ** 2 <= 2 * config.max_ancestors:  # even if each were inside the one before
        return None
    if (count := ancestors(html)) > config.max_ancestors:
        return Reason("nested too deeply", f"{count:,} ancestors of elements, at most {config.max_ancestors:,}")
    return None


def ancestors(html: str) -> int:
    """About how many elements an element is inside of, summed over all: what finding the main content costs.

    A tag that does not nest adds to the sum and not to the depth.

    >>> ancestors("<div><div><p>one<p>two</div></div>")
    5
    """
    depth, total = 0, 0
    n_open: dict[str, int] = {}
    for slash, tag in TAG.findall(html):
        name = tag.lower()
        if not slash:
            total += depth
            if name not in FLAT_TAGS:
                depth += 1
                n_open[name] = n_open.get(name, 0) + 1
        elif n_open.get(name):
            depth -= 1
            n_open[name] -= 1
    return total
