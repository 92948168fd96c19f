"""A crawl made for the benches is what its own truth says."""

import gzip
import json
import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import corpus_data as module
from bench import corpus_peer
from bench.corpus_data import Page, app, arrange, select, write_crawl
from bench.corpus_packages import download, unpack
from bench.corpus_pages import HOSTILE, MARKUP, break_encoding, change_words, declared_charset
from bench.corpus_speed import app as speed
from bench.corpus_speed import copies_line, found_pairs, ids, line
from fastwarc.warc import ArchiveIterator

from gptrilogy.errors import DataError
from gptrilogy.files import write_json

WORDS = [f"{first}{second}{third}" for first in "bdgklm" for second in "aeiou" for third in "nrst"]
FILE_BYTES = 60_000
CONTROL = "Package: tiny-doc\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: b\n"


def html(name: str, n_words: int = 300) -> bytes:
    rng = random.Random(name)
    text = " ".join(rng.choices(WORDS, k=n_words))
    head = '<!DOCTYPE html><html><head><meta charset="utf-8"><script>var a = "b c";</script></head>'
    return f"{head}<body><h1>{name}</h1><p class='x y'>é {text}</p></body></html>".encode()


def store(folder: Path, package: str, files: dict[str, bytes]) -> Path:
    """A package as `unpack` leaves it."""
    folder.mkdir(parents=True)
    content, index = b"", []
    for path, one in files.items():
        index.append({"path": path, "offset": len(content), "size_bytes": len(one), "digest": one.hex()[-64:] + path})
        content += one
    (folder / "content").write_bytes(content)
    write_json(folder / "index.json", {"package": package, "files": index})
    return folder


def documents(package: str, count: int) -> dict[str, bytes]:
    return {f"usr/share/doc/{package}/{number}.html": html(f"{package}{number}") for number in range(count)}


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Two small sizes, two packages that are editions of each other, everything planted often, no 50 MB page."""
    small = {"LEVELS": {"1x": 2, "4x": 4}, "OLDER": {"new-doc": "old-doc", "linux-doc-6.12": "linux-doc-6.1"}}
    often = {"COPIES": 0.2, "CHANGED": 0.2, "BROKEN": 0.1, "MISSING": 0.1, "IMAGES": 0.2}
    hostile = {name: page for name, page in HOSTILE.items() if name != "long"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**small, **often, "HOSTILE": hostile}.items():
            patch.setattr(module, name, value)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two packages and the crawl made of them."""
    tmp_path = tmp_path_factory.mktemp("made")
    images = {f"usr/share/doc/old-doc/{number}.png": b"\x89PNG" + bytes([number]) * 2000 for number in range(9)}
    stores = [
        store(tmp_path / "pages/old", "old-doc", documents("old-doc", 80) | images),
        store(tmp_path / "pages/new", "new-doc", documents("new-doc", 80)),
    ]
    pages, pictures = select(stores, 10**9)
    write_crawl(tmp_path / "out", arrange(pages, pictures, FILE_BYTES), [])
    return tmp_path


@pytest.fixture(scope="module")
def crawl(made: Path) -> Path:
    return made / "out"


def read(path: Path) -> dict[int, Any]:
    """Status, type, URL and content of every response record, by the byte at which it begins."""
    found: dict[int, Any] = {}
    with path.open("rb") as file:
        for record in ArchiveIterator(file, parse_http=False, func_filter=lambda one: one.is_http):
            assert record.verify_block_digest()
            record.parse_http()
            assert record.verify_payload_digest()
            kind = (record.http_headers.status_code, record.http_content_type)
            found[record.stream_pos] = (*kind, record.headers["WARC-Target-URI"], record.reader.read())
    return found


def read_size(crawl: Path, size: str) -> list[Any]:
    return [record for name in (crawl / f"{size}.txt").read_text().split() for record in read(crawl / name).values()]


def truth(crawl: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (crawl / "truth.jsonl").read_text().splitlines()]


