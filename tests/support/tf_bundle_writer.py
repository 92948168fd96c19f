"""TensorFlow's bundles, written for tests: sound ones equal to its own, and such as it would never write."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gptrilogy.interop.sorted_table import MAGIC, crc32c, masked_crc32c
from gptrilogy.interop.tf_bundle import Numbers

Pair = tuple[bytes, bytes]
FLOAT = 1


# -- numbers and messages of protocol buffers


def varint(value: int) -> bytes:
    value %= 1 << 64  # negative numbers go as their complement of two
    groups = b""
    while value > 127:
        groups += bytes([value & 127 | 128])
        value >>= 7
    return groups + bytes([value])


def number(field: int, value: int) -> bytes:
    """A field that is a number; 0 is said by its absence."""
    return varint(field << 3) + varint(value) if value else b""


def part(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def header(*, n_shards: int = 1, endianness: int = 0, min_consumer: int = 0) -> bytes:
    return number(1, n_shards) + number(2, endianness) + part(3, number(1, 1) + number(2, min_consumer))


def shape_message(shape: Sequence[int]) -> bytes:
    return b"".join(part(2, number(1, size)) for size in shape)


def entry(
    content: bytes,
    shape: Sequence[int],
    offset: int,
    *,
    dtype: int = FLOAT,
    shard: int = 0,
    size_bytes: int | None = None,
    more: bytes = b"",
) -> bytes:
    """What the index says of one tensor, which keywords make say something else."""
    size_bytes = len(content) if size_bytes is None else size_bytes
    place = number(3, shard) + number(4, offset) + number(5, size_bytes)
    checksum = b"\x35" + masked_crc32c(crc32c(content)).to_bytes(4, "little")
    return number(1, dtype) + part(2, shape_message(shape)) + place + checksum + more


# -- the table


def block(pairs: Sequence[Pair], *, interval: int = 16) -> bytes:
    """Entries with the beginnings of keys left out, but for every sixteenth."""
    content, last, restarts = b"", b"", [0]
    for count, (key, value) in enumerate(pairs):
        if count and count % interval == 0:
            restarts.append(len(content))
        shared = 0 if count % interval == 0 else common(last, key)
        content += raw_entry(shared, key[shared:], value)
        last = key
    return content + b"".join(at.to_bytes(4, "little") for at in [*restarts, len(restarts)])


def raw_entry(shared: int, added: bytes, value: bytes) -> bytes:
    return varint(shared) + varint(len(added)) + varint(len(value)) + added + value


def common(left: bytes, right: bytes) -> int:
    return next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def sealed(content: bytes, *, kind: int = 0) -> bytes:
    content += bytes([kind])
    return content + masked_crc32c(crc32c(content)).to_bytes(4, "little")


def handle(offset: int, size: int) -> bytes:
    return varint(offset) + varint(size)


def assemble(blocks: Sequence[Pair], *, meta: bytes | None = None, kind: int = 0) -> bytes:
    """A whole table of blocks, each given with the key that it does not go beyond."""
    content, pairs = b"", list[Pair]()
    for separator, body in blocks:
        pairs.append((separator, handle(len(content), len(body))))
        content += sealed(body, kind=kind)
    footer = b""
    for body in (block([]) if meta is None else meta, block(pairs, interval=1)):
        footer += handle(len(content), len(body))
        content += sealed(body)
    return content + footer.ljust(40, b"\0") + MAGIC


def table(pairs: Sequence[Pair], *, block_entries: int = 10**9) -> bytes:
    """A sound table of sorted pairs, cut into blocks of so many."""
    groups = [pairs[at : at + block_entries] for at in range(0, len(pairs), block_entries)]
    last = bytes([groups[-1][-1][0][0] + 1])  # as short as the end of all keys can be said
    ends = [*(group[-1][0] for group in groups[:-1]), last]
    return assemble([(end, block(group)) for end, group in zip(ends, groups, strict=True)])


# -- whole checkpoints


def contents(tensors: Mapping[str, Numbers]) -> tuple[dict[bytes, bytes], bytes]:
    """What an index holds, and the bytes of all tensors in the order of their names."""
    entries, data = {b"": header()}, b""
    for name in sorted(tensors):
        content = tensors[name].tobytes()
        entries[name.encode()] = entry(content, np.shape(tensors[name]), len(data))
        data += content
    return entries, data


def write_bundle(prefix: Path, entries: Mapping[bytes, bytes], *shards: bytes) -> Path:
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(sorted(entries.items())))
    for number, data in enumerate(shards):
        prefix.with_name(f"{prefix.name}.data-{number:05d}-of-{len(shards):05d}").write_bytes(data)
    return prefix
