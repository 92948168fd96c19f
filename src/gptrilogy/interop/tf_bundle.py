"""TensorFlow's checkpoints of version 2, "bundles", read without TensorFlow: an index beside files of numbers.

The index `X.index` is a sorted table of protocol buffers: a header under the empty key, then for each tensor its type,
its shape, and its place in a file such as `X.data-00000-of-00001`. Nothing there is believed: every number is held
against what the files really have before it is used, and no file name comes from them.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gptrilogy.errors import FormatError
from gptrilogy.interop.sorted_table import ByteReader, crc32c, masked_crc32c, read_table
from gptrilogy.interop.untrusted import damaged, naming, small_file

VERSION = 1  # of the bundle format; a header may ask for a later reader
CHUNK_BYTES = 1 << 20

# Far more than any GPT needs, and far less than a hostile index could ask for: GPT-2's largest has 580 tensors.
MAX_INDEX_BYTES = 1 << 20
MAX_TENSORS = 4096
MAX_DIMS = 8

DTYPES = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "|u1", 5: "<i2", 6: "|i1", 9: "<i8", 17: "<u2", 19: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip
OTHER_DTYPES = {7: "string", 8: "complex64", 10: "bool", 14: "bfloat16", 18: "complex128"}
VARINT, MESSAGE, FIXED32 = 0, 2, 5  # wire types of protocol buffers

Numbers = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one tensor lies, and what it must be there."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    shard: int
    offset: int
    size_bytes: int
    checksum: int


class Bundle(Mapping[str, Numbers]):
    """The tensors of a checkpoint by name; each is read, and its checksum verified, when it is asked for.

    Raises: FormatError from `[]`, naming the file and the tensor whose bytes cannot be read or are damaged.
    """

    def __init__(self, shards: list[Path], entries: dict[str, Entry]) -> None:
        self._shards = shards
        self.entries = entries

    def __getitem__(self, name: str) -> Numbers:
        entry = self.entries[name]
        path = self._shards[entry.shard]
        with naming(path):
            content, checksum = _read(path, entry.offset, entry.size_bytes)
            if checksum != entry.checksum:
                raise damaged(f"tensor {name} has CRC32C {checksum:08x}, the index says {entry.checksum:08x}")
        return content.view(entry.dtype).reshape(entry.shape)

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def read_bundle(prefix: Path) -> Bundle:
    """The checkpoint in the files `prefix.index` and `prefix.data-...`: its index is read and checked, no tensor yet.

    Raises: FormatError naming the file, the tensor, the value and its limit, where one is missing, damaged or not
        read here: compressed blocks, tensors saved in slices, big-endian numbers, types other than plain numbers.
    """
    index = prefix.with_name(f"{prefix.name}.index")
    with naming(index):
        table = read_table(small_file(index, MAX_INDEX_BYTES))
        key, header = next(table, (b"", b""))
        if key:
            raise damaged(f"it begins with {key!r:.60} where a header is due")
        n_shards = _n_shards(header)
        entries = dict(_entries(table, n_shards))
    shards: list[Path] = []
    for shard in range(n_shards):  # one by one: a hostile index can count more files than there are
        path = prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{n_shards:05d}")
        with naming(path):
            _must_fit({name: entry for name, entry in entries.items() if entry.shard == shard}, path)
        shards.append(path)
    return Bundle(shards, entries)


def _must_fit(entries: Mapping[str, Entry], shard: Path) -> None:
    """Each tensor of a shard lies inside the file and on no other, so that all of them need no more memory than it."""
    if not shard.is_file():
        raise damaged("it is missing, though the index counts it among the checkpoint's files")
    file_bytes, free_from = shard.stat().st_size, 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].offset, item[1].size_bytes)):
        end = entry.offset + entry.size_bytes
        if end > file_bytes:
            raise damaged(f"tensor {name} is said to end at byte {end}, the file has {file_bytes}")
        if entry.offset < free_from:
            raise damaged(f"tensor {name} begins at byte {entry.offset}, inside the one that ends at {free_from}")
        free_from = end


def _read(path: Path, offset: int, size_bytes: int) -> tuple[NDArray[np.uint8], int]:
    """A stretch of a file, which it is known to have, and its masked CRC32C."""
    content = np.empty(size_bytes, np.uint8)
    checksum = at = 0
    with path.open("rb") as file:
        file.seek(offset)
        while at < size_bytes:
            chunk = file.read(min(CHUNK_BYTES, size_bytes - at))
            if not chunk:
                raise damaged(f"it ends at byte {offset + at}, it had {offset + size_bytes}")
            checksum = crc32c(chunk, checksum)
            content[at : at + len(chunk)] = np.frombuffer(chunk, np.uint8)
            at += len(chunk)
    return content, masked_crc32c(checksum)


# The two messages of protocol buffers.


def _n_shards(header: bytes) -> int:
    numbers, parts = _message(header, {1: VARINT, 2: VARINT, 3: MESSAGE})
    if numbers.get(2, 0):
        raise FormatError(
            "its numbers are big-endian, only little-endian ones are read here; save it again on a machine of today"
        )
    version, _ = _message(b"".join(parts.get(3, [])), {1: VARINT, 2: VARINT})
    if version.get(2, 0) > VERSION:
        raise FormatError(
            f"asks for a reader of version {version[2]}, this one is of {VERSION}; save it as a V2 checkpoint"
        )
    n_shards = numbers.get(1, 0)
    if not 1 <= n_shards <= 99_999:
        raise damaged(f"counts {n_shards} data files, it must be 1 to 99999")
    return n_shards


def _entries(table: Iterator[tuple[bytes, bytes]], n_shards: int) -> Iterator[tuple[str, Entry]]:
    for count, (key, value) in enumerate(table, start=1):
        if count > MAX_TENSORS:
            raise FormatError(f"has more than {MAX_TENSORS} tensors; no GPT that is read here has so many")
        name = key.decode("utf-8", errors="replace")
        if not name.isprintable() or "\ufffd" in name:
            raise damaged(f"a tensor has the name {key!r:.80}, which cannot be printed")
        try:
            yield name, _entry(value, n_shards)
        except FormatError as error:
            raise FormatError(f"tensor {name}: {error}") from None


def _entry(value: bytes, n_shards: int) -> Entry:
    kinds = {1: VARINT, 2: MESSAGE, 3: VARINT, 4: VARINT, 5: VARINT, 6: FIXED32, 7: MESSAGE}
    numbers, parts = _message(value, kinds)
    if 7 in parts:
        raise FormatError("it was saved in slices, which are not read here; save it again as one variable")
    dtype = np.dtype(_dtype(numbers.get(1, 0)))
    entry = Entry(
        dtype=dtype,
        shape=_shape(b"".join(parts.get(2, []))),
        shard=numbers.get(3, 0),
        offset=numbers.get(4, 0),
        size_bytes=numbers.get(5, 0),
        checksum=numbers.get(6, 0),
    )
    if not 0 <= entry.shard < n_shards:
        raise damaged(f"is in data file {entry.shard}, there are {n_shards} counted from 0")
    if entry.offset < 0 or entry.size_bytes < 0:
        raise damaged(f"offset {entry.offset} and size {entry.size_bytes} must not be below 0")
    if (needed := math.prod(entry.shape) * dtype.itemsize) != entry.size_bytes:
        raise damaged(f"shape {list(entry.shape)} of {dtype} needs {needed} bytes, {entry.size_bytes} are claimed")
    return entry


def _dtype(number: int) -> str:
    if number not in DTYPES:
        name = OTHER_DTYPES.get(number, f"no. {number}")
        raise FormatError(f"its type {name} is not read here; save the checkpoint again with float32 weights alone")
    return DTYPES[number]


def _shape(message: bytes) -> tuple[int, ...]:
    numbers, parts = _message(message, {2: MESSAGE, 3: VARINT})
    dims = parts.get(2, [])
    if numbers.get(3, 0):
        raise damaged("its shape is unknown")
    if len(dims) > MAX_DIMS:
        raise damaged(f"its shape has {len(dims)} dimensions, at most {MAX_DIMS} are read")
    shape = tuple(_message(dim, {1: VARINT, 2: MESSAGE})[0].get(1, 0) for dim in dims)
    if min(shape, default=1) < 1:
        raise damaged(f"shape {list(shape)} has a size below 1")
    return shape


def _message(data: bytes, kinds: Mapping[int, int]) -> tuple[dict[int, int], dict[int, list[bytes]]]:
    """The fields of a protocol buffer by number: those that are numbers, signed, and those that are bytes."""
    reader = ByteReader(data)
    numbers: dict[int, int] = {}
    parts: dict[int, list[bytes]] = {}
    while reader.left:
        tag = reader.varint()
        field, kind = tag >> 3, tag & 7
        if kinds.get(field) != kind:
            raise damaged(f"field {field} of kind {kind} is none that TensorFlow writes")
        if kind == MESSAGE:
            parts.setdefault(field, []).append(reader.take(reader.varint()))
        elif field in numbers:
            raise damaged(f"field {field} is given twice")
        else:
            value = reader.varint() if kind == VARINT else int.from_bytes(reader.take(4), "little")
            numbers[field] = value - (value >> 63 << 64)  # negative ones are stored as their complement of two
    return numbers, parts
