"""A source's bytes as one stream, whatever compresses them, that knows where each member begins and if it is sound."""

import bz2
import io
import lzma
import zlib
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import IO, Any, Protocol, cast

from gptrilogy.corpus.readers.finding import SourceFile, compression_of, filesystem
from gptrilogy.corpus.readers.limits import Limits, UnreadableError
from gptrilogy.errors import DataError

PIECE_BYTES = 1 << 16
HEAD_BYTES = 10
MAGICS = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst", b"\xfd7zXZ\x00": ".xz"}
MAX_XZ_BYTES = 80 << 20  # what unpacking may take: `xz -9` wants 65 MiB
BZIP2_MAGICS = (b"1AY&SY", b"\x17rE8P\x90")  # of a block or of the end, after "BZh" and a digit


class Decoder(Protocol):
    """One compressed member, inflated piece by piece; those of `bz2` and `lzma` are decoders as they stand."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class ZlibDecoder:
    """A gzip member with its checksum (`wbits` 31), a zlib stream (15) or bare deflate (-15)."""

    def __init__(self, wbits: int = 31) -> None:
        self._inner = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


class ZstdDecoder:
    """A Zstandard frame, fed so little at a time that what comes out is bounded."""

    FEED_BYTES = 512  # four bytes may stand for a block of 128 KiB, so one call gives at most 16 MiB

    def __init__(self, max_window_bytes: int) -> None:
        import zstandard  # here, since only Zstandard needs it

        self._failure = zstandard.ZstdError
        self._inner = zstandard.ZstdDecompressor(max_window_size=max_window_bytes).decompressobj()
        self._waiting = memoryview(b"")

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data + bytes(self._waiting)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        del max_length  # the library has none
        if data:
            self._waiting = memoryview(bytes(self._waiting) + data)
        content = b""
        while self._waiting and not content and not self.eof:
            feed, self._waiting = self._waiting[: self.FEED_BYTES], self._waiting[self.FEED_BYTES :]
            try:
                content = self._inner.decompress(feed)
            except self._failure as error:
                raise OSError(str(error)) from None
        return content


class Unpacked(io.RawIOBase):
    """The content of a file of compressed members, one after another, or of one that is not compressed at all.

    A piece is handed out only when the next one has been looked at, so whoever has read a member to its end finds in
    `damage` whether its checksum holds. What is sound is handed out; then reading raises the damage.

    Raises: UnreadableError while reading, where the source is cut short or not what its name says.
    """

    def __init__(self, source: IO[bytes], decoder: Callable[[], Decoder] | None, *, head: bytes = b"") -> None:
        super().__init__()
        self.damage: UnreadableError | None = None
        self._source, self._make, self._head = source, decoder, head  # the head was read already
        self._decoder: Decoder | None = None  # of the member we are in
        self._input, self.taken_bytes = b"", 0  # what the decoder has yet to see; what was read of the file
        self._ahead, self._rest = b"", memoryview(b"")
        self._made_bytes = self._given_bytes = 0
        self._starts = deque[tuple[int, int]]()  # of recent members: first byte of content, first byte in the file

    @property
    def compressed(self) -> bool:
        return self._make is not None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest:
            self._rest = memoryview(self._turn())
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        self._given_bytes += count
        while len(self._starts) > 1 and self._starts[1][0] <= self._given_bytes - 2 * PIECE_BYTES:
            self._starts.popleft()
        return count

    def locate(self, position: int) -> tuple[int, int]:
        """Where in the file the member begins that holds a byte of content, and how far into it that byte is."""
        if self._make is None:
            return position, 0
        begin, offset = next((start for start in reversed(self._starts) if start[0] <= position), (0, 0))
        return offset, position - begin

    @property
    def damaged_from(self) -> int:
        """The first byte of content of the member that is damaged, if one is."""
        return self._starts[-1][0] if self._starts else 0

    def _turn(self) -> bytes:
        """The next piece, with a look at what follows it in its member."""
        if self._make is None:
            return self._take()
        piece = self._ahead
        while not piece and self._within_member():
            piece = self._inflate()
        self._ahead = self._inflate() if piece and self._decoder else b""
        if not piece and self.damage:
            raise self.damage
        return piece

    def _within_member(self) -> bool:
        """True if there is a member to go on with; the next one is begun where one has ended."""
        if self.damage:
            return False
        if self._decoder is None:
            self._input = self._input or self._take()
            while self._input[:1] == b"\0":  # padding, as tapes and tar leave it
                self._input = self._input.lstrip(b"\0") or self._take()
            if not self._input or self._make is None:
                return False
            begin = (self._made_bytes, self.taken_bytes - len(self._input))
            if self._starts and self._starts[-1][0] == begin[0]:
                self._starts.pop()  # that member was empty
            self._starts.append(begin)
            self._decoder = self._make()
        return True

    def _inflate(self) -> bytes:
        """The next piece of the present member; nothing at its end, where its checksum held, or where it is damaged."""
        content = b""
        while self._decoder and not content and not self.damage:
            try:
                content = self._decoder.decompress(self._input, PIECE_BYTES)
            except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
                self.damage = _explain(error)
                break
            self._input = b""
            if self._decoder.eof:
                self._input, self._decoder = self._decoder.unused_data, None
            elif not content:
                self._input = self._take()
                if not self._input:
                    self.damage = UnreadableError("truncated archive", "the file ends within compressed data")
        self._made_bytes += len(content)
        return content

    def _take(self) -> bytes:
        content = self._head or self._source.read(PIECE_BYTES)
        self._head = b""
        self.taken_bytes += len(content)
        return content


def _explain(error: Exception) -> UnreadableError:
    if "too much memory" in str(error):
        return UnreadableError("inflates past the limit", "its Zstandard window is wider than max_window_bytes")
    if "usage limit exceeded" in str(error):
        return UnreadableError("inflates past the limit", "its xz window is wider than max_window_bytes")
    return UnreadableError("malformed archive", str(error))


def decoder_of(compression: str, limits: Limits) -> Callable[[], Decoder] | None:
    """What makes a decoder for each member of a file compressed as a suffix says."""
    makers: dict[str, Callable[[], Decoder]] = {
        ".gz": ZlibDecoder,
        ".bz2": bz2.BZ2Decompressor,
        ".xz": lambda: lzma.LZMADecompressor(memlimit=max(MAX_XZ_BYTES, limits.max_window_bytes)),
        ".zst": lambda: ZstdDecoder(limits.max_window_bytes),
    }
    return makers.get(compression)


def sniff(head: bytes) -> str:
    """The compression that the first bytes of a file show, as a suffix.

    >>> sniff(b"\\x1f\\x8b\\x08\\x00"), sniff(b"BZh91AY&SY"), sniff(b"BZh is text")
    ('.gz', '.bz2', '')
    """
    if head.startswith(b"BZh") and head[4:10] in BZIP2_MAGICS:
        return ".bz2"
    return next((suffix for magic, suffix in MAGICS.items() if head.startswith(magic)), "")


@contextmanager
def opened(file: SourceFile, limits: Limits) -> Generator["io.BufferedReader[Unpacked]"]:
    """A file's content, unpacked: by what its first bytes show, and by its name, which must not promise more.

    Raises: DataError where the disk or the network does not give the bytes.
    """
    with stored(file) as source:
        head = source.read(HEAD_BYTES)
        decoder = decoder_of(sniff(head) or compression_of(file.path), limits)
        yield io.BufferedReader(Unpacked(source, decoder, head=head), PIECE_BYTES)


@contextmanager
def stored(file: SourceFile) -> Generator[IO[bytes]]:
    """A file's bytes as they are stored.

    Raises: DataError where the disk or the network does not give them.
    """
    try:
        if "://" in file.path:
            system, path = filesystem(file.path)
            source = cast("IO[bytes]", system.open(path, "rb"))
        else:
            source = open(file.path, "rb")  # noqa: PTH123, SIM115 - closed below, as the remote one
        with source:
            yield source
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"cannot read {file.path}: {reason}; check the name and its permissions") from None