def test_every_planted_record_is_where_the_truth_says(crawl: Path) -> None:
    files = {name: read(crawl / name) for name in (crawl / "4x.txt").read_text().splitlines()}
    contents = {url: content for file in files.values() for _, _, url, content in file.values()}
    kinds = Counter(item["kind"] for item in truth(crawl))
    assert min(kinds[kind] for kind in ("copy", "changed", "broken", "missing", "image", "edition")) > 3
    for item in truth(crawl):
        if item["kind"] in {"edition", "hostile", "truncated"}:
            continue
        status, mime, url, content = files[item["file"]][item["offset"]]
        assert url == item["url"]
        assert (status, mime) == {"missing": (404, "text/html"), "image": (200, "image/png")}.get(
            item["kind"], (200, "text/html")
        )
        if item["kind"] == "copy":
            assert content == contents[item["of"]]
        if item["kind"] == "broken":
            with pytest.raises(UnicodeDecodeError):
                content.decode()


def test_a_changed_page_differs_in_as_many_words_as_the_truth_says(crawl: Path) -> None:
    contents = {
        url: body for name in (crawl / "4x.txt").read_text().split() for *_, url, body in read(crawl / name).values()
    }
    for item in truth(crawl):
        if item["kind"] == "changed":
            before, after = (MARKUP.sub(" ", contents[item[key]].decode()).split() for key in ("of", "url"))
            assert sum(one != other for one, other in zip(before, after, strict=True)) == item["changed"]
            assert item["changed"] <= round(item["share"] * item["words"])


def test_sizes_are_nested_and_counted(crawl: Path) -> None:
    lists = {level: (crawl / f"{level}.txt").read_text().splitlines() for level in ("1x", "4x")}
    assert len(lists["1x"]) == 2
    assert len(lists["4x"]) == 4
    assert lists["4x"][:2] == lists["1x"]
    for level, names in lists.items():
        records = [record for name in names for record in read(crawl / name).values()]
        said = json.loads((crawl / "manifest.json").read_text())["sizes"][level]
        assert (
            sum(len(body) for status, mime, _, body in records if (status, mime) == (200, "text/html"))
            == said["html_bytes"]
        )
        assert abs(said["html_bytes"] - len(names) * FILE_BYTES) < FILE_BYTES / 4
        assert said["image"] == sum(mime == "image/png" for _, mime, *_ in records)


def test_both_pages_of_a_pair_are_in_the_same_size(crawl: Path) -> None:
    first = {url for *_, url, _ in read_size(crawl, "1x")}
    pairs = [item for item in truth(crawl) if "of" in item]
    assert {item["size"] for item in pairs} == {"1x", "4x"}
    assert all(({item["url"], item["of"]} <= first) == (item["size"] == "1x") for item in pairs)


def test_the_truncated_file_ends_inside_the_record_that_the_truth_names(crawl: Path) -> None:
    said = next(item for item in truth(crawl) if item["kind"] == "truncated")
    whole = read(crawl / "warc/part-00000.warc.gz")
    size_bytes = (crawl / said["file"]).stat().st_size
    ends = sorted(whole)[1:]
    assert sum(end <= size_bytes for end in ends) == said["whole_records"]
    assert said["cut_record"] < size_bytes < ends[ends.index(said["cut_record"]) + 1]


def test_hostile_pages_are_records_like_others(crawl: Path) -> None:
    records = read(crawl / "aside/hostile.warc.gz")
    assert len(records) == len(HOSTILE) - 1
    assert sum(body.count(b"<div>") for *_, body in records.values()) == 100_000


def test_the_long_page_is_long() -> None:
    charset, make = HOSTILE["long"]
    assert 49_000_000 < len(make(random.Random(0)).decode(charset)) < 51_000_000


def test_equal_packages_give_equal_bytes(made: Path, crawl: Path, tmp_path: Path) -> None:
    pages, images = select(sorted((made / "pages").iterdir()), 10**9)
    write_crawl(tmp_path / "again", arrange(pages[::-1], images[::-1], FILE_BYTES), [])
    for path in sorted(path for path in crawl.rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(crawl)).read_bytes()


def test_too_few_pages_for_the_smallest_size_are_refused(tmp_path: Path) -> None:
    pages, images = select([store(tmp_path / "few", "few", documents("few", 3))], 10**9)
    with pytest.raises(DataError, match=r"3 pages are 100\.0 MB short of 2 files"):
        list(arrange(pages, images, 50_000_000))


