"""LevelDB's table: what a sound one holds, and that an unsound one is refused for its own reason."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.errors import FormatError
from gptrilogy.interop.sorted_table import FOOTER_BYTES, MAGIC, MAX_KEY_BYTES, ByteReader, read_table
from openai_folders import GPT2
from tf_bundle_writer import assemble, block, handle, raw_entry, sealed, table, varint

KEYS = st.binary(min_size=1, max_size=12).filter(lambda key: key[0] < 255)
ONE = [(b"b", block([(b"a", b"1"), (b"b", b"2")]))]


def refusal(data: bytes) -> str:
    with pytest.raises(FormatError) as raised:
        list(read_table(data))
    assert "\n" not in str(raised.value)
    return str(raised.value)


@given(pairs=st.dictionaries(KEYS, st.binary(max_size=20), min_size=1), block_entries=st.integers(1, 40))
def test_what_was_written_is_read(pairs: dict[bytes, bytes], block_entries: int) -> None:
    assert list(read_table(table(sorted(pairs.items()), block_entries=block_entries))) == sorted(pairs.items())


@given(data=st.binary(max_size=200))
def test_noise_is_refused(data: bytes) -> None:
    refusal(data)


@given(body=st.binary(max_size=80))
def test_a_block_of_noise_with_a_good_checksum_never_breaks_the_reader(body: bytes) -> None:
    with suppress(FormatError):
        for key, _ in read_table(assemble([(b"\xff" * MAX_KEY_BYTES, body)])):
            assert len(key) <= MAX_KEY_BYTES


def test_every_single_bit_of_what_tensorflow_wrote_counts() -> None:
    data = (GPT2 / "model.ckpt.index").read_bytes()
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            list(read_table(bytes(changed)))


def test_every_cut_of_what_tensorflow_wrote_counts() -> None:
    data = (GPT2 / "model.ckpt.index").read_bytes()
    for size in range(len(data)):
        refusal(data[:size])


@given(value=st.integers(0, 2**64 - 1))
def test_numbers_come_back(value: int) -> None:
    assert ByteReader(varint(value)).varint() == value


UNSOUND = {
    "its 0 bytes do not end in 57fb808b247547db": b"",
    "do not end in 57fb808b247547db": table([(b"a", b"")])[:-1] + b"\0",
    "does not fit into its 48 bytes": table([(b"a", b"")])[-FOOTER_BYTES:],
    "has CRC32C": b"junk" + table([(b"a", b"")]),
    "key b'a' does not come after b'b'": assemble([(b"b", block([(b"b", b""), (b"a", b"")]))]),
    "key b'a' does not come after b'a'": assemble([(b"b", block([(b"a", b"1"), (b"a", b"2")]))]),
    "key b'b' does not come after b'b'": assemble([*ONE, (b"c", block([(b"b", b"3")]))]),
    "key b'b' is in a block of keys up to b'a'": assemble([(b"a", block([(b"b", b"")]))]),
    "the block at byte 0 is compressed (snappy), which is not read here; save": assemble(ONE, kind=1),
    "compressed (kind 7)": assemble(ONE, kind=7),
    "its block of filters": assemble(ONE, meta=block([(b"filter", b"")])),
    "has 0 bytes and 0 restart points, which need more": assemble([(b"a", b"")]),
    "has 8 bytes and 4294967295 restart points": assemble([(b"a", b"\0" * 4 + b"\xff" * 4)]),
    "a key of 3 + 1 bytes after one of 0, 256 at most": assemble([(b"a", raw_entry(3, b"a", b"") + b"\0" * 4)]),
    "a key of 0 + 257 bytes": assemble([(b"a", raw_entry(0, b"a" * 257, b"") + b"\0" * 4)]),
    "5 bytes are announced where 0 are left": assemble([(b"a", b"\0\x01\x05a" + b"\0" * 4)]),
    "there is no number at its byte 0": assemble([(b"a", b"\xff" * 3 + b"\0" * 4)]),
    "no number at its byte 0": assemble([(b"a", b"\xff" * 11 + b"\0" * 4)]),
    "number at its byte 0": assemble([(b"a", b"\xff" * 9 + b"\x02" + b"\0" * 4)]),
    "at its byte 1": assemble([(b"a", b"\0\x80\0" + b"\0" * 4)]),
}


@pytest.mark.parametrize(("reason", "data"), UNSOUND.items(), ids=UNSOUND)
def test_an_unsound_table_is_refused_and_the_reason_is_said(reason: str, data: bytes) -> None:
    assert reason in refusal(data)


def with_index(
    pairs: list[tuple[bytes, bytes]], *, between: bytes = b"", after: bytes = b"", padding: bytes = b""
) -> bytes:
    """One good block at byte 0, and an index and footer of the test's own."""
    content = sealed(ONE[0][1])
    meta, index = block([]), block(pairs)
    index_at = len(content) + len(sealed(meta)) + len(between)
    footer = handle(len(content), len(meta)) + handle(index_at, len(index)) + padding
    return content + sealed(meta) + between + sealed(index) + after + footer.ljust(40, b"\0") + MAGIC


WHOLE = handle(0, len(ONE[0][1]))
MISPLACED = {
    "a block of 1099511627776 bytes from byte 0 does not fit": with_index([(b"b", handle(0, 2**40))]),
    "a block begins at byte 9223372036854775808, not at 0": with_index([(b"b", handle(2**63, 9))]),
    "a block begins at byte 0, not at 23": with_index([(b"b", WHOLE), (b"c", WHOLE)]),
    "a block begins at byte 23, not at 0": with_index([]),
    "a block begins at byte 37, not at 36": with_index([(b"b", WHOLE)], between=b"?"),
    "its blocks end at byte 55, its footer begins at 56": with_index([(b"b", WHOLE)], after=b"?"),
    "there is no number at its byte 1": with_index([(b"b", b"\0")]),
    "the empty part of its footer is not empty": with_index([(b"b", WHOLE)], padding=b"x"),
}


@pytest.mark.parametrize(("reason", "data"), MISPLACED.items(), ids=MISPLACED)
def test_a_block_outside_the_file_or_not_where_it_belongs_is_refused(reason: str, data: bytes) -> None:
    assert reason in refusal(data)


def test_the_crafted_tables_differ_from_a_sound_one_only_where_they_say() -> None:
    assert list(read_table(assemble(ONE))) == [(b"a", b"1"), (b"b", b"2")]
    assert list(read_table(with_index([(b"b", WHOLE)]))) == [(b"a", b"1"), (b"b", b"2")]
