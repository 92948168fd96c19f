import base64
import gzip
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpus.readers.conftest import Read, Reading, Record, sorted_out

from gptrilogy.corpus.documents import Page
from gptrilogy.corpus.readers import Limits, find_files, read_pages

PAGE = b"<p>It is a truth universally acknowledged</p>"


def reasons(read: Read) -> list[str]:
    return [loss.reason.name for loss in read[1]]


# What real archives give: name, pages, reasons of the losses; counted by hand and with zgrep.
REAL = [
    ("commoncrawl/whirlwind.warc.gz", 1, {}),
    ("commoncrawl/whirlwind.warc.wet.gz", 1, {}),
    ("commoncrawl/whirlwind.warc.wat.gz", 0, {}),
    ("resiliparse/warcfile.warc.gz", 16, {}),
    ("resiliparse/clipped.warc.gz", 0, {"truncated archive": 1}),
    ("resiliparse/block-sized-records.warc", 0, {"unknown record type": 3}),
    ("warcio/bad.arc", 0, {"ARC archive": 1}),
    ("warcio/example.arc", 0, {"ARC archive": 1}),
    ("warcio/example.arc.gz", 0, {"ARC archive": 1}),
    ("warcio/example-space-in-url.arc", 0, {"ARC archive": 1}),
    ("warcio/example.warc", 1, {"revisit": 1}),
    ("warcio/example.warc.gz", 1, {"revisit": 1}),
    ("warcio/example-bad-non-chunked.warc.gz", 1, {"revisit": 1}),  # all records in one gzip member
    ("warcio/example-bad.warc.gz.bad", 1, {"revisit": 1, "status 302": 1}),
    ("warcio/example-digest.warc", 0, {}),  # four requests
    ("warcio/example-iana.org-chunked.warc", 1, {}),
    ("warcio/example-resource.warc.gz", 1, {}),
    ("warcio/example-space-in-target-uri.warc.gz", 0, {"not text": 1}),
    ("warcio/example-trunc.warc", 0, {"digest differs": 1, "malformed archive": 1}),  # its response is two bytes short
    ("warcio/example-wget-bad-target-uri.warc.gz", 1, {}),  # beside it wget's log and arguments
    ("warcio/example-wrong-chunks.warc.gz", 0, {"digest differs": 1}),
    ("warcio/post-test.warc.gz", 0, {"not text": 3}),
]


@pytest.mark.parametrize(("name", "pages", "losses"), REAL)
def test_real_archives_give_the_pages_and_losses_they_hold(
    shared_data: Callable[[str], Path], name: str, pages: int, losses: dict[str, int]
) -> None:
    path = shared_data(f"web/{name}")
    (file,) = find_files([str(path)])
    found = list(read_pages(file.replace(format="warc"), Limits()))
    lost = Counter(item.reason.name for item in found if not isinstance(item, Page))
    assert (len(found) - lost.total(), lost) == (pages, losses)


def test_no_sound_archive_of_the_shared_data_is_left_out(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("web")
    held = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in held if not name.endswith("LICENSE")} == {name for name, _, _ in REAL}


