import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gptrilogy.corpus.urls import domain_of, fetchable_url, host_of, is_below, normalise_url, url_key

PIECES = [
    "http",
    "https",
    "://",
    ":",
    "/",
    "\\",
    "..",
    ".",
    "?",
    "#",
    "&",
    "=",
    "@",
    "%",
    "%2e",
    "%41",
    "%zz",
    "[",
    "]",
]
PIECES += [
    "www.",
    "example.com",
    "ü",
    "。",
    "ß",
    "[::1]",
    "[2606:4700::1111]",
    ":443",
    ":80",
    "utm_a=1",
    "a",
    " ",
    "\t",
]
urls = st.one_of(
    st.text(),
    st.lists(st.sampled_from(PIECES)).map("".join),
    st.lists(st.sampled_from(PIECES)).map(lambda pieces: "http://www.example.com" + "".join(pieces)),
    st.tuples(st.text(min_size=1), st.text()).map(lambda parts: f"https://{parts[0]}.example.org/{parts[1]}"),
)

SAME_PAGE = {
    "scheme, host and default port": ["http://example.com", "https://EXAMPLE.com:443/", "http://example.com.:80"],
    "www": ["http://www.example.com/a", "http://www.www.example.com/a", "https://example.com/a"],
    "dot segments": ["https://example.com/a/../b/./c", "https://example.com/b/c", "https://example.com/x/%2e%2E/b/c"],
    "fragments": ["https://example.com/a#b", "https://example.com/a#!/b", "https://example.com/a"],
    "trailing slashes": ["https://example.com/a/", "https://example.com/a", "https://example.com/a//"],
    "tracking": ["https://example.com/a?utm_source=x&fbclid=1", "https://example.com/a?", "https://example.com/a"],
    "order of parameters": ["https://example.com/?b=1&a=2", "https://example.com/?a=2&&b=1"],
    "escapes": ["https://example.com/%7Ea%2fb%C3%BC", "https://example.com/~a%2Fbü"],
    "letters beyond ASCII": [
        "http://straße.example.com/",
        "http://xn--strae-oqa.example.com/",
        "http://STRAßE。example.com",
    ],
    "user names": ["https://user:secret@example.com/", "https://a@b@example.com/", "https://example.com/"],
    "slashes and blanks": [" http:\\\\example.com\\a\n", "http:///example.com/a", "ht\ntp://example.com/a"],
    "IPv6": ["http://[2606:4700:0000::1111]:80/", "https://[2606:4700::1111]"],
}
DIFFERENT_PAGES = [
    ("https://example.com/A", "https://example.com/a"),
    ("https://example.com/a?x=1&x=2", "https://example.com/a?x=2&x=1"),
    ("https://example.com/a?x", "https://example.com/a?x="),
    ("https://example.com/a%2Fb", "https://example.com/a/b"),
    ("https://example.com:8080/", "https://example.com/"),
    ("https://m.example.com/", "https://example.com/"),
    ("https://www.com/", "https://com.com/"),
    ("https://example.com/a?ref=1", "https://example.com/a"),
]
NO_PAGE = [
    *("", "example.com/a", "//example.com/a", "ftp://example.com/", "mailto:a@example.com", "javascript:alert(1)"),
    *("data:text/html,x", "http://", "http:///", "http://?q", "http://com/", "http://localhost/", "http://a..b/"),
    *("http://printer.local/", "http://example.com:99999/", "http://example.com:0/", "http://example.com:8o/"),
    *("http://127.0.0.1/", "http://10.1.2.3/", "http://169.254.169.254/latest/meta-data", "http://2130706433/"),
    *("http://0x7f.1/", "http://1.2.3/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[fe80::1%25eth0]/"),
    *("http://[8.8.8.8]/", "http://[zz]/", "http://224.0.0.1/", "http://exa mple.com/", "http://example.com\x00.org/"),
    *("http://-a.example.com/", f"http://{'a' * 64}.com/", f"http://{'a.' * 130}com/", "http://％００.example.com/"),
    *(
        "http://a%2Fb.com/",
        "http://a%ff.com/",
        "http://example.com/" + "ü" * 3_000,
        "http://example.com/" + "a" * 100_000,
    ),
]


@pytest.mark.parametrize("spellings", SAME_PAGE.values(), ids=SAME_PAGE)
def test_spellings_of_one_page_are_one(spellings: list[str]) -> None:
    assert len({normalise_url(url) for url in spellings}) == 1
    assert normalise_url(spellings[0]) is not None


@pytest.mark.parametrize(("one", "other"), DIFFERENT_PAGES)
def test_what_a_site_may_tell_apart_stays_apart(one: str, other: str) -> None:
    assert None not in {normalise_url(one), normalise_url(other)}
    assert normalise_url(one) != normalise_url(other)


@pytest.mark.parametrize("url", NO_PAGE, ids=lambda url: url[:40].encode("unicode_escape").decode())
def test_what_is_no_public_web_page_has_no_address(url: str) -> None:
    assert normalise_url(url) is fetchable_url(url) is None
    assert host_of(url) == domain_of(url) == ""


@given(urls)
@example("http://example.com/%%34%31")
@example("http://h.com:443/")
@example("http://www.www.www.com/")
@example("http://a.com/\ud800?\udfff")
def test_normalising_twice_changes_nothing(url: str) -> None:
    for spell in (normalise_url, fetchable_url):
        once = spell(url)
        if once is not None:
            assert spell(once) == once


@given(urls)
def test_a_normalised_address_is_printable_ascii_and_the_page_of_its_fetchable_form(url: str) -> None:
    fetchable = fetchable_url(url)
    if fetchable is None:
        assert normalise_url(url) is None
        return
    assert re.fullmatch(r"https?://[!-~]+", fetchable)
    assert normalise_url(fetchable) == normalise_url(url)
    assert "\\" not in fetchable
    assert '"' not in fetchable


@given(urls)
def test_the_domain_is_an_end_of_the_host(url: str) -> None:
    assert is_below(host_of(url), frozenset({domain_of(url)}))


def test_an_address_near_the_limit_has_both_spellings_or_none() -> None:
    urls = [f"http://www.example.com:8080/?utm_a=1&{'b' * length}" for length in range(7_900, 8_002)]
    pages = [normalise_url(url) for url in urls]
    assert [page is None for page in pages] == [fetchable_url(url) is None for url in urls]
    assert 0 < pages.count(None) < len(pages)
    assert all(page is None or normalise_url(page) == page for page in pages)


def test_a_crawler_is_given_the_address_as_it_is_served() -> None:
    assert fetchable_url("http://www.example.com/a/?b=1&a=2&utm_source=x") == (
        "http://www.example.com/a/?b=1&a=2&utm_source=x"
    )


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://en.m.wikipedia.org/wiki/Bach", "wikipedia.org"),
        ("https://www.city.kobe.jp/", "city.kobe.jp"),
        ("https://gptrilogy.github.io/", "github.io"),
        ("https://8.8.8.8/", "8.8.8.8"),
        ("https://[2606:4700::1111]/", "2606:4700::1111"),
        ("https://intranet.nosuchsuffix/", "intranet.nosuchsuffix"),
    ],
)
def test_a_registered_domain_is_found_without_a_network(url: str, domain: str) -> None:
    assert domain_of(url) == domain


def test_keys_are_64_bits_and_known() -> None:
    assert url_key("https://example.com/") == 0x14BA2EB79C27555B
    assert 0 <= url_key("\ud800") < 1 << 64
