"""The links of WebText: chosen file by file, made unique slice by slice, looked up while pages are read."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.build.ledger import Ledger
from gptrilogy.corpus.build.parts import Writing, read_slice
from gptrilogy.corpus.build.plan import Build
from gptrilogy.corpus.dedup.buckets import equal_to_last
from gptrilogy.corpus.documents import Loss
from gptrilogy.corpus.link_lists import read_links
from gptrilogy.corpus.links import Link, select
from gptrilogy.corpus.urls import fetchable_url, normalise_url, url_key

LINKS = "links"  # the set under which links stand in the ledger
ROW_BYTES = 100  # of a links file, about: into how many slices to divide follows from it
LINK = np.dtype([("key", "<u8"), ("place", "<u8"), ("votes", "<i8"), ("time", "<f8")])


def n_link_slices(build: Build) -> int:
    return max(1, sum(file.size_bytes for file in build.plan.links) // (ROW_BYTES << 20))


def choose_links(build: Build, number: int, writing: Writing) -> None:
    """Read one file of links; keep those that enough people voted for and nothing forbids."""
    ledger = Ledger(LINKS)
    rows: list[tuple[int, int, int, float]] = []
    links = _counted(read_links(Path(build.plan.links[number].path)), ledger)
    with (writing.folder / "links.txt").open("w", encoding="ascii") as file:
        for judged in select(links, build.config.linking):
            if isinstance(judged, Loss):
                ledger.dropped("links", judged.reason.name)
                continue
            votes, posted = judged.link.votes, judged.link.time
            rows.append((judged.key, number << 32 | len(rows), votes or 0, np.inf if posted is None else posted))
            file.write(f"{fetchable_url(judged.link.url)}\n")
    ledger.kept("links", len(rows))
    table, slices = np.array(rows, LINK), n_link_slices(build)
    writing.sliced("links", table, (table["key"] % np.uint64(slices)).astype(np.int64), slices)
    writing.said["ledger"] = ledger.rows()


def _counted(links: Iterable[Link | Loss], ledger: Ledger) -> Iterator[Link]:
    for link in links:
        if isinstance(link, Loss):
            ledger.dropped("read", link.reason.name)
        else:
            ledger.kept("read")
            yield link


def unique_links(build: Build, number: int, writing: Writing) -> None:
    """The keys of one slice in order, each once: the link with most votes stays, then the earliest."""
    parts = build.parts("links", len(build.plan.links))
    rows = np.concatenate([read_slice(part, "links", number, LINK) for part in parts])
    rows = rows[np.lexsort((rows["place"], rows["time"], -rows["votes"], rows["key"]))]
    first = ~equal_to_last(rows["key"])
    ledger = Ledger(LINKS)
    ledger.kept("url", int(first.sum()))
    if len(rows) > first.sum():
        ledger.dropped("url", "same URL", int(len(rows) - first.sum()))
    writing.array("keys", rows["key"][first])
    writing.array("places", np.sort(rows["place"][first]))
    writing.said["ledger"] = ledger.rows()


class LinkedUrls:
    """Whether a URL is among the links chosen."""

    def __init__(self, build: Build) -> None:
        self._keys = [part.mapped("keys") for part in build.parts("unique-links", n_link_slices(build))]

    def __contains__(self, url: str) -> bool:
        normal = normalise_url(url) if url else None
        if normal is None:
            return False
        key = np.uint64(url_key(normal))
        keys = self._keys[int(key % np.uint64(len(self._keys)))]
        place = int(np.searchsorted(keys, key))
        return place < len(keys) and bool(keys[place] == key)


def linked_urls(build: Build) -> Iterator[str]:
    """The URLs chosen, each once, in the order of the files: what a crawler is to fetch."""
    slices = list(build.parts("unique-links", n_link_slices(build)))
    for part in build.parts("links", len(build.plan.links)):
        chosen = np.concatenate([_of_file(unique.array("places"), part.number) for unique in slices])
        lines = set((chosen & np.uint64(0xFFFFFFFF)).tolist())
        with part.verified("links.txt").open(encoding="ascii") as file:
            yield from (line.rstrip("\n") for number, line in enumerate(file) if number in lines)


def _of_file(places: NDArray[np.uint64], number: int) -> NDArray[np.uint64]:
    begin, end = np.searchsorted(places, np.array([number << 32, (number + 1) << 32], np.uint64))
    return places[begin:end]
