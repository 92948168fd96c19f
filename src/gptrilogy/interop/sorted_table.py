"""Sorted string tables in LevelDB's layout, as TensorFlow's checkpoints use them: keys to values, read once in order.

A table is blocks of entries, each followed by a checksum; then one more block that says where those lie; then a footer
of 48 bytes that says where that one lies. Nothing in it is believed: every number is held against what there really is
before it is used.
"""

import struct
from collections.abc import Iterator

import google_crc32c

from gptrilogy.errors import FormatError
from gptrilogy.interop.untrusted import damaged

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER_BYTES, HANDLES_BYTES, TRAILER_BYTES = 48, 40, 5
MAX_KEY_BYTES = 256  # a few bytes can ask for a long key again and again


def read_table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a whole file. Its blocks must fill it to the footer: no byte goes without a checksum.

    Raises: FormatError saying what is damaged, or that a block is compressed.
    """
    footer_at = len(data) - FOOTER_BYTES
    if footer_at < 0 or not data.endswith(MAGIC):
        raise damaged(f"its {len(data)} bytes do not end in {MAGIC.hex()}, as the index of a V2 checkpoint does")
    footer = ByteReader(data[footer_at : footer_at + HANDLES_BYTES])
    meta, index = _handle(footer), _handle(footer)
    if any(footer.take(footer.left)):
        raise damaged("the empty part of its footer is not empty")
    at, last = 0, None
    for separator, value in _block(data, index):
        handle = _handle(ByteReader(value))
        at = _end(handle, begin=at)
        for key, content in _block(data, handle):
            if last is not None and key <= last:
                raise damaged(f"key {key!r:.60} does not come after {last!r:.60}")
            yield key, content
            last = key
        if last is not None and separator < last:
            raise damaged(f"key {last!r:.60} is in a block of keys up to {separator!r:.60}")
        last = separator
    at = _end(index, begin=_end(meta, begin=at))
    if at != footer_at:
        raise damaged(f"its blocks end at byte {at}, its footer begins at {footer_at}")
    if any(_block(data, meta)):
        raise damaged("its block of filters, which TensorFlow leaves empty, is not empty")


def _handle(reader: "ByteReader") -> tuple[int, int]:
    """Where a block begins, and its size."""
    return reader.varint(), reader.varint()


def _end(handle: tuple[int, int], *, begin: int) -> int:
    """The byte after a block, which must begin at the one after the block before it."""
    offset, size = handle
    if offset != begin:
        raise damaged(f"a block begins at byte {offset}, not at {begin} where the one before it ends")
    return offset + size + TRAILER_BYTES


def _block(data: bytes, handle: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a block; each key is stored as what it adds to a beginning of the key before it."""
    offset, size = handle
    end = offset + size
    if end + TRAILER_BYTES > len(data) - FOOTER_BYTES:
        raise damaged(f"a block of {size} bytes from byte {offset} does not fit into its {len(data)} bytes")
    kind, stored = struct.unpack("<BI", data[end : end + TRAILER_BYTES])
    checksum = masked_crc32c(crc32c(data[offset : end + 1]))
    if checksum != stored:
        raise damaged(f"the block at byte {offset} has CRC32C {checksum:08x}, {stored:08x} is stored")
    if kind:
        name = "snappy" if kind == 1 else f"kind {kind}"
        raise FormatError(
            f"the block at byte {offset} is compressed ({name}), which is not read here; "
            "save the checkpoint again with TensorFlow's Saver, which does not compress"
        )
    n_restarts = int.from_bytes(data[max(offset, end - 4) : end], "little")
    entries_end = end - 4 - 4 * n_restarts
    if entries_end < offset:
        raise damaged(f"the block at byte {offset} has {size} bytes and {n_restarts} restart points, which need more")
    reader, key = ByteReader(data[offset:entries_end]), b""
    while reader.left:
        n_shared, n_added, n_value = reader.varint(), reader.varint(), reader.varint()
        if n_shared > len(key) or n_shared + n_added > MAX_KEY_BYTES:
            raise damaged(f"a key of {n_shared} + {n_added} bytes after one of {len(key)}, {MAX_KEY_BYTES} at most")
        key = key[:n_shared] + reader.take(n_added)
        yield key, reader.take(n_value)


class ByteReader:
    """Bytes from front to end, never past it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise damaged(f"{size} bytes are announced where {self.left} are left")
        self._at += size
        return self._data[self._at - size : self._at]

    def varint(self) -> int:
        """A number below 2^64 in groups of seven bits, lowest first, and in no more groups than it needs."""
        value = 0
        for count, byte in enumerate(self._data[self._at : self._at + 10]):
            value |= (byte & 0x7F) << 7 * count
            if byte < 0x80:
                if value >> 64 or (count and not byte):
                    break
                self._at += count + 1
                return value
        raise damaged(f"there is no number at its byte {self._at}")


def crc32c(content: bytes, before: int = 0) -> int:
    """Castagnoli's checksum of a content, or of one that goes on after what had the checksum `before`.

    >>> crc32c(b"89", crc32c(b"1234567")) == crc32c(b"123456789") == 0xE3069283
    True
    """
    return int(google_crc32c.extend(before, content))  # pyright: ignore[reportUnknownArgumentType]: its C half has no types


def masked_crc32c(checksum: int) -> int:
    """A CRC32C as it is stored: turned and shifted, so that a checksum over bytes with checksums stays a good one.

    >>> hex(masked_crc32c(0))
    '0xa282ead8'
    """
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
