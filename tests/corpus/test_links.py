from datetime import date
from pathlib import Path

import pytest

from gptrilogy.config import parse
from gptrilogy.corpus.documents import Loss
from gptrilogy.corpus.links import (
    Candidate,
    Link,
    LinksConfig,
    read_blocked,
    refuse,
    select,
    with_files_read,
)
from gptrilogy.errors import ConfigError

PAGE = "https://example.com/essay"
LAST_SECOND_OF_2017 = 1_514_764_799
WEBTEXT = LinksConfig(until=date(2017, 12, 31), blocked_communities=("r/Nasty",))


def why_not(link: Link, config: LinksConfig = WEBTEXT) -> tuple[str, str] | None:
    return refuse(link, config, read_blocked(config))


def post(url: str = PAGE, votes: int | None = 3, **fields: object) -> Link:
    return Link(**{"url": url, "votes": votes, "time": LAST_SECOND_OF_2017, **fields})  # pyright: ignore[reportArgumentType]


def candidates(links: list[Link]) -> list[Candidate]:
    kept = list(select(links, LinksConfig(min_votes=None)))
    assert not any(isinstance(candidate, Loss) for candidate in kept)
    return [candidate for candidate in kept if isinstance(candidate, Candidate)]


def test_three_votes_on_the_last_day_are_enough() -> None:
    assert why_not(post()) is None


@pytest.mark.parametrize(
    ("link", "name", "detail"),
    [
        (post(votes=2), "too few votes", "2, at least 3"),
        (post(votes=None), "unknown votes", "at least 3 are asked"),
        (post(time=LAST_SECOND_OF_2017 + 1), "after the date", "2018-01-01, until 2017-12-31"),
        (post(time=None), "unknown date", "nothing after 2017-12-31 is taken"),
        (post(community="NASTY"), "blocked community", "NASTY"),
        (post(over_18=True), "for adults", "the post is marked over 18"),
        (post("javascript:alert('\x1b[31m')"), "not a web URL", r"javascript:alert('\x1b[31m')"),
        (post("http://10.0.0.1/"), "not a web URL", "http://10.0.0.1/"),
        (post("https://de.m.wikipedia.org/wiki/Bach"), "blocked domain", "de.m.wikipedia.org"),
        (post("https://www.wikiwand.com/en/Bach"), "blocked domain", "wikiwand.com"),
        (post("https://np.reddit.com/r/pics"), "blocked domain", "np.reddit.com"),
        (post("https://i.imgur.com/x"), "media host", "i.imgur.com"),
        (post("https://example.com/a/Photo.JPG?size=1"), "media file", ".jpg"),
    ],
)
def test_a_link_is_refused_with_its_reason(link: Link, name: str, detail: str) -> None:
    assert why_not(link) == (name, detail)


@pytest.mark.parametrize(
    "url", ["https://notwikipedia.org/", "https://example.com/wikipedia.org", "https://github.com/a/node.js"]
)
def test_a_name_that_only_looks_blocked_is_not(url: str) -> None:
    assert why_not(post(url)) is None


def test_what_is_not_asked_need_not_be_known() -> None:
    assert why_not(Link(PAGE), LinksConfig(min_votes=None)) is None


def test_blocklists_may_be_files(tmp_path: Path) -> None:
    domains, communities = tmp_path / "domains.txt", tmp_path / "communities.txt"
    domains.write_text("# adverts\n\nADS.example.com  # and below\n")
    communities.write_text("/r/Pics\n")
    config = LinksConfig(blocked_domain_files=(domains,), blocked_community_files=(communities,))
    assert why_not(post("https://x.ads.example.com/"), config) == ("blocked domain", "x.ads.example.com")
    assert why_not(post(community="pics"), config) == ("blocked community", "pics")


def test_a_blocklist_that_is_missing_or_wrong_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the blocklist"):
        read_blocked(LinksConfig(blocked_domain_files=(tmp_path / "none.txt",)))
    with pytest.raises(ConfigError, match=r"blocked domain 'not a host' is no host name: write it as example\.com"):
        read_blocked(LinksConfig(blocked_domains=("not a host",)))


def test_a_config_is_read_from_plain_values() -> None:
    assert parse(LinksConfig, {"until": "2017-12-31", "blocked_communities": ["r/Nasty"]}) == WEBTEXT


def test_every_link_is_selected_or_lost() -> None:
    links = [post(id="1"), post(votes=0, id="2"), post("ftp://x", id="3", source="old")]
    kept, *lost = select(links, WEBTEXT)
    assert isinstance(kept, Candidate)
    assert (kept.page, kept.link.id) == (PAGE, "1")
    assert [(loss.id, loss.source, loss.reason.name, loss.url) for loss in lost if isinstance(loss, Loss)] == [
        ("2", "", "too few votes", PAGE),
        ("3", "old", "not a web URL", "ftp://x"),
    ]


def test_names_in_files_are_written_out(tmp_path: Path) -> None:
    (tmp_path / "domains.txt").write_text("spam.example  # and all below it\n\n", encoding="utf-8")
    (tmp_path / "communities.txt").write_text("r/Nasty\n", encoding="utf-8")
    config = LinksConfig(
        blocked_domains=(),
        blocked_domain_files=(tmp_path / "domains.txt",),
        blocked_community_files=(tmp_path / "communities.txt",),
    )
    read = with_files_read(config)
    assert (read.blocked_domains, read.blocked_communities) == (("spam.example",), ("r/Nasty",))
    assert read_blocked(read) == read_blocked(config)
    assert (read.blocked_domain_files, read.blocked_community_files) == ((), ())