def test_a_content_is_taken_once_and_a_large_package_in_part(tmp_path: Path) -> None:
    same = {"usr/share/doc/b/copy.html": html("a0")}
    stores = [store(tmp_path / "a", "a", documents("a", 5)), store(tmp_path / "b", "b", documents("b", 50) | same)]
    index = json.loads((stores[1] / "index.json").read_text())
    index["files"][-1]["digest"] = json.loads((stores[0] / "index.json").read_text())["files"][0]["digest"]
    write_json(stores[1] / "index.json", index)
    pages, _ = select(stores, 20_000)
    sizes = Counter[str]()
    for page in pages:
        sizes[page.package] += page.size_bytes
    assert "usr/share/doc/b/copy.html" not in {page.path for page in pages}
    assert 17_000 < sizes["b"] <= 20_000
    assert sizes["a"] == sum(map(len, documents("a", 5).values()))


def test_editions_share_a_key_and_nothing_else_does(tmp_path: Path) -> None:
    def key(package: str, path: str) -> str:
        return Page(package, path, tmp_path, 0, 0, "").key

    newer = key("linux-doc-6.12", "usr/share/doc/linux-doc-6.12/html/index.html")
    assert newer == key("linux-doc-6.1", "usr/share/doc/linux-doc-6.1/html/index.html")
    assert newer != key("linux-doc-6.1", "usr/share/doc/linux-doc-6.1/html/other.html")
    assert newer != key("python3.11-doc", "usr/share/doc/python3.11-doc/html/index.html")


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_changing_words_leaves_the_markup(share: float) -> None:
    page = html("page")
    made = change_words(page, share, random.Random(0))
    assert made is not None
    changed, counts = made
    assert counts["words"] == 302
    assert round(share * 302) - 2 <= counts["changed"] <= round(share * 302)
    tags = re.compile(rb"<script.*?</script>|<[^>]*>")
    assert tags.findall(changed) == tags.findall(page)


def test_a_page_that_cannot_be_read_or_is_short_is_not_changed() -> None:
    assert change_words(b'<meta charset="utf-42">' + html("page"), 0.05, random.Random(0)) is None
    assert change_words(break_encoding(html("page"), random.Random(0)), 0.05, random.Random(0)) is None
    assert change_words(html("page", 97), 0.05, random.Random(0)) is None
    assert change_words(html("page", 98), 0.05, random.Random(0)) is not None


def test_the_charset_is_the_one_that_the_page_names() -> None:
    old = b'<html><head><META http-equiv=Content-Type content="text/html; charset=EUC-JP"></head>'
    assert declared_charset(old) == "EUC-JP"
    assert declared_charset(b"<html><body>charset=latin1") == ""


@pytest.fixture
def deb(tmp_path: Path) -> Path:
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb, which opens packages, is only on Debian's systems")
    root = tmp_path / "root"
    doc = root / "usr/share/doc/tiny-doc"
    doc.mkdir(parents=True)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        "Package: tiny-doc\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: b\n"
    )
    (doc / "plain.html").write_bytes(html("plain"))
    (doc / "zipped.htm.gz").write_bytes(gzip.compress(html("zipped")))
    (doc / "linked.html").symlink_to("plain.html")
    (doc / "short.html").write_bytes(html("short", 9))
    (doc / "other.html").write_bytes(b"not a page " * 200)
    (doc / "picture.png").write_bytes(b"\x89PNG")
    debs = tmp_path / "debs"
    debs.mkdir()
    subprocess.run(
        ["dpkg-deb", "--build", "-Znone", root, debs / "tiny-doc_1%3a2_all.deb"], check=True, capture_output=True
    )
    return debs / "tiny-doc_1%3a2_all.deb"


def test_a_package_gives_its_pages_and_images(deb: Path, tmp_path: Path) -> None:
    folder = unpack(deb, tmp_path / "tiny")
    pages, images = select([folder], 10**9)
    found = {Path(page.path).name: page.read() for page in pages}
    assert found == {"plain.html": html("plain"), "zipped.htm": html("zipped")}
    assert [image.read() for image in images] == [b"\x89PNG"]
    deb.unlink()
    assert unpack(deb, folder) == folder  # done before


def test_a_damaged_package_is_named(deb: Path, tmp_path: Path) -> None:
    deb.write_bytes(b"not a package")
    with pytest.raises(DataError, match=r"tiny-doc_1%3a2_all\.deb cannot be unpacked"):
        unpack(deb, tmp_path / "tiny")
    assert not (tmp_path / "tiny").exists()


