import bz2
import gzip
from pathlib import Path

import pytest

from gptrilogy.corpus.documents import Loss, Page
from gptrilogy.corpus.readers import Limits, find_files
from gptrilogy.corpus.readers.mediawiki import read_mediawiki

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="de">
<siteinfo><base>https://de.wikipedia.org/wiki/Wikipedia:Hauptseite</base><namespaces>
<namespace key="0" /><namespace key="6">Datei</namespace><namespace key="10">Vorlage</namespace></namespaces></siteinfo>
"""


def page(title: str, text: str, *, ns: int = 0, number: int = 1, inner: str = "", model: str = "wikitext") -> str:
    return (
        f"<page><title>{title}</title><ns>{ns}</ns><id>{number}</id>{inner}<revision><id>77</id>"
        f"<timestamp>2019-10-20T00:00:00Z</timestamp><model>{model}</model>"
        f'<text bytes="9">{text}</text></revision></page>'
    )


def found(tmp_path: Path, content: bytes, name: str = "wiki.xml", **limits: int) -> list[Page | Loss]:
    (tmp_path / name).write_bytes(content)
    (file,) = find_files([str(tmp_path / name)])
    return list(read_mediawiki(file, Limits(**limits), to_text=lambda text, _: text.upper()))


def dump(*pages: str) -> bytes:
    return (HEAD + "".join(pages) + "</mediawiki>").encode()


def names(items: list[Page | Loss]) -> list[str]:
    return ["page" if isinstance(item, Page) else item.reason.name for item in items]


@pytest.mark.parametrize("name", ["wiki.xml", "wiki.xml.gz", "wiki.xml.bz2"])
def test_an_article_is_a_page_with_its_address(tmp_path: Path, name: str) -> None:
    packers = {"gz": gzip.compress, "bz2": bz2.compress, "xml": bytes}
    content = packers[name.rpartition(".")[2]](dump(page("Käse &amp; Wein", "a &lt;b&gt;\r\nline", number=42)))
    (item,) = found(tmp_path, content, name)
    assert isinstance(item, Page)
    assert (item.content, item.id, item.kind) == ("A <B>\nLINE", f"{name}:42", "text")
    assert item.url == "https://de.wikipedia.org/wiki/K%C3%A4se_%26_Wein"
    assert item.meta == {"title": "Käse & Wein", "date": "2019-10-20T00:00:00Z"}


def test_what_is_no_article_is_a_loss(tmp_path: Path) -> None:
    items = found(
        tmp_path,
        dump(
            page("A", "text"),
            page("B", "#REDIRECT [[A]]", inner='<redirect title="A" />'),
            page("Vorlage:C", "text", ns=10),
            page("D", "{}", model="json"),
            page("E", " "),
        ),
    )
    assert names(items) == ["page", "redirect", "not an article", "not an article", "empty"]


def test_the_last_revision_is_the_page(tmp_path: Path) -> None:
    second = "<revision><id>78</id><text>new</text></revision></page>"
    (item,) = found(tmp_path, dump(page("A", "old").removesuffix("</page>") + second))
    assert isinstance(item, Page)
    assert (item.content, item.id) == ("NEW", "wiki.xml:1")


def test_namespaces_of_files_are_told_in_the_wikis_own_language(tmp_path: Path) -> None:
    (tmp_path / "wiki.xml").write_bytes(dump(page("A", "text")))
    (file,) = find_files([str(tmp_path)])
    told = list[frozenset[str]]()
    list(read_mediawiki(file, Limits(), to_text=lambda text, embedded: told.append(embedded) or text))
    assert told == [frozenset({"file", "image", "category", "datei"})]


def test_a_dump_cut_anywhere_gives_its_first_pages_and_one_loss(tmp_path: Path) -> None:
    content = dump(page("A", "one"), page("B", "two", number=2))
    whole = found(tmp_path, content)
    for cut in range(1, len(content), 7):
        *pages, loss = found(tmp_path, content[:cut])
        assert pages == whole[: len(pages)]
        assert names([loss]) == ["truncated archive"], cut


def test_the_pages_before_bad_xml_are_kept(tmp_path: Path) -> None:
    items = found(tmp_path, dump(page("A", "one"), page("B", "<b>two</i>"), page("C", "three")))
    assert names(items) == ["page", "malformed archive"]


def test_a_text_beyond_the_limit_is_a_loss_and_reading_goes_on(tmp_path: Path) -> None:
    items = found(tmp_path, dump(page("A", "é" * 600), page("B", "short")), max_record_bytes=1000)
    assert names(items) == ["larger than the limit", "page"]
    assert isinstance(items[0], Loss)
    assert items[0].reason.detail == "1,200 bytes, at most 1,000"


@pytest.mark.parametrize(
    "bomb",
    [
        '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
    ],
)
def test_declarations_are_refused(tmp_path: Path, bomb: str) -> None:
    (item,) = found(tmp_path, bomb.encode() + dump(page("A", "&c;")))
    assert isinstance(item, Loss)
    assert item.reason.name == "malformed archive"
    assert "declares a document type" in item.reason.detail


@pytest.mark.parametrize("content", [b"", b"text", b"<a>" * 100, b"<mediawiki><!--" + b"-a" * 200_000])
def test_what_is_no_dump_is_one_loss(tmp_path: Path, content: bytes) -> None:
    (item,) = found(tmp_path, content, max_record_bytes=100_000)
    assert isinstance(item, Loss)
