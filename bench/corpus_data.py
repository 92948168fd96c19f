"""`python -m bench.corpus_data --out FOLDER`: a web crawl of known truth, made of the pages in Debian's documentation.

The packages come by `apt-get download` and are opened by `dpkg-deb`, so a Debian system is needed. In FOLDER then
`1x.txt`, `4x.txt` and `16x.txt` list nested sets of WARC files, `truth.jsonl` says what was planted in them,
`manifest.json` counts them and names the exact packages, and `aside/` holds two files that a reader must survive.
"""

import hashlib
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.corpus_packages import PACKAGES, download, split_name, unpack
from bench.corpus_pages import (
    HOSTILE,
    NOT_FOUND,
    break_encoding,
    change_words,
    declared_charset,
    make_url,
    warc_info,
    warc_record,
)
from gptrilogy.errors import DataError
from gptrilogy.files import read_json, replacing, sha256_file, write_atomic, write_json

LEVELS = {"1x": 2, "4x": 8, "16x": 32}  # files of each nested set
# shares of the pages; the last two are records of their own that follow no page
COPIES, CHANGED, BROKEN, MISSING, IMAGES = 0.02, 0.03, 0.002, 0.01, 0.02

OLDER = {  # package -> the one of which it is another edition
    "libboost1.81-doc": "libboost1.74-doc",
    "libstdc++-12-doc": "libstdc++-11-doc",
    "linux-doc-6.12": "linux-doc-6.1",
    "installation-guide-i386": "installation-guide-amd64",
}

app = App(name="bench.corpus_data", help_format="plaintext", version_flags=[])


@dataclass(frozen=True, slots=True)
class Page:
    """A file of a package, kept in the package's store."""

    package: str
    path: str
    store: Path
    offset: int
    size_bytes: int
    digest: str

    @property
    def url(self) -> str:
        return make_url(self.package, self.path)

    @property
    def key(self) -> str:
        """The same for one page of two editions: what follows `usr/share/doc/SOMETHING`."""
        return f"{OLDER.get(self.package, self.package)} {'/'.join(PurePosixPath(self.path).parts[4:]) or self.path}"

    def read(self) -> bytes:
        with self.store.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size_bytes)


@dataclass(frozen=True, slots=True)
class Planned:
    """A record to be written: a page as it is, or what is made of it."""

    kind: str  # page, copy, changed, broken, missing or image
    page: Page

    @property
    def url(self) -> str:
        host = {"copy": "mirror-", "changed": "fork-", "missing": "gone-"}.get(self.kind, "") + self.page.package
        return make_url(host, self.page.path)

    @property
    def html_bytes(self) -> int:
        return 0 if self.kind in {"missing", "image"} else self.page.size_bytes


@app.default
def corpus_data(
    *,
    out: Path,
    packages: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    file_mb: Annotated[float, Parameter(validator=Number(gt=0))] = 50,
    package_mb: Annotated[float, Parameter(validator=Number(gt=0))] = 40,
) -> None:
    """Write a crawl of known truth as WARC files.

    Args:
        out: the folder; what it holds of an earlier run's downloads is used again.
        packages: as `apt-get download` takes them, NAME or NAME=VERSION; the ones of a crawl are in its manifest.json.
        file_mb: HTML in each WARC file; the sizes 1x, 4x and 16x are 2, 8 and 32 files.
        package_mb: at most so much HTML of each package, so that no large one decides what the crawl is like.
    """
    debs = download(packages or PACKAGES.read_text(encoding="utf-8").split(), out / "debs")
    stores = [unpack(deb, out / "pages" / deb.stem) for deb in debs]
    pages, images = select(stores, round(package_mb * 1e6))
    html_mb = sum(page.size_bytes for page in pages) / 1e6
    print(f"{len(debs)} packages, {len(pages):,} pages of {html_mb:,.0f} MB, {len(images):,} images", flush=True)
    sources = [{"package": "=".join(split_name(deb)), "sha256": sha256_file(deb)} for deb in debs]
    write_crawl(out, arrange(pages, images, round(file_mb * 1e6)), sources)


