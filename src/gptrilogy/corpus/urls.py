"""One spelling for each web page: how a link of WebText, a crawled page and a blocklist find each other.

Two spellings are made. `fetchable_url` is what a crawler may be given: the same resource, written as RFC 3986 and
the browsers' URL standard normalise it. `normalise_url` goes on to what is in practice the same page, and is never
fetched, only compared. A redirect is not followed by either: a page is known by the address that its archive
names, so a link that led elsewhere is joined only if the archive names the link's own address too.
"""

import hashlib
import ipaddress
import re
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from gptrilogy.extras import needs

MAX_URL_CHARS = 8_000  # what RFC 9110 §4.1 asks every server to accept; longer ones are no page's address
MAX_HOST_CHARS = 253  # RFC 1035 §2.3.4, without the root's dot
DEFAULT_PORTS = {"http": 80, "https": 443}
# Parameters that tell where a visitor came from and nothing about the page; ours.
TRACKING = frozenset(
    {"fbclid", "gbraid", "gclid", "gclsrc", "dclid", "wbraid", "msclkid", "yclid", "twclid", "ttclid", "igshid"}
    | {"_ga", "_gl", "_hsenc", "_hsmi", "mc_cid", "mc_eid", "mkt_tok", "oly_anon_id", "oly_enc_id", "s_cid", "vero_id"}
    | {"cmpid", "ncid", "ref_src", "ref_url"}
)
TRACKING_PREFIXES = ("utm_",)
PRIVATE_SUFFIXES = frozenset(
    {"internal", "invalid", "local", "localhost", "onion", "test"}
)  # RFC 6761, 6762, 7686; ICANN

_SHAPE = re.compile(r"(https?):/{2,}([^/?#]+)([^?#]*)(\?[^#]*)?(?:#.*)?", re.IGNORECASE | re.DOTALL)
_FRAME_CHARS = len("https://[]:65535?")
_EDGES = "".join(map(chr, range(0x21)))  # control characters and the blank, as browsers strip them
_INNER = str.maketrans("", "", "\t\n\r")  # these are dropped wherever they stand
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")  # RFC 1035, and the underscore that hosts in fact use
_ESCAPE_OR_FOREIGN = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?]")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class _Parts(NamedTuple):
    scheme: str
    host: str
    port: int  # always written out
    path: str
    query: str  # without its question mark


def fetchable_url(url: str) -> str | None:
    """A web address as a crawler may be given it, pure ASCII; None for what is no address of a public web page.

    Scheme and host in lower case, the host in Punycode, no default port, no dot segments, percent escapes only where
    needed and in capitals; user names, passwords and fragments are dropped (`#!` too: no server ever sees it).

    >>> fetchable_url(" HTTP://user:pw@WWW.Bücher.example:80/a/./b/../%7Ec?q=ü#top ")
    'http://www.xn--bcher-kva.example/a/~c?q=%C3%BC'
    >>> fetchable_url("javascript:alert(1)"), fetchable_url("http://localhost/"), fetchable_url("http://[::1]/")
    (None, None, None)
    """
    parts = _parse(url)
    return None if parts is None else _write(parts, is_default=parts.port == DEFAULT_PORTS[parts.scheme])


def normalise_url(url: str) -> str | None:
    """The spelling that all addresses of one page share, ours: by it links are made unique and joined to pages.

    Beyond `fetchable_url`: `http` is `https`, a leading `www.` goes, so do slashes at the end of the path, empty
    and tracking parameters; the others are sorted by name, equal names keeping their order. What a site may tell
    apart stays: capitals in the path, `index.html`, `m.` hosts, other ports.

    >>> normalise_url("http://www.example.com:80/news/?utm_source=x&b=2&a=1#c")
    'https://example.com/news?a=1&b=2'
    """
    parts = _parse(url)
    if parts is None:
        return None
    host = parts.host
    while host.startswith("www.") and "." in host[4:]:
        host = host[4:]
    pairs = [pair for pair in parts.query.split("&") if pair and not _tracks(pair)]
    query = "&".join(sorted(pairs, key=_name_of))
    path = parts.path.rstrip("/") or "/"
    return _write(_Parts("https", host, parts.port, path, query), is_default=parts.port in DEFAULT_PORTS.values())