def test_downloaded_packages_are_used_again(tmp_path: Path) -> None:
    for name in ("a-doc_1%3a2_all.deb", "b-doc_1_all.deb", "b-doc_2_all.deb"):
        (tmp_path / name).touch()
    assert [path.name for path in download(["b-doc=2", "a-doc=1:2"], tmp_path)] == [
        "a-doc_1%3a2_all.deb",
        "b-doc_2_all.deb",
    ]
    with pytest.raises(DataError, match="must hold one version of b-doc, got 2"):
        download(["b-doc"], tmp_path)


def test_the_command_makes_a_crawl_of_downloaded_packages(deb: Path, tmp_path: Path) -> None:
    app(["--out", str(tmp_path), "--packages", "tiny-doc", "--file-mb", "0.0005"], result_action="return_value")
    said = json.loads((tmp_path / "manifest.json").read_text())
    assert said["sizes"]["1x"]["page"] >= 1
    assert said["packages"][0]["package"] == "tiny-doc=1:2"


def test_every_page_that_is_not_broken_gives_a_text(crawl: Path, tmp_path: Path) -> None:
    result = corpus_peer.measure("resiliparse", crawl / "4x.txt", tmp_path / "work")
    said = json.loads((crawl / "manifest.json").read_text())["sizes"]["4x"]
    assert result.input_bytes == said["html_bytes"]
    assert result.wall_s["extract"] > 0
    broken = {item["url"] for item in truth(crawl) if item["kind"] == "broken"}
    pages = {url for status, mime, url, _ in read_size(crawl, "4x") if (status, mime) == (200, "text/html")}
    texts = ids(tmp_path / "work" / corpus_peer.TEXTS / "00000.jsonl")
    assert len(texts) == result.documents
    assert pages - broken <= texts <= pages
    with pytest.raises(FileExistsError):
        corpus_peer.measure("resiliparse", crawl / "4x.txt", tmp_path / "work")


def test_a_pair_is_found_where_one_of_it_is_dropped() -> None:
    pairs = [("copy", "a", "b"), ("copy", "a", "c"), ("copy", "c", "elsewhere"), ("edition", "b", "c")]
    found = found_pairs({"a", "b", "c"}, {"a", "c"}, pairs)
    assert found == {"texts": 3, "dropped": 1, "pairs": {"copy": 2, "edition": 1}, "found": {"copy": 1, "edition": 1}}
    assert copies_line("x", found) == ("x", "1 of 3", "1 of 2", "0 of 0", "1 of 1")


def test_a_line_rates_the_median_run_by_all_its_steps() -> None:
    same = {"input_bytes": 10**7, "output_bytes": 10**6, "documents": 1000, "peak_bytes": 10**8, "child_peak_bytes": 0}
    runs = [{**same, "wall_s": {"a": 1, "b": s}, "cpu_s": {"a": 0.5 * s}} for s in (1, 4, 99)]
    assert line("x", runs) == ("x", "2.00", "5.00", "1,000", "1.0", "100 MB")


@pytest.mark.parametrize(
    ("words", "message"),
    [([], r"1x\.txt is missing; make it"), (["--measures", "magic"], "measures must be of fastwarc, .*, got magic")],
)
def test_speed_says_what_it_lacks(words: list[str], message: str, tmp_path: Path) -> None:
    if words:
        (tmp_path / "1x.txt").touch()
    with pytest.raises(DataError, match=message):
        speed(["--data", str(tmp_path), "--peer", "python", *words], result_action="return_value", exit_on_error=False)


def test_speed_measures_in_processes_and_keeps_a_record(crawl: Path, tmp_path: Path) -> None:
    words = ["--measures", "fastwarc", "--repeats", "2", "--record", str(tmp_path / "record")]
    speed(["--data", str(crawl), "--peer", "python", *words], result_action="return_value")
    said = json.loads((tmp_path / "record/results.json").read_text())
    assert {name: len(runs) for name, runs in said["runs"].items()} == {"resiliparse": 2, "fastwarc": 2}
    assert "n = 2 times" in (tmp_path / "record/README.md").read_text()
    assert not list(crawl.glob("tmp*"))
