import gzip
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.readers import Limits
from gptrilogy.corpus.readers.bodies import decoded
from gptrilogy.corpus.readers.limits import UnreadableError

BODY = b"<html><p>It is a truth universally acknowledged</p></html>" * 50
BROTLI = bytes.fromhex(  # of the body, by the reference encoder
    "1b530ba8444f96ea53305d891a1b9b71b001173037d302b6da5d72c974c612ec521935220f0eee339e5a625624e0d402000c"
)


def chunked(content: bytes, size: int = 100) -> bytes:
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def bare_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


PACKED = {
    "chunked": chunked(BODY),
    "gzip": gzip.compress(BODY, mtime=0),
    "x-gzip": gzip.compress(BODY, mtime=0),
    "deflate": zlib.compress(BODY),
    "zstd": zstandard.compress(BODY),
    "br": BROTLI,
}


@pytest.mark.parametrize("coding", PACKED)
def test_a_coding_is_undone(coding: str) -> None:
    assert decoded(PACKED[coding], [coding], Limits()) == BODY


def test_deflate_without_its_wrapping_is_undone() -> None:
    assert decoded(bare_deflate(BODY), ["deflate"], Limits()) == BODY


@given(content=st.binary(max_size=3000), size=st.integers(1, 500))
def test_codings_are_undone_last_first(content: bytes, size: int) -> None:
    body = chunked(gzip.compress(content, mtime=0), size)
    assert decoded(body, ["gzip", "chunked"], Limits()) == content


@pytest.mark.parametrize("coding", [*PACKED, "identity", "none", ""])
def test_a_coding_that_was_undone_before_storing_is_passed_over(coding: str) -> None:
    assert decoded(BODY, [coding], Limits()) == BODY


@pytest.mark.parametrize("coding", PACKED)
def test_a_body_that_ends_early_is_a_loss_unless_the_crawler_says_so(coding: str) -> None:
    body = PACKED[coding][: -7 if coding == "chunked" else -2]
    with pytest.raises(UnreadableError) as raised:
        decoded(body, [coding], Limits())
    assert raised.value.reason.name == "malformed http body"
    if coding == "gzip":  # whose decoder gives what it has
        assert decoded(body, [coding], Limits(), cut=True) == BODY


@pytest.mark.parametrize("coding", PACKED)
def test_no_coding_inflates_past_the_limit(coding: str) -> None:
    with pytest.raises(UnreadableError) as raised:
        decoded(PACKED[coding], [coding], Limits(max_record_bytes=1000))
    assert raised.value.reason == ("inflates past the limit", "more than 1,000 bytes")
    assert decoded(PACKED[coding], [coding], Limits(max_record_bytes=len(BODY))) == BODY


def test_an_unknown_coding_is_a_loss() -> None:
    with pytest.raises(UnreadableError) as raised:
        decoded(BODY, ["rot13"], Limits())
    assert raised.value.reason == ("unknown http coding", "rot13")