def test_the_pages_of_a_real_crawl_are_its_responses_in_order(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("web/resiliparse/warcfile.warc.gz")
    pages, losses = sorted_out(path, Limits())
    content = gzip.decompress(path.read_bytes())
    heads = re.findall(rb"WARC-Type: response\r\n.*?\r\n\r\nHTTP/1.1 200 OK\r\n", content, re.DOTALL)
    urls = [found[1].decode() for head in heads if (found := re.search(rb"WARC-Target-URI: (\S+)", head))]
    assert losses == []
    assert [page.url for page in pages] == urls
    assert all(page.meta["date"] and page.meta["record_id"].startswith("<urn:uuid:") for page in pages)
    for page in pages:  # what the id points at is the record's own gzip member
        assert isinstance(page.content, bytes)
        member = zlib.decompressobj(31).decompress(path.read_bytes()[int(page.id.rpartition(":")[2]) :])
        assert page.url.encode() in member
        assert page.content in member


def test_extracted_text_is_text(shared_data: Callable[[str], Path]) -> None:
    ((page,), _) = sorted_out(shared_data("web/commoncrawl/whirlwind.warc.wet.gz"), Limits())
    assert (page.kind, page.url) == ("text", "https://an.wikipedia.org/wiki/Escopete")
    assert isinstance(page.content, str)
    assert page.content.startswith("Escopete - Biquipedia")


def test_a_chunked_page_is_put_together(shared_data: Callable[[str], Path]) -> None:
    ((page,), _) = sorted_out(shared_data("web/warcio/example-iana.org-chunked.warc"), Limits())
    assert isinstance(page.content, bytes)
    assert page.content.startswith(b"<!doctype html>")
    assert page.content.rstrip().endswith(b"</html>")


@pytest.mark.parametrize("name", ["resiliparse/warcfile.warc.gz", "warcio/example.warc.gz"])
def test_a_packed_archive_cut_anywhere_gives_its_first_pages_and_one_loss(
    shared_data: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    content = shared_data(f"web/{name}").read_bytes()
    content = content[:12265]  # of the larger one its first four members
    whole, lost = _read(tmp_path, content)
    ends = [0, *(start for start in _members(content)), len(content)]
    for cut in {*range(1, len(content), 64), *ends[1:], *(end + 1 for end in ends[1:-1])}:
        pages, losses = _read(tmp_path, content[:cut])
        assert pages == whole[: len(pages)]
        assert [loss for loss in losses if loss not in lost] == ([] if cut in ends else ["truncated archive"]), cut


def test_a_plain_archive_cut_anywhere_but_after_a_record_has_one_loss(reading: Reading, record: Record) -> None:
    content = record(PAGE) + record(PAGE, fields={"WARC-Date": "2019-10-20T00:00:00Z"})
    ends = {len(record(PAGE)), len(content)}
    whole, _ = reading("a.warc", content)
    for cut in {*range(1, len(content), 3), *ends}:
        read = reading("a.warc", content[:cut])
        assert read[0] == whole[: len(read[0])]
        assert reasons(read) == ([] if cut in ends else ["truncated archive"]), cut


@settings(max_examples=40)
@given(data=st.data())
def test_flipped_bytes_change_no_page_of_a_packed_archive(
    shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(shared_data("web/warcio/example.warc.gz").read_bytes())
    folder = tmp_path_factory.mktemp("flipped")
    whole, _ = _read(folder, bytes(content))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4, unique=True)):
        content[place] ^= data.draw(st.integers(1, 255))
    pages, _ = _read(folder, bytes(content))
    assert all(page in whole for page in pages)


def test_a_flipped_byte_in_a_page_is_seen_by_its_checksum_and_the_rest_is_one_loss(
    reading: Reading, record: Record
) -> None:
    first, second = record(PAGE, packed=True), bytearray(record(PAGE, packed=True))
    second[-6] ^= 1  # of the checksum
    pages, (loss,) = reading("a.warc.gz", first + bytes(second) + first)
    assert [page.id for page in pages] == ["a.warc.gz:0"]
    assert (loss.id, loss.reason.name) == (f"a.warc.gz:{len(first)}", "malformed archive")
    assert loss.reason.detail.startswith(f"{len(first):,} of {2 * len(first) + len(second):,} bytes were read: ")


@pytest.mark.parametrize("rest", [b"x", b"<html>", b"WARC?", b"\x1f\x8b\x08\x00oh no"])
def test_what_follows_the_last_record_is_a_loss(reading: Reading, record: Record, rest: bytes) -> None:
    assert reasons(reading("a.warc", record(PAGE) + rest)) == ["malformed archive"]
    pages, losses = reading("a.warc.gz", record(PAGE, packed=True) + rest)
    assert (len(pages), len(losses)) == (1, 1)


def test_zeros_after_the_last_member_are_padding(reading: Reading, record: Record) -> None:
    pages, losses = reading("a.warc.gz", record(PAGE, packed=True) + bytes(200_000))
    assert (len(pages), losses) == (1, [])


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
@pytest.mark.parametrize("encoding", ["hex", "base32"])
def test_a_wrong_digest_is_a_loss_and_a_right_one_is_none(
    reading: Reading, record: Record, algorithm: str, encoding: str
) -> None:
    digest = hashlib.new(algorithm, PAGE).digest()
    value = digest.hex() if encoding == "hex" else base64.b32encode(digest).decode()
    fields = {"WARC-Payload-Digest": f"{algorithm}:{value}"}
    assert reasons(reading("a.warc", record(PAGE, fields=fields))) == []
    assert reasons(reading("a.warc", record(PAGE + b"!", fields=fields))) == ["digest differs"]


def test_a_digest_nobody_can_check_is_passed_over(reading: Reading, record: Record) -> None:
    assert reasons(reading("a.warc", record(PAGE, fields={"WARC-Block-Digest": "quantum:abc"}))) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"http": "HTTP/1.1 404 Not Found"}, "status 404"),
        ({"http": "HTTP/1.1 301 Moved"}, "status 301"),
        ({"http": "SSH-2.0-OpenSSH"}, "malformed header"),
        ({"media": "image/png"}, "not text"),
        ({"media": ""}, "not text"),
        ({"fields": {"Content-Type": "text/dns"}}, "not text"),
        ({"kind": "revisit"}, "revisit"),
        ({"kind": "continuation"}, "unknown record type"),
        ({"fields": {"WARC-Segment-Number": "1"}}, "segmented record"),
        ({"kind": "resource", "media": "application/pdf"}, "not text"),
        ({"http_fields": {"Content-Encoding": "rot13"}}, "unknown http coding"),
    ],
)
def test_a_record_that_is_no_page_is_a_loss_with_its_reason(
    reading: Reading, record: Record, changes: dict[str, str], reason: str
) -> None:
    read = reading("a.warc", record(PAGE, **changes) + record(PAGE))
    assert (len(read[0]), reasons(read)) == (1, [reason])
    assert read[1][0].url == "http://a.example/"