def write_crawl(out: Path, levels: Iterable[tuple[str, Sequence[Sequence[Planned]]]], sources: object) -> None:
    """Write each size's files, then its list, and with it what is true of all so far."""
    names: list[str] = []
    truth: list[dict[str, Any]] = []
    sizes: dict[str, Any] = {}
    counts = Counter[str]()
    for level, parts in levels:
        for part in parts:
            name = f"warc/part-{len(names):05d}.warc.gz"
            told = write_part(out / name, part)
            if not names:
                truth += write_aside(out / "aside", out / name, [item["offset"] for item in told])
            names.append(name)
            counts.update(item["kind"] for item in told)
            counts["html_bytes"] += sum(item.pop("html_bytes") for item in told)
            truth += [{"size": level, "file": name, **item} for item in told if item["kind"] != "page"]
        truth += [{"size": level, "kind": "edition", **pair} for pair in editions(itertools.chain(*parts))]
        sizes[level] = {"files": len(names), **counts}
        write_atomic(out / f"{level}.txt", "".join(f"{name}\n" for name in names).encode())
        write_atomic(out / "truth.jsonl", "".join(json.dumps(item) + "\n" for item in truth).encode())
        write_json(out / "manifest.json", {"sizes": sizes, "packages": sources})
        print(f"{level}: {len(names)} files, {dict(counts)}", flush=True)


def select(stores: Sequence[Path], package_bytes: int) -> tuple[list[Page], list[Page]]:
    """Pages and images of all packages, each content once; of a large package a part that its other edition shares."""
    pages: list[Page] = []
    images: list[Page] = []
    seen: set[str] = set()
    for store in stores:
        index = read_json(store / "index.json")
        files = [Page(index["package"], store=store / "content", **file) for file in index["files"]]
        left_bytes = package_bytes
        for file in sorted(files, key=lambda one: (_drawn("select", one.key), one.path)):
            if file.digest in seen:
                continue
            seen.add(file.digest)
            if file.path.endswith(".png"):
                images.append(file)
            elif file.size_bytes <= left_bytes:
                left_bytes -= file.size_bytes
                pages.append(file)
    return pages, images


def arrange(
    pages: Sequence[Page], images: Sequence[Page], file_bytes: int
) -> Iterator[tuple[str, list[list[Planned]]]]:
    """The records of each file of each size, shuffled; pages and what is made of them come in the same size.

    Raises: DataError where the pages do not fill the smallest size.
    """
    ordered = sorted(pages, key=lambda page: (_drawn("order", page.key), page.url))
    groups = itertools.groupby(ordered, key=lambda page: page.key)
    spare = iter(sorted(images, key=lambda image: image.digest))
    files = 0
    for level, files_in_all in LEVELS.items():
        records: list[Planned] = []
        left_bytes = (files_in_all - files) * file_bytes
        for _, editions_of_page in groups:
            new = [record for page in editions_of_page for record in planned(page, spare)]
            records += new
            left_bytes -= sum(record.html_bytes for record in new)
            if left_bytes <= 0:
                break
        if left_bytes > 0:
            if not files:
                raise DataError(f"{len(pages):,} pages are {left_bytes / 1e6:.1f} MB short of {files_in_all} files")
            print(f"no {level}: {left_bytes / 1e6:,.0f} MB are missing; name more packages or raise --package-mb")
            return
        records.sort(key=lambda record: _drawn("shuffle", record.kind, record.url))
        yield level, cut(records, file_bytes, files_in_all - files)
        files = files_in_all


