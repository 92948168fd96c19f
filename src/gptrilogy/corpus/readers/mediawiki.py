"""Wiki dumps (MediaWiki's XML) as pages, streamed by a parser that takes no declarations and so no entity bombs."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias
from urllib.parse import quote
from xml.parsers import expat

from gptrilogy.corpus.documents import Loss, Page, Reason
from gptrilogy.corpus.readers.finding import SourceFile
from gptrilogy.corpus.readers.limits import Limits, UnreadableError, over
from gptrilogy.corpus.readers.opening import PIECE_BYTES, opened
from gptrilogy.corpus.readers.plain import checked
from gptrilogy.corpus.readers.wikitext import EMBEDDED, plain_text

FIELD_BYTES = 4096  # of any field but the text
EMBEDDED_KEYS = {"6", "14"}  # namespaces of files and categories: links to them are no words of a sentence
FIELDS: dict[tuple[str, ...], str] = {
    ("mediawiki", "siteinfo", "base"): "base",
    ("mediawiki", "page", "title"): "title",
    ("mediawiki", "page", "ns"): "ns",
    ("mediawiki", "page", "id"): "id",
    ("mediawiki", "page", "revision", "timestamp"): "date",
    ("mediawiki", "page", "revision", "model"): "model",
    ("mediawiki", "page", "revision", "text"): "text",
}
ToText: TypeAlias = Callable[[str, frozenset[str]], str]


def read_mediawiki(file: SourceFile, limits: Limits, *, to_text: ToText = plain_text) -> Iterator[Page | Loss]:
    """The articles of a dump, each in the last revision given; redirects and other namespaces are losses.

    `to_text` makes plain text of wikitext, told the names of the namespaces whose links are dropped.
    """
    dump, rest = _Dump(limits), None
    with opened(file, limits) as stream:
        while rest is None and not dump.closed:
            try:
                dump.feed(stream.read1(PIECE_BYTES))
            except UnreadableError as error:
                rest = error.reason
            while dump.pages:
                yield _page_or_loss(dump.pages.popleft(), dump, file, limits, to_text, stream.raw.compressed)
    if rest is not None:
        reason = Reason(rest.name, f"after page {dump.count:,}: {rest.detail}")
        yield Loss(f"{file.name}:rest", file.source, reason)


class _Dump:
    """The pages of the XML fed so far, as fields; of a text beyond the limit only its length."""

    def __init__(self, limits: Limits) -> None:
        self.pages = deque[Mapping[str, str]]()
        self.embedded, self.base, self.count, self.closed = EMBEDDED, "", 0, False
        self._limits, self._fed_bytes = limits, 0
        self._path, self._page = list[str](), dict[str, str]()
        self._pieces, self._size, self._key = list[str](), 0, ""
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, content: bytes) -> None:
        """Take the next bytes of the dump; none of them say that it is at its end.

        Raises: UnreadableError for what is not the XML of a dump, or ends too early.
        """
        self.closed = not content
        try:
            self._parser.Parse(content, self.closed)
        except expat.ExpatError as error:
            cut = "truncated archive" if self._fed_bytes else "empty"
            raise UnreadableError(cut if self.closed else "malformed archive", f"not XML: {error}") from None
        self._fed_bytes += len(content)
        if self._fed_bytes - self._parser.CurrentByteIndex > self._limits.max_record_bytes and not self.closed:
            raise UnreadableError("malformed archive", "a tag or comment is longer than max_record_bytes")

    def _refuse(self, *declaration: object) -> None:
        del declaration
        raise UnreadableError("malformed archive", "it declares a document type, which no dump does")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        if len(self._path) > 64:
            raise UnreadableError("malformed archive", "elements nested more than 64 deep")
        path = tuple(self._path)
        if path == ("mediawiki", "page"):
            self._page = {}
        elif path == ("mediawiki", "page", "redirect"):
            self._page["redirect"] = attributes.get("title", "")
        elif path == ("mediawiki", "siteinfo", "namespaces", "namespace"):
            self._key = "namespace" if attributes.get("key") in EMBEDDED_KEYS else ""
        else:
            self._key = FIELDS.get(path, "")
        self._pieces, self._size = [], 0

    def _text(self, content: str) -> None:
        if self._key:
            self._size += len(content.encode("utf-8", "surrogatepass"))
            if self._size <= (self._limits.max_record_bytes if self._key == "text" else FIELD_BYTES):
                self._pieces.append(content)
            else:
                self._pieces = []

    def _end(self, name: str) -> None:
        content = "".join(self._pieces)
        if self._key == "namespace":
            self.embedded |= {content.lower()}
        elif self._key == "base":
            self.base = content
        elif self._key:
            self._page[self._key] = content
            if self._key == "text":
                self._page["size"] = str(self._size)
        self._key, self._pieces = "", []
        self._path.pop()
        if name == "page" and len(self._path) == 1:
            self.count += 1
            self.pages.append({"id": f"page {self.count}", **self._page})


def _page_or_loss(
    page: Mapping[str, str], dump: _Dump, file: SourceFile, limits: Limits, to_text: ToText, compressed: bool
) -> Page | Loss:
    identity, title = f"{file.name}:{page['id']}", page.get("title", "")
    url = f"{dump.base.rpartition('/')[0]}/{quote(title.replace(' ', '_'), safe='/:()')}" if dump.base else ""
    try:
        text = _text_of(page, dump.embedded, limits, to_text, compressed=compressed)
    except UnreadableError as error:
        return Loss(identity, file.source, error.reason, url)
    return Page(text, identity, file.source, "text", url, meta={"title": title, "date": page.get("date", "")})


def _text_of(
    page: Mapping[str, str], embedded: frozenset[str], limits: Limits, to_text: ToText, *, compressed: bool
) -> str:
    """Raises: UnreadableError for a page that is no article."""
    if page.get("ns", "0") != "0":
        raise UnreadableError("not an article", f"namespace {page['ns']}")
    if "redirect" in page:
        raise UnreadableError("redirect", page["redirect"])
    if (model := page.get("model", "wikitext")) != "wikitext":
        raise UnreadableError("not an article", f"content model {model}")
    if (size := int(page.get("size", "0"))) > limits.max_record_bytes:
        raise over(limits.max_record_bytes, compressed=compressed, size=size)
    return checked(to_text(page.get("text", ""), embedded))