@pytest.mark.parametrize("kind", ["warcinfo", "request", "metadata"])
def test_records_about_the_crawl_are_not_counted(reading: Reading, record: Record, kind: str) -> None:
    assert reading("a.warc", record(b"about", kind=kind)) == ([], [])


def test_the_archivers_own_logs_are_not_counted(reading: Reading, record: Record) -> None:
    fields = {"WARC-Target-URI": "urn:X-wpull:log"}
    assert reading("a.warc", record(b"INFO", kind="resource", media="text/plain", fields=fields)) == ([], [])


@pytest.mark.parametrize("blank", [b"", b" \r\n\t"])
def test_a_blank_page_is_lost_as_empty(reading: Reading, record: Record, blank: bytes) -> None:
    read = reading("a.warc", record(blank) + record(blank, kind="resource"))
    assert reasons(read) == ["empty", "empty"]


def test_the_crawlers_type_stands_in_for_the_servers(reading: Reading, record: Record) -> None:
    (page,), _ = reading("a.warc", record(PAGE, media="", fields={"WARC-Identified-Payload-Type": "text/html"}))
    assert page.kind == "html"


def test_the_declared_charset_is_kept(reading: Reading, record: Record) -> None:
    (page,), _ = reading("a.warc", record(b"caf\xe9", media='text/plain; Charset="ISO-8859-1"'))
    assert (page.content, page.kind, page.charset) == (b"caf\xe9", "text", "iso-8859-1")


def test_line_ends_may_be_those_of_unix(reading: Reading, record: Record) -> None:
    plain = record(PAGE)
    head, block = plain.replace(b"Content-Length: 99", b"").split(b"\r\n\r\n", 1)
    block = block.removesuffix(b"\r\n\r\n").replace(b"\r\n", b"\n")
    head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(block), head).replace(b"\r\n", b"\n")
    (page,), losses = reading("a.warc", head + b"\n\n" + block + b"\n\n")
    assert (page.content, losses) == (PAGE, [])


def test_records_in_one_member_have_ids_of_their_own(reading: Reading, record: Record) -> None:
    two = record(PAGE) + record(PAGE)
    pages, _ = reading("a.warc.gz", gzip.compress(two, mtime=0))
    assert [page.id for page in pages] == ["a.warc.gz:0", f"a.warc.gz:0+{len(two) // 2}"]