def planned(page: Page, spare: Iterator[Page]) -> Iterator[Planned]:
    """A page and what is made of it, by a draw of its own address."""
    draw = _drawn("plan", page.url)
    yield Planned("broken" if draw > 1 - BROKEN else "page", page)
    if draw < COPIES:
        yield Planned("copy", page)
    elif draw < COPIES + CHANGED:
        yield Planned("changed", page)
    if _drawn("missing", page.url) < MISSING:
        yield Planned("missing", page)
    if _drawn("image", page.url) < IMAGES and (image := next(spare, None)):
        yield Planned("image", image)


def cut(records: Iterable[Planned], file_bytes: int, files: int) -> list[list[Planned]]:
    """So many lists of about so much HTML each; the last takes the rest."""
    parts: list[list[Planned]] = [[]]
    size_bytes = 0
    for record in records:
        if size_bytes >= len(parts) * file_bytes and len(parts) < files:
            parts.append([])
        parts[-1].append(record)
        size_bytes += record.html_bytes
    return parts


def write_part(path: Path, records: Iterable[Planned]) -> list[dict[str, Any]]:
    """Write a WARC file and tell of each record what it is and at which byte it begins."""
    told: list[dict[str, Any]] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(warc_info(path.name))
        for record in records:
            if made := make_record(record):
                content, facts = made
                told.append({"kind": record.kind, "url": record.url, "offset": file.tell(), **facts})
                file.write(content)
    return told


def make_record(record: Planned) -> tuple[bytes, dict[str, Any]] | None:
    """A record's bytes and what else is true of it; None where the page does not lend itself to it."""
    if record.kind == "missing":
        return warc_record(record.url, NOT_FOUND, "text/html", status="404 Not Found"), {"html_bytes": 0}
    content = record.page.read()
    if record.kind == "image":
        return warc_record(record.url, content, "image/png"), {"html_bytes": 0}
    facts: dict[str, Any] = {"of": record.page.url} if record.kind in {"copy", "changed"} else {}
    rng = random.Random(record.url)
    charset = declared_charset(content)
    if record.kind == "broken":
        content = break_encoding(content, rng)
    elif record.kind == "changed":
        share = rng.choice((0.01, 0.02, 0.03, 0.04, 0.05))
        if (changed := change_words(content, share, rng)) is None:
            return None
        content, counts = changed
        facts |= {"share": share, **counts}
    return warc_record(record.url, content, "text/html", charset=charset), {"html_bytes": len(content), **facts}


def editions(records: Iterable[Planned]) -> Iterator[dict[str, str]]:
    """The pairs of a page and the same page of the package's other edition."""
    first: dict[str, Page] = {}
    for record in sorted((one for one in records if one.kind == "page"), key=lambda one: one.url):
        other = first.setdefault(record.page.key, record.page)
        if other.package != record.page.package:
            yield {"url": record.url, "of": other.url}


def write_aside(folder: Path, part: Path, offsets: Sequence[int]) -> list[dict[str, Any]]:
    """A file of hostile pages, and the first six tenths of a file, which end in the middle of a record."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    records = [
        warc_record(make_url("hostile", name), make(rng), "text/html", charset=charset)
        for name, (charset, make) in HOSTILE.items()
    ]
    write_atomic(folder / "hostile.warc.gz", warc_info("hostile.warc.gz") + b"".join(records))
    content = part.read_bytes()
    last = len(offsets) * 6 // 10
    middle = (offsets[last] + [*offsets, len(content)][last + 1]) // 2
    write_atomic(folder / "truncated.warc.gz", content[:middle])
    return [
        {"file": "aside/hostile.warc.gz", "kind": "hostile", "records": len(records)},
        {"file": "aside/truncated.warc.gz", "kind": "truncated", "whole_records": last, "cut_record": offsets[last]},
    ]


def _drawn(*words: str) -> float:
    """A number in [0, 1) that depends on nothing but the words."""
    return int.from_bytes(hashlib.blake2b("\0".join(words).encode(), digest_size=7).digest()) / 2**56


if __name__ == "__main__":
    app()
