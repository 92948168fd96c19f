import bz2
import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gptrilogy.corpus.documents import Loss, Page
from gptrilogy.corpus.readers import Limits, find_files, read_pages
from gptrilogy.corpus.readers.limits import UnreadableError
from gptrilogy.corpus.readers.opening import Unpacked, decoder_of, opened
from gptrilogy.errors import DataError

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def unpacked(compression: str, content: bytes) -> "io.BufferedReader[Unpacked]":
    return io.BufferedReader(Unpacked(io.BytesIO(content), decoder_of(compression, Limits())))


@pytest.mark.parametrize("compression", PACKERS)
@settings(max_examples=30)
@given(members=st.lists(st.tuples(st.binary(max_size=200), st.integers(0, 1000)), min_size=1, max_size=4))
def test_the_members_of_a_file_are_read_as_one_content(compression: str, members: list[tuple[bytes, int]]) -> None:
    contents = [seed * times for seed, times in members]
    packed = b"".join(PACKERS[compression](content) for content in contents)
    assert unpacked(compression, packed).read() == b"".join(contents)


def test_frames_that_hold_nothing_are_passed_over() -> None:
    skipped = bytes.fromhex("502a4d18") + (5).to_bytes(4, "little") + b"aside"
    assert unpacked(".zst", skipped + zstandard.compress(b"text") + skipped).read() == b"text"


@pytest.mark.parametrize("compression", PACKERS)
def test_a_byte_of_content_is_traced_to_its_member(compression: str) -> None:
    contents = [bytes([number]) * 50_000 for number in range(1, 9)]
    packed = [PACKERS[compression](content) for content in contents]
    stream = unpacked(compression, b"".join(packed))
    for number, content in enumerate(contents):
        assert stream.read(10) == content[:10]
        assert stream.raw.locate(50_000 * number + 9) == (sum(map(len, packed[:number])), 9)
        assert stream.read(len(content) - 10) == content[10:]


@pytest.mark.parametrize("compression", PACKERS)
def test_content_cut_short_is_never_taken_for_whole(compression: str) -> None:
    packed = PACKERS[compression](os.urandom(300) + bytes(300_000))
    for cut in range(1, len(packed)):
        with pytest.raises(UnreadableError) as raised:
            unpacked(compression, packed[:cut]).read()
        assert raised.value.reason.name == "truncated archive"


@pytest.mark.parametrize("compression", PACKERS)
def test_a_wrong_checksum_is_known_when_the_last_byte_of_its_member_is(compression: str) -> None:
    packed = bytearray(PACKERS[compression](b"It is a truth universally acknowledged"))
    packed[-5 if compression == ".gz" else 10 if compression == ".bz2" else -1] ^= 1
    stream = unpacked(compression, bytes(packed))
    with pytest.raises(UnreadableError) as raised:
        stream.read()
    assert raised.value.reason.name == "malformed archive"
    assert (stream.raw.damage, stream.raw.damaged_from) == (raised.value, 0)


def test_a_zstandard_window_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=24, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    (tmp_path / "a.txt.zst").write_bytes(packer.compress(b"text " * 1000) + packer.flush())
    (file,) = find_files([str(tmp_path)])
    (loss,) = read_pages(file, Limits())
    assert isinstance(loss, Loss)
    assert loss.reason == ("inflates past the limit", "its Zstandard window is wider than max_window_bytes")
    (page,) = read_pages(file, Limits(max_window_bytes=1 << 24))
    assert isinstance(page, Page)
    assert page.content == "text " * 1000


@pytest.mark.parametrize("content", [b"", b"B", b"BZh is how bzip2 begins", b"\x1fhello", b"plain"])
def test_what_only_resembles_compression_is_read_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    (file,) = find_files([str(tmp_path / "a.txt")])
    with opened(file, Limits()) as stream:
        assert stream.read() == content


def test_a_file_that_is_gone_ends_the_build_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (file,) = find_files([str(tmp_path / "a.txt")])
    (tmp_path / "a.txt").unlink()
    with pytest.raises(DataError, match=r"cannot read .*a\.txt: No such file or directory; check the name"):
        list(read_pages(file, Limits()))
