"""Real web archives from file to corpus: a site crawled twice, pages of Common Crawl, and what attackers would add."""

import gzip
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus_builds import rows_of
from gptrilogy.config import merge, parse
from gptrilogy.corpus.build.build import build_corpus
from gptrilogy.corpus.build.config import CorpusConfig
from gptrilogy.recipes.corpus import corpus_recipe
from web_archive import passages, record

WHEEL = Path(sys.prefix, "wheels", "pywb-2.10.0-py2.py3-none-any.whl")
IANA = "pywb-2.10.0.data/data/sample_archive/warcs/iana.warc.gz"
FOOTER = ("Abuse Information", "About IANA", "Contact IANA", "IDN Repository")  # stand on each of its 16 pages
HOSTILE = ("https://bomb.example/", "https://long.example/", "https://deep.example/")


def iana() -> bytes:
    """The archive of iana.org that pywb's wheel carries; `make test` downloads the wheel."""
    if not WHEEL.is_file():
        reason = f"needs {WHEEL}, which `make .venv/wheels` downloads"
        return pytest.fail(reason) if os.environ.get("GPTRILOGY_REQUIRE_DATA") == "1" else pytest.skip(reason)
    with zipfile.ZipFile(WHEEL) as wheel:
        return wheel.read(IANA)


def hostile_archive() -> bytes:
    """A page of 2 MB that unpacks to 2 GB, a page of 50 MB, and one of 100,000 tags inside each other."""
    bomb = gzip.compress(bytes(1 << 20), 9, mtime=0) * 2048
    long = b"<p>" + b"word " * 10_000_000
    deep = b"<div>" * 100_000 + b"in there"
    records = zip(HOSTILE, (bomb, long, deep), ({"Content-Encoding": "gzip"}, {}, {}), strict=True)
    return b"".join(
        record(content, fields={"WARC-Target-URI": url}, http_fields=coding) for url, content, coding in records
    )


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, shared_data: Callable[[str], Path]) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("sources")
    (folder / "iana.warc.gz").write_bytes(iana())
    (folder / "hostile.warc").write_bytes(hostile_archive())
    books = folder / "books"
    books.mkdir()
    for number, text in enumerate(passages(20)):
        (books / f"{number}.txt").write_text(text, encoding="utf-8")
    crawled = [shared_data(f"web/{name}") for name in ("resiliparse/warcfile.warc.gz", "commoncrawl/whirlwind.warc.gz")]
    archives = [folder / "iana.warc.gz", *crawled, folder / "hostile.warc"]
    return {"common_crawl": list(map(str, archives)), "books1": [str(books)]}


