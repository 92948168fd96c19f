import bz2
import gzip
import json
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.documents import Loss
from gptrilogy.corpus.link_lists import MAX_ROW_BYTES, read_links
from gptrilogy.corpus.links import Link
from gptrilogy.errors import DataError

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: zstandard.ZstdCompressor(write_checksum=True).compress(content),
}
REDDIT = {
    "id": "7nc2bd",
    "url": "https://example.com/essay",
    "score": 17,
    "subreddit": "AskHistorians",
    "created_utc": 1514764799,
    "is_self": False,
    "over_18": True,
}


def rows_of(path: Path, content: bytes) -> list[Link | Loss]:
    path.write_bytes(content)
    return list(read_links(path, source="reddit"))


def reasons(rows: list[Link | Loss]) -> list[str]:
    return [row.reason.name if isinstance(row, Loss) else "kept" for row in rows]


@pytest.mark.parametrize("suffix", PACK)
def test_reddits_archive_is_read_by_its_own_names_however_packed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"RS_2017-12{suffix}"
    assert rows_of(path, PACK[suffix](f"\n{json.dumps(REDDIT)}\n".encode())) == [
        Link("https://example.com/essay", 17, "AskHistorians", 1514764799, True, f"{path.name}:2", "reddit")
    ]


def test_other_names_do_as_well(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path / "a.jsonl", b'\xef\xbb\xbf{"URL": "x", "Karma": "3.0", "community": "c", "date": "1970-01-02"}'
    )
    assert rows == [Link("x", 3, "c", 86400, False, "a.jsonl:1", "reddit")]


def test_a_table_of_commas_or_tabs_is_read_by_its_first_line(tmp_path: Path) -> None:
    table = b'url,Score,subreddit,over_18\r\n"https://example.com/a,b",4,pics,True\r\n\r\nhttps://example.com/c,,,\r\n'
    expected = [("https://example.com/a,b", 4, "pics", True), ("https://example.com/c", None, "", False)]
    for name, content in {"a.csv": table, "a.tsv": table.replace(b"a,b", b"a;b").replace(b",", b"\t")}.items():
        rows = rows_of(tmp_path / name, content)
        found = [
            (row.url.replace(";", ","), row.votes, row.community, row.over_18) for row in rows if isinstance(row, Link)
        ]
        assert found == expected
        assert [row.id for row in rows] == [f"{name}:2", f"{name}:4"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"url": "http://a.com/\xff"}', "not JSON"),
        (b'{"score": ' + b"9" * 5_000 + b"}", "not JSON"),
        (b'{"score": 3}', "no URL"),
        (b'{"url": null}', "no URL"),
        (b'{"url": {"a": 1}}', "no URL"),
        (b'{"url": "x", "is_self": true}', "self post"),
        (b'{"url": "x", "score": "many"}', "unreadable number"),
        (b'{"url": "x", "score": true}', "unreadable number"),
        (b'{"url": "x", "score": 1e999}', "unreadable number"),
        (b'{"url": "x", "score": NaN}', "unreadable number"),
        (b'{"url": "x", "score": [3]}', "unreadable number"),
        (b'{"url": "x", "time": "yesterday"}', "unreadable number"),
        (b'{"url": "x", "time": 1e30}', "unreadable number"),
        (b'{"url": "x", "time": "9999-12-31T23:59:59-23:00"}', "kept"),
        (b'{"url": "' + b"x" * MAX_ROW_BYTES + b'"}', "row too long"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_row_is_one_loss_and_its_neighbours_are_read(tmp_path: Path, row: bytes, reason: str) -> None:
    good = json.dumps(REDDIT).encode()
    rows = rows_of(tmp_path / "a.jsonl", b"\n".join([good, row, good]))
    assert reasons(rows) == ["kept", reason, "kept"]
    assert [one.id for one in rows] == ["a.jsonl:1", "a.jsonl:2", "a.jsonl:3"]


def test_a_bad_row_of_a_table_is_one_loss(tmp_path: Path) -> None:
    table = (
        b'url,score\nhttps://a.com/,1,2\nhttps://a.com/\nhttps://b.com/,5\n"' + b"x" * 200_000 + b"\nhttps://c.com/,6\n"
    )
    assert reasons(rows_of(tmp_path / "a.csv", table)) == ["not CSV", "not CSV", "kept", "not CSV", "kept"]


@pytest.mark.parametrize("suffix", [suffix for suffix in PACK if suffix])
@pytest.mark.parametrize("damage", ["cut", "garbled"])
def test_a_damaged_file_gives_what_it_can_and_then_says_so(tmp_path: Path, suffix: str, damage: str) -> None:
    random_votes = random.Random(1)
    content = "\n".join(json.dumps({**REDDIT, "score": random_votes.randrange(10**9)}) for _ in range(3_000)).encode()
    packed = PACK[suffix](content)
    half = len(packed) // 2
    damaged = packed[:half] if damage == "cut" else packed[:half] + bytes(4_000) + packed[half + 4_000 :]
    *_, last = rows = rows_of(tmp_path / f"a.jsonl{suffix}", damaged)
    assert isinstance(last, Loss)
    assert last.reason.name == "damaged file"
    assert reasons(rows).count("kept") < 3_000


def test_frames_of_zstandard_follow_each_other(tmp_path: Path) -> None:
    row = json.dumps(REDDIT).encode() + b"\n"
    assert reasons(rows_of(tmp_path / "a.zst", PACK[".zst"](row) * 3)) == ["kept"] * 3


def test_a_list_that_cannot_be_used_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no file: give a list of links"):
        next(read_links(tmp_path / "none.jsonl"))
    for content in (b"", b"https://a.com/,5\n"):
        with pytest.raises(DataError, match="has no column of addresses"):
            rows_of(tmp_path / "a.csv", content)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv"])
@given(content=st.binary() | st.text().map(str.encode))
def test_no_content_raises_anything_but_our_own_error(
    name: str, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(b"url\n" + content)
    for row in read_links(path):
        assert row.id.startswith(name)
