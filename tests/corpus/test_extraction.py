"""Any bytes become text or one reason, whatever encoding was declared, in time that grows with their number."""

import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.documents import Page, Reason
from gptrilogy.corpus.extraction import ExtractionConfig, ancestors, clean, decode, extract

CONFIG = ExtractionConfig()
FRENCH = (
    "L’été dernier, Zoé a mangé des crêpes brûlées près du château. Ça n'a pas d'importance, c'était très agréable."
)
RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему."
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で泣いていた。"
CHINESE = "北冥有鱼，其名为鲲。鲲之大，不知其几千里也。化而为鸟，其名为鹏。鹏之背，不知其几千里也。"
KOREAN = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다."
IN_BYTES = [
    (FRENCH, "cp1252"), (FRENCH.replace("’", "'"), "latin-1"), (RUSSIAN, "koi8-r"), (RUSSIAN, "cp1251"),
    (JAPANESE, "shift_jis"), (JAPANESE, "euc_jp"), (JAPANESE, "iso2022_jp"), (CHINESE, "gbk"), (CHINESE, "utf-8"),
    (RUSSIAN, "utf-16"), (FRENCH, "utf-8-sig"), (JAPANESE, "utf-32"), (KOREAN, "cp949"),
]  # fmt: skip


def page(content: bytes | str, kind: Literal["html", "text"] = "html", charset: str = "") -> Page:
    return Page(content, id="crawl/a.warc:0", source="crawl", kind=kind, charset=charset)


def html(text: str, charset: str = "") -> str:
    meta = f'<meta charset="{charset}">' if charset else ""
    return f"<!doctype html><html><head>{meta}<title>x</title></head><body><p>{text}</p></body></html>"


@pytest.mark.parametrize(("text", "encoding"), IN_BYTES)
@pytest.mark.parametrize("declared", ["", "utf-8", "iso-8859-1", "no-such-charset"])
def test_text_is_read_although_nothing_or_another_encoding_is_declared(text: str, encoding: str, declared: str) -> None:
    content = html(text * 3, declared).encode(encoding)
    assert extract(page(content, charset=declared), CONFIG) == text * 3


@pytest.mark.parametrize(("text", "encoding"), IN_BYTES)
def test_the_declared_encoding_is_believed_where_it_fits(text: str, encoding: str) -> None:
    name = {"cp949": "euc-kr", "utf-8-sig": "utf-8", "iso2022_jp": "iso-2022-jp"}.get(encoding, encoding)
    short = text[:15].strip()
    assert decode(short.encode(encoding), name, html=False) == short
    assert extract(page(html(short, name).encode(encoding)), CONFIG) == short


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_shows_itself(encoding: str) -> None:
    assert extract(page(html(RUSSIAN).encode(encoding), charset="utf-8"), CONFIG) == RUSSIAN


def test_utf_8_with_a_broken_byte_stays_utf_8() -> None:
    content = html(FRENCH * 3).encode() + b"\xc3"
    assert FRENCH in str(extract(page(content, charset="iso-8859-1"), CONFIG))


def test_the_servers_word_comes_before_the_pages() -> None:
    content = html("Łódź i Kraków", "iso-8859-1").encode("iso-8859-2")
    assert extract(page(content, charset="iso-8859-2"), CONFIG) == "Łódź i Kraków"


@given(st.binary(max_size=400), st.sampled_from(["", "utf-8", "shift_jis", "utf-16", "hex", "\0"]))
def test_any_bytes_are_decoded_to_text_without_half_characters(content: bytes, charset: str) -> None:
    for is_html in (True, False):
        clean(decode(content, charset, html=is_html)).encode("utf-8")


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=200))
def test_clean_text_has_no_control_characters_and_stays_as_it_is(text: str) -> None:
    cleaned = clean(text)
    assert {unicodedata.category(c) for c in cleaned if c not in "\t\n"}.isdisjoint({"Cc", "Cs"})
    assert "\u2028" not in cleaned
    assert clean(cleaned) == cleaned