@pytest.fixture(scope="module")
def built(sources: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-3's recipe with WebText's filters, every score kept so that no page is left to chance."""
    sets: dict[str, Any] = {name: {"paths": paths} for name, paths in sources.items()}
    sets["common_crawl"] |= {"language": True, "rules": True}
    changes = {"sets": sets, "keep_dropped": True, "selection": {"rule": "threshold", "threshold": 0.0}}
    config = parse(CorpusConfig, merge(corpus_recipe("gpt3").model_dump(exclude_unset=True), changes))
    out = tmp_path_factory.mktemp("built") / "corpus"
    build_corpus(config, out, engine=None)
    return out


@pytest.fixture(scope="module")
def ledger(built: Path) -> dict[str, dict[str, Any]]:
    """The crawl's rows of the ledger, by their step."""
    rows = json.loads((built / "ledger.json").read_text(encoding="utf-8"))
    return {row["step"]: row for row in rows if row["set"] == "common_crawl"}


@pytest.fixture(scope="module")
def kept(built: Path) -> dict[str, str]:
    return {row["url"]: row["text"] for row in rows_of(built / "documents" / "common_crawl")}


@pytest.fixture(scope="module")
def dropped(built: Path) -> dict[str, tuple[str, str, str]]:
    """Step, reason and detail by URL, of the records that were dropped; of a URL's several the last."""
    rows = rows_of(built / "dropped" / "common_crawl")
    return {row["url"]: (row["step"], row["reason"], row["detail"]) for row in rows}


def test_every_record_is_accounted_for(ledger: dict[str, dict[str, Any]], kept: dict[str, str]) -> None:
    assert list(ledger) == ["read", "extract", "rules", "language", "quality", "url", "exact", "near"]
    arrived = ledger["read"]["in"]
    for row in ledger.values():
        assert row["in"] == arrived
        assert row["in"] == row["kept"] + sum(row["dropped"].values())
        arrived = row["kept"]
    assert len(kept) == arrived


def test_the_counts_are_those_of_the_archives(ledger: dict[str, dict[str, Any]]) -> None:
    of_iana = {"revisit": 123, "not text": 28, "status 302": 4}
    assert ledger["read"]["dropped"] == of_iana | {"inflates past the limit": 1, "larger than the limit": 1}
    assert ledger["read"]["kept"] == 16 + 16 + 1 + 1  # iana.org, Common Crawl twice, the deep page
    assert ledger["extract"]["dropped"] == {"nested too deeply": 1}
    assert ledger["rules"]["dropped"] == {
        "few characters": 5,
        "few words": 2,
        "few letters": 2,
        "word length": 4,
        "repeated lines": 1,
        "repeated 2-grams": 2,
    }
    assert ledger["language"]["dropped"] == {"wrong language": 3}


def test_a_hostile_page_is_one_reason_and_harms_no_other(dropped: dict[str, tuple[str, str, str]]) -> None:
    assert [dropped[url] for url in HOSTILE] == [
        ("read", "inflates past the limit", "more than 16,777,216 bytes"),
        ("read", "larger than the limit", "50,000,047 bytes, at most 16,777,216"),
        ("extract", "nested too deeply", "4,999,950,000 ancestors of elements, at most 2,000,000"),
    ]


def test_pages_in_other_languages_go(dropped: dict[str, tuple[str, str, str]], kept: dict[str, str]) -> None:
    languages = {url: found[2].split(",")[0] for url, found in dropped.items() if found[1] == "wrong language"}
    assert languages == {
        "https://an.wikipedia.org/wiki/Escopete": "gl",  # it is Aragonese, which the detector does not know
        "http://01spb.ru/company/": "ru",
        "http://0900-hovenier.nl/gelderland/oosterbeek/": "nl",
    }
    assert [url for url in kept if "iana.org" not in url] == ["http://037426.cn/"]  # an English page of a Chinese shop


def test_thirteen_pages_of_the_site_stay_with_their_sentences(kept: dict[str, str]) -> None:
    site = {url.partition("iana.org")[2]: text for url, text in kept.items() if "iana.org" in url}
    assert len(site) == 13
    assert site["/domains/reserved"].startswith("IANA-managed Reserved Domains\n\nCertain domains are set aside")
    assert "The Time Zone Database (often called tz or zoneinfo) contains code and data that" in site["/time-zones"]
    assert site["/domains/root"].endswith("operator of the Key Signing Key for the DNS Root Zone.")
    assert "Zimbabwe" in site["/domains/root/db"]  # the last row of a table of 500


def test_the_sites_menu_and_footer_stay_out(kept: dict[str, str], sources: dict[str, list[str]]) -> None:
    archive = gzip.decompress(Path(sources["common_crawl"][0]).read_bytes())
    for words in FOOTER:
        assert archive.count(words.encode()) >= 16
        assert not [url for url, text in kept.items() if words in text]


def test_scores_of_what_was_kept_are_counted(built: Path, ledger: dict[str, dict[str, Any]]) -> None:
    scores = json.loads((built / "statistics.json").read_text(encoding="utf-8"))["sets"]["common_crawl"]["scores"]
    assert sum(scores["kept"]) == ledger["quality"]["kept"] == 14
    assert sum(scores["dropped"]) == 0
