"""WebText's recipe: pages that enough people voted for, each once, Wikipedia left out, joined to what was fetched."""

import json
from pathlib import Path
from typing import Any

import pytest

from corpus_builds import rows_of, site
from gptrilogy.config import merge, parse
from gptrilogy.corpus.build.build import build_corpus
from gptrilogy.corpus.build.config import CorpusConfig
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.recipes.corpus import corpus_recipe
from web_archive import Crawl, passages

POSTS: list[dict[str, Any]] = [
    {"url": site(0), "score": 3, "subreddit": "books"},
    {"url": site(1), "score": 2, "subreddit": "books"},
    {"url": f"http://www.{site(2).removeprefix('https://')}/", "score": 9, "created_utc": 5},
    {"url": f"{site(2)}?utm_campaign=x", "score": 9, "created_utc": 4},
    {"url": "https://en.wikipedia.org/wiki/Emma", "score": 900},
    {"url": site(4), "score": 80, "subreddit": "nasty"},
    {"url": site(5), "score": 80},
    {"url": "no address", "score": 80},
]


@pytest.fixture
def pages(tmp_path: Path) -> list[str]:
    crawl = Crawl()
    for number, text in enumerate(passages(8, seed=4)):
        crawl.add(site(number) if number != 6 else "https://en.wikipedia.org/wiki/Emma", text)
    crawl.add("https://nobody-linked.example/", passages(9, seed=5)[8])
    return crawl.write(tmp_path / "pages", 2)


def webtext(pages: list[str], links: list[str], **changes: Any) -> CorpusConfig:
    base = corpus_recipe("webtext").model_dump(exclude_unset=True)
    asked = {"sets": {"webtext": {"paths": pages, "rules": False}}, "links": links, "keep_dropped": True}
    return parse(CorpusConfig, merge(merge(base, asked), changes))


def write_posts(path: Path, posts: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(post) + "\n" for post in posts) + "no JSON\n", encoding="utf-8")
    return str(path)


def test_linked_pages_with_votes_become_the_corpus(pages: list[str], tmp_path: Path) -> None:
    links = [write_posts(tmp_path / "a.jsonl", POSTS[:4]), write_posts(tmp_path / "b.jsonl", POSTS[4:])]
    config = webtext(pages, links, linking={"blocked_communities": ["r/nasty"]})
    build_corpus(config, tmp_path / "out", engine=None)
    assert {row["url"] for row in rows_of(tmp_path / "out" / "documents")} == {site(0), site(2), site(5)}
    ledger = json.loads((tmp_path / "out" / "ledger.json").read_text(encoding="utf-8"))
    rows = {(row["set"], row["step"]): (row["in"], row["kept"], row["dropped"]) for row in ledger}
    assert rows["links", "read"] == (10, 8, {"not JSON": 2})
    assert rows["links", "links"] == (
        8, 4, {"blocked community": 1, "blocked domain": 1, "not a web URL": 1, "too few votes": 1},
    )  # fmt: skip
    assert rows["links", "url"] == (4, 3, {"same URL": 1})
    assert rows["webtext", "links"] == (9, 3, {"not linked": 6})


def test_a_crawler_gets_each_address_once_and_the_earliest_of_equal_posts(pages: list[str], tmp_path: Path) -> None:
    links = [write_posts(tmp_path / "a.jsonl", POSTS)]
    build_corpus(webtext(pages, links), tmp_path / "out", engine=None)
    urls = (tmp_path / "out" / "links" / "urls.txt").read_text(encoding="ascii").splitlines()
    assert urls == [site(0), f"{site(2)}?utm_campaign=x", site(4), site(5)]


def test_links_that_are_not_there_are_named(pages: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the links in .*nowhere.jsonl"):
        build_corpus(webtext(pages, [str(tmp_path / "nowhere.jsonl")]), tmp_path / "out", engine=None)


def test_without_links_the_recipe_says_what_it_takes(pages: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"links name: give --links FILE, .* --sets.webtext.linked no"):
        webtext(pages, [])