def test_many_empty_members_between_records_are_no_matter(reading: Reading, record: Record) -> None:
    empty = gzip.compress(b"", mtime=0) * 1000
    packed = record(PAGE, packed=True)
    pages, losses = reading("a.warc.gz", packed + empty + packed)
    assert [page.id for page in pages] == ["a.warc.gz:0", f"a.warc.gz:{len(packed) + len(empty)}"]
    assert losses == []


def test_the_ids_of_a_large_archive_are_the_places_of_its_records(reading: Reading, record: Record) -> None:
    records = [record(b"<p>%d" % number * 40_000, packed=True) for number in range(12)]
    pages, losses = reading("a.warc.gz", b"".join(records))
    places = [sum(map(len, records[:number])) for number in range(len(records))]
    assert [page.id for page in pages] == [f"a.warc.gz:{place}" for place in places]
    assert losses == []


def test_zstandard_archives_are_read(reading: Reading, record: Record) -> None:
    packed = zstandard.compress(record(PAGE))
    pages, losses = reading("a.warc.zst", packed * 2)
    assert [page.id for page in pages] == ["a.warc.zst:0", f"a.warc.zst:{len(packed)}"]
    assert losses == []
    assert reasons(reading("a.warc.zst", packed + packed[:-3])) == ["truncated archive"]


def test_a_record_beyond_the_limit_is_passed_over_and_reading_goes_on(reading: Reading, record: Record) -> None:
    long = record(b"<p>" + b"a" * 5000)
    read = reading("a.warc.gz", gzip.compress(long, mtime=0) + record(PAGE, packed=True), max_record_bytes=1000)
    assert (len(read[0]), reasons(read)) == (1, ["inflates past the limit"])
    assert read[1][0].reason.detail == "5,047 bytes, at most 1,000"
    assert reasons(reading("a.warc", long, max_record_bytes=1000)) == ["larger than the limit"]


def test_a_body_that_inflates_past_the_limit_is_a_loss(reading: Reading, record: Record) -> None:
    bomb = record(gzip.compress(bytes(10_000), mtime=0), http_fields={"Content-Encoding": "gzip"})
    read = reading("a.warc", bomb + record(PAGE), max_record_bytes=1000)
    assert (len(read[0]), reasons(read)) == (1, ["inflates past the limit"])


@pytest.mark.parametrize("declared", ["-1", "abc", "", "9" * 30, "١٢"])
def test_a_length_that_is_none_ends_the_reading(reading: Reading, record: Record, declared: str) -> None:
    read = reading("a.warc", record(PAGE) + record(PAGE, fields={"Content-Length": declared}))
    assert (len(read[0]), reasons(read)) == (1, ["malformed archive"])


def test_a_header_without_end_is_not_read_to_its_end(reading: Reading) -> None:
    assert reasons(reading("a.warc", b"WARC/1.0\r\n" + b"A: b\r\n" * 100_000)) == ["malformed archive"]


def test_a_name_that_promises_compression_must_keep_it(reading: Reading, record: Record) -> None:
    assert reasons(reading("a.warc.gz", record(PAGE))) == ["malformed archive"]
    assert reading("b.warc", record(PAGE, packed=True))[1] == []


@settings(max_examples=40)
@given(content=st.binary(max_size=300))
def test_no_bytes_end_in_an_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for prefix in (b"", b"WARC/1.0\r\n", b"\x1f\x8b\x08"):
        pages, losses = _read(folder, prefix + content, name="a.warc")
        assert pages == []
        assert len(losses) == (1 if (prefix + content).strip(b"\r\n") else 0)


def _read(folder: Path, content: bytes, name: str = "a.warc.gz") -> tuple[list[Page], list[str]]:
    (folder / name).write_bytes(content)
    read = sorted_out(folder / name, Limits())
    return read[0], reasons(read)


def _members(content: bytes) -> list[int]:
    """Where gzip members begin, found by inflating each to its end."""
    starts, place = list[int](), 0
    while place < len(content):
        starts.append(place)
        inner = zlib.decompressobj(31)
        inner.decompress(content[place:])
        place = len(content) - len(inner.unused_data)
    return starts
