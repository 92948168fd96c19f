"""WebText's choice of pages: links that people posted, found worth it by others, less what is no page or not wanted.

A row of a list becomes a `Link` or a `Loss`, and a link that passes `refuse` a `Candidate`. All of it streams, so a
list may have any length.
Source: GPT2 §2.1 and its model card.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from gptrilogy.config import Config
from gptrilogy.corpus.documents import Loss, Reason
from gptrilogy.corpus.urls import host_of, is_below, normalise_url, url_key
from gptrilogy.errors import ConfigError

# Wikipedia's own names, and hosts that show its articles under another name. Which ones GPT-2 removed is not said.
WIKIPEDIA = (
    *("wikipedia.org", "wikipedia.com", "enwp.org", "w.wiki"),
    *("wikiwand.com", "wikizero.com", "wikimili.com", "wikivisually.com", "wiki2.org", "dbpedia.org"),
    *("en-academic.com", "encyclopedia.thefreedictionary.com", "infogalactic.com", "everipedia.org"),
)
REDDIT = ("reddit.com", "redd.it", "redditmedia.com", "redditstatic.com", "reddituploads.com")
MEDIA_HOSTS = (
    *("imgur.com", "gfycat.com", "giphy.com", "tinypic.com", "photobucket.com", "flic.kr", "prnt.sc", "gyazo.com"),
    *("youtube.com", "youtu.be", "vimeo.com", "dailymotion.com", "liveleak.com", "streamable.com", "vid.me"),
    *("twitch.tv", "vine.co", "soundcloud.com", "open.spotify.com", "bandcamp.com"),
)
MEDIA_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".gif", ".gifv", ".webp", ".bmp", ".svg", ".ico", ".tif", ".tiff", ".psd"),
    *(".mp4", ".m4v", ".webm", ".avi", ".mov", ".mkv", ".flv", ".wmv", ".swf", ".mp3", ".m4a", ".ogg", ".wav", ".flac"),
    *(".pdf", ".ps", ".djvu", ".epub", ".mobi", ".doc", ".docx", ".ppt", ".pptx", ".xls", ".xlsx", ".odt"),
    *(".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".tar", ".iso", ".dmg", ".exe", ".msi", ".apk", ".jar"),
    *(".deb", ".rpm", ".bin", ".torrent"),
)


class LinksConfig(Config):
    """Which links are followed."""

    min_votes: int | None = 3  # karma; GPT2 §2.1: "at least 3"; None: do not ask
    until: date | None = None  # the last day taken, UTC; WebText ends with 2017-12-31 (GPT2 §2.1)
    blocked_domains: tuple[str, ...] = WIKIPEDIA + REDDIT  # GPT2 §2.1 (Wikipedia), model card (outbound); list ours
    blocked_domain_files: tuple[Path, ...] = ()  # one domain a line, # begins a comment
    blocked_communities: tuple[str, ...] = ()  # GPT-2's list (model card) was not published
    blocked_community_files: tuple[Path, ...] = ()  # one name a line, as "pics" or "r/pics"
    over_18: bool = False  # keep posts marked as for adults; ours, in the stead of that list
    media_domains: tuple[str, ...] = MEDIA_HOSTS  # hosts of pictures, films and sound; ours
    media_suffixes: tuple[str, ...] = MEDIA_SUFFIXES  # files that are no page; ours


@dataclass(frozen=True, slots=True)
class Link:
    """One address as somebody posted it; what a list does not say is None or empty."""

    url: str
    votes: int | None = None  # karma, as of the list
    community: str = ""  # the subreddit
    time: int | None = None  # seconds since 1970, UTC
    over_18: bool = False
    id: str = ""  # "links.jsonl:17"
    source: str = ""


class Candidate(NamedTuple):
    """A link worth following and the page it leads to."""

    key: int  # url_key(page)
    page: str  # normalise_url(link.url)
    link: Link


class Blocked(NamedTuple):
    """The lists of a config with their files read, ready to be asked."""

    domains: frozenset[str]
    communities: frozenset[str]
    media_domains: frozenset[str]


def read_blocked(config: LinksConfig) -> Blocked:
    """All that is blocked, from the config and the files it names.

    Raises: ConfigError for a file that cannot be read and for what is no domain.
    """
    named = with_files_read(config)
    return Blocked(
        frozenset(map(_domain, named.blocked_domains)),
        frozenset(map(_community, named.blocked_communities)),
        frozenset(map(_domain, named.media_domains)),
    )


def refuse(link: Link, config: LinksConfig, blocked: Blocked) -> Reason | None:
    """Why a link is not followed, if it is not; what is cheapest to see is looked at first.

    >>> rules = LinksConfig()
    >>> refuse(Link("https://en.wikipedia.org/wiki/Bach", votes=90), rules, read_blocked(rules))
    Reason(name='blocked domain', detail='en.wikipedia.org')
    """
    judged = _judge(link, config, blocked)
    return judged if isinstance(judged, Reason) else None


def select(links: Iterable[Link | Loss], config: LinksConfig) -> Iterator[Candidate | Loss]:
    """Each link as a candidate or with the reason why not; losses pass through.

    Raises: ConfigError, as `read_blocked`.
    """
    blocked = read_blocked(config)
    for link in links:
        if isinstance(link, Loss):
            yield link
            continue
        judged = _judge(link, config, blocked)
        if isinstance(judged, Reason):
            yield Loss(link.id, link.source, judged, link.url)
        else:
            yield Candidate(url_key(judged), judged, link)


def with_files_read(config: LinksConfig) -> LinksConfig:
    """The same rules with the names that its files list written out, so that no later change of a file matters.

    Raises: ConfigError for a file that cannot be read.
    """
    return config.replace(
        blocked_domains=(*config.blocked_domains, *_names_in(config.blocked_domain_files)),
        blocked_communities=(*config.blocked_communities, *_names_in(config.blocked_community_files)),
        blocked_domain_files=(),
        blocked_community_files=(),
    )


def _judge(link: Link, config: LinksConfig, blocked: Blocked) -> str | Reason:
    """The page a link leads to, or why it is not followed."""
    reason = _votes_reason(link, config) or _time_reason(link, config) or _community_reason(link, config, blocked)
    return _page_of(link, config, blocked) if reason is None else reason


def _page_of(link: Link, config: LinksConfig, blocked: Blocked) -> str | Reason:
    page = normalise_url(link.url)
    if page is None:
        return Reason("not a web URL", ascii(link.url[:200])[1:-1])
    host = host_of(page)
    if is_below(host, blocked.domains):
        return Reason("blocked domain", host)
    if is_below(host, blocked.media_domains):
        return Reason("media host", host)
    suffix = PurePosixPath(urlsplit(page).path).suffix.lower()
    return Reason("media file", suffix) if suffix in config.media_suffixes else page


def _community_reason(link: Link, config: LinksConfig, blocked: Blocked) -> Reason | None:
    if _community(link.community) in blocked.communities:
        return Reason("blocked community", link.community)
    return Reason("for adults", "the post is marked over 18") if link.over_18 and not config.over_18 else None


def _votes_reason(link: Link, config: LinksConfig) -> Reason | None:
    if config.min_votes is None:
        return None
    if link.votes is None:
        return Reason("unknown votes", f"at least {config.min_votes} are asked")
    few = link.votes < config.min_votes
    return Reason("too few votes", f"{link.votes}, at least {config.min_votes}") if few else None


def _time_reason(link: Link, config: LinksConfig) -> Reason | None:
    if config.until is None:
        return None
    if link.time is None:
        return Reason("unknown date", f"nothing after {config.until} is taken")
    end = datetime.combine(config.until, time(), UTC) + timedelta(days=1)
    posted = f"{datetime.fromtimestamp(link.time, UTC):%Y-%m-%d}"
    return Reason("after the date", f"{posted}, until {config.until}") if link.time >= end.timestamp() else None


def _community(name: str) -> str:
    """A community's bare name.

    >>> _community("/r/AskHistorians/ ")
    'askhistorians'
    """
    return name.strip().strip("/").casefold().removeprefix("r/")


def _domain(name: str) -> str:
    host = host_of(f"http://{name.strip()}/")
    if not host:
        raise ConfigError(f"blocked domain {name!r} is no host name: write it as example.com")
    return host


def _names_in(files: Iterable[Path]) -> Iterator[str]:
    for path in files:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"cannot read the blocklist {path} ({error}): give a UTF-8 file, one name a line"
            ) from None
        yield from filter(None, (line.partition("#")[0].strip() for line in lines))