def test_an_escaped_control_character_is_dropped_as_well() -> None:
    assert extract(page("<p>one&#1;&#0;two &#xD800; three</p>"), CONFIG) == "one�two � three"


def test_plain_text_keeps_its_lines_and_its_brackets() -> None:
    assert extract(page(b"if a < b:\r\n    <p>\r\nend\0", "text"), CONFIG) == "if a < b:\n    <p>\nend"


def test_only_the_main_content_is_kept() -> None:
    menu = "".join(f'<li><a href="/{n}">Section {n}</a></li>' for n in range(20))
    story = "<p>It rained for a week and the river rose to the second step.</p>" * 5
    found = str(extract(page(f"<body><nav><ul>{menu}</ul></nav><article>{story}</article></body>"), CONFIG))
    assert found.count("second step") == 5
    assert "Section" not in found


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "no text"),
        (b"<html><body><script>var x = 1</script></body></html>", "no text"),
        (b"<p", "no text"),
        (bytes(range(1, 32)) * 50, "not text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "not text"),
        (b"<p>" + b"word " * 1_100_000, "too large"),
        ("<div>" * 100_000 + "text", "nested too deeply"),
        ("<p " + " ".join(f"a{n}=1" for n in range(5_000)) + ">text", "too many attributes"),
    ],
)
def test_a_page_without_text_has_one_reason(content: bytes | str, name: str) -> None:
    found = extract(page(content), CONFIG)
    assert isinstance(found, Reason)
    assert found.name == name
    assert found.detail


def test_a_long_attribute_is_no_obstacle() -> None:
    assert extract(page(f'<p title="{"x = 1, " * 400_000}">text</p>'), CONFIG) == "text"


def test_ancestors_are_counted_about_as_a_parser_would() -> None:
    assert ancestors("<div>" * 10) == 45
    assert ancestors("<DIV></div>" * 10) == 0
    assert ancestors("<div>" + "<p>one" * 10) == 10
    assert ancestors("</div>" * 10 + "<b><i>") == 1


ABUSE = r"""
import resource, sys, time
from gptrilogy.corpus.documents import Page
from gptrilogy.corpus.extraction import ExtractionConfig, extract

resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
n = int(sys.argv[1])
pages = {
    "divs": "<div>" * n, "spans": "<span>" * n, "bold": "<b>" * n, "misnested": "<p><a><b><i>" * (n // 4),
    "tables": "<table><tr><td>" * (n // 3), "svg": "<svg>" + "<g>" * n, "lists": "<ul><li>" * n,
    "comment": "<!--" + "-" * n, "open quote": '<p title="' + "x" * n, "ampersands": "&" * n, "brackets": "<" * n,
    "attributes": "<p " + "a=1 " * n, "quotes": "<p " + "a=' b=\" " * n, "breaks": "<br>" * n,
    "paragraphs": "<p>word" * n, "rows": "<table>" + "<tr><td>a" * n, "zeros": "\0" * n, "metas": "<meta " * n,
}
for name, content in pages.items():
    for page in (content, content.encode()):
        start = time.process_time()
        found = extract(Page(page, id=name, source="abuse", kind="html"), ExtractionConfig())
        seconds = time.process_time() - start
        print(name, f"{seconds:.2f}", len(page), str(found)[:60].replace("\n", " "))
        if seconds > 4 + 4 * len(page) / 1e6:
            sys.exit(f"{name} took {seconds:.1f} s")
"""


def test_pages_made_to_hang_a_parser_do_not() -> None:
    """In a process of its own, which a crash would end; four times the seconds that a free machine takes."""
    done = subprocess.run(
        [sys.executable, "-c", ABUSE, "50000"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 36


def test_a_real_capture_gives_what_its_reader_sees(shared_data: Callable[[str], Path]) -> None:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with shared_data("web/commoncrawl/whirlwind.warc.gz").open("rb") as file:
        record = next(iter(ArchiveIterator(file, record_types=WarcRecordType.response)))
        found = extract(page(record.reader.read(), charset=record.http_charset or ""), CONFIG)
    assert isinstance(found, str)
    assert "Escopete" in found
    assert "�" not in found