def url_key(url: str) -> int:
    """64 bits that stand for a normalised address, the same on every machine.

    >>> f"{url_key('https://example.com/'):016x}"
    '14ba2eb79c27555b'
    """
    return int.from_bytes(hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def host_of(url: str) -> str:
    """The host of an address in lower case and Punycode, without its port; empty for what is no web address.

    >>> host_of("http://EN.Wikipedia.org:8080/wiki/Bach")
    'en.wikipedia.org'
    """
    parts = _parse(url)
    return "" if parts is None else parts.host


def domain_of(url: str) -> str:
    """The name that was registered, as the public suffix list has it; the host itself where none was.

    The list's snapshot is the one that the package `tld` carries: nothing is downloaded, and two machines with the
    same `tld` agree. Only its public part counts: all blogs of blogspot.com are one domain, as in the list of
    domains published with GPT-2.
    Raises: MissingExtraError without `tld`.

    >>> domain_of("https://news.bbc.co.uk/1"), domain_of("https://anna.blogspot.com/"), domain_of("not a URL")
    ('bbc.co.uk', 'blogspot.com', '')
    """
    host = host_of(url)
    return _registered(host) if host and _address_of(host) is None else host


@lru_cache(maxsize=4096)  # a crawl comes host by host; looking one up takes 30 microseconds
def _registered(host: str) -> str:
    with needs("corpus", purpose="the registered domain of an address"):
        import tld
    return tld.get_fld(f"https://{host}/", fail_silently=True, search_private=False) or host


def _parse(url: str) -> _Parts | None:
    if len(url) > MAX_URL_CHARS:
        return None
    match = _SHAPE.fullmatch(_with_slashes(url.strip(_EDGES).translate(_INNER)))
    if match is None:
        return None
    scheme, authority, path, query = match[1].lower(), match[2], match[3], match[4] or ""
    address = authority.rpartition("@")[2]
    host, colon, port = address.rpartition(":")
    if not colon or port.endswith("]"):  # no port, or a colon inside an IPv6 address
        host, port = address, ""
    known_host = _public_host(host)
    if known_host is None or not _is_port(port):
        return None
    path, query = _without_dots(_escaped(path)), _escaped(query[1:])
    if len(known_host) + len(path) + len(query) > MAX_URL_CHARS - _FRAME_CHARS:  # escapes made it longer
        return None
    return _Parts(scheme, known_host, int(port or DEFAULT_PORTS[scheme]), path, query)


def _write(parts: _Parts, *, is_default: bool) -> str:
    host = f"[{parts.host}]" if ":" in parts.host else parts.host
    port = "" if is_default else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path}{'?' if parts.query else ''}{parts.query}"


def _with_slashes(url: str) -> str:
    r"""Backward slashes before the query are forward ones, as in every browser.

    >>> _with_slashes("http:\\\\example.com\\a?b\\c")
    'http://example.com/a?b\\c'
    """
    end = re.search("[?#]|$", url)
    assert end is not None
    return url[: end.start()].replace("\\", "/") + url[end.start() :]


def _is_port(port: str) -> bool:
    return not port or (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 1 << 16)


def _public_host(host: str) -> str | None:
    """A host name in ASCII or a public IP address; else None: a crawler must not be sent to its own network."""
    if host.startswith("[") and host.endswith("]"):
        address = _address_of(host[1:-1])
        return str(address) if address is not None and address.version == 6 and _is_public(address) else None
    name = _ascii_host(host)
    if name is None or not _ends_in_number(name):
        return name
    address = _address_of(name)
    return str(address) if address is not None and _is_public(address) else None


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return False  # Python's releases disagree about these, and no page is linked so
    return address.is_global and not address.is_multicast


def _address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return None if "%" in host else ipaddress.ip_address(host)  # % begins the zone of a local address
    except ValueError:
        return None


def _ends_in_number(name: str) -> bool:
    """What a browser would read as an IPv4 address, however it is spelt."""
    last = name.rpartition(".")[2]
    return last.isdigit() or re.fullmatch("0x[0-9a-f]*", last) is not None


def _ascii_host(host: str) -> str | None:
    """Lower case and Punycode, mapped as browsers do (UTS 46); None for what no public name server would be asked."""
    with suppress(UnicodeDecodeError):
        host = unquote(host, errors="strict") if "%" in host else host
    if len(host) > MAX_HOST_CHARS + 1:
        return None
    mapped = host if host.isascii() else _mapped(host)
    name = mapped.lower().removesuffix(".")
    labels = name.split(".")
    well_formed = len(name) <= MAX_HOST_CHARS and len(labels) > 1 and all(map(_LABEL.fullmatch, labels))
    return name if well_formed and labels[-1] not in PRIVATE_SUFFIXES else None


def _mapped(host: str) -> str:
    """A host with letters beyond ASCII in Punycode; empty where it holds a code point that no name may hold."""
    with needs("corpus", purpose="an address with letters beyond ASCII"):
        import idna
    try:
        labels = idna.uts46_remap(host, std3_rules=False, transitional=False).split(".")
        return ".".join(
            label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii") for label in labels
        )
    except UnicodeError:
        return ""


def _escaped(text: str) -> str:
    """Each character of a URL that may stand for itself does, every other as escapes of its UTF-8 bytes.

    >>> _escaped("%7e %41%2f %zz ü")
    '~%20A%2F%20%25zz%20%C3%BC'
    """
    return _ESCAPE_OR_FOREIGN.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    found = match[0]
    if len(found) == 3:
        character = chr(int(found[1:], 16))
        return character if character in _UNRESERVED else found.upper()
    return "".join(f"%{byte:02X}" for byte in found.encode("utf-8", "replace"))


def _without_dots(path: str) -> str:
    """The path with its `.` and `..` followed.

    Source: RFC 3986 §5.2.4.

    >>> _without_dots("/a/./b/../../c/.."), _without_dots(""), _without_dots("/..//a")
    ('/', '/', '//a')
    """
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def _name_of(pair: str) -> str:
    return pair.partition("=")[0]


def _tracks(pair: str) -> bool:
    name = _name_of(pair).lower()
    return name in TRACKING or name.startswith(TRACKING_PREFIXES)


def is_below(host: str, domains: frozenset[str]) -> bool:
    """Whether a host is one of the domains or lies under one.

    >>> [is_below(host, frozenset({"wikipedia.org"})) for host in ("en.m.wikipedia.org", "notwikipedia.org")]
    [True, False]
    """
    labels = host.split(".")
    return any(".".join(labels[place:]) in domains for place in range(len(labels)))
