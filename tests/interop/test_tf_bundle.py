"""TensorFlow's own files come back to the bit; damaged and hostile ones are refused before they cost anything."""

import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gptrilogy.errors import FormatError
from gptrilogy.interop.tf_bundle import MAX_INDEX_BYTES, MAX_TENSORS, Bundle, Numbers, read_bundle
from openai_folders import GPT2, gpt2_tensors
from tf_bundle_writer import assemble, block, contents, entry, header, number, part, table, write_bundle

INDEX, DATA = "model.ckpt.index", "model.ckpt.data-00000-of-00001"
TENSORS: dict[str, Numbers] = {
    "a": np.arange(6, dtype="<f4").reshape(2, 3),
    "b/c": np.array(7.5, "<f4"),
    "z": np.arange(4, dtype="<f4"),
}
MB = 1 << 20


def refusal(prefix: Path) -> str:
    """The line that says why a checkpoint is not read, by the time that all its tensors are asked for."""
    with pytest.raises(FormatError) as raised:
        dict(read_bundle(prefix))
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A copy of the files that TensorFlow wrote, to be damaged."""
    for name in (INDEX, DATA):
        (tmp_path / name).write_bytes((GPT2 / name).read_bytes())
    return tmp_path / "model.ckpt"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write the checkpoint of `TENSORS` with some entries of its index exchanged, or removed where None."""

    def write(changes: dict[str, bytes | None], *shards: bytes) -> Path:
        entries, data = contents(TENSORS)
        for name, value in changes.items():
            entries[name.encode()] = value or b""
        kept = {key: value for key, value in entries.items() if changes.get(key.decode(), b"") is not None}
        return write_bundle(tmp_path / "x", kept, *(shards or (data,)))

    return write


# -- sound files


def test_what_tensorflow_wrote_is_read_to_the_bit() -> None:
    expected = gpt2_tensors()
    found = read_bundle(GPT2 / "model.ckpt")
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name], tensor)


def test_the_tests_own_writer_writes_what_tensorflow_wrote() -> None:
    entries, data = contents(gpt2_tensors())
    assert table(sorted(entries.items())) == (GPT2 / INDEX).read_bytes()
    assert data == (GPT2 / DATA).read_bytes()


def test_scalars_too_have_their_shape(write: Callable[..., Path]) -> None:
    found = read_bundle(write({}))
    assert {name: found[name].shape for name in found} == {name: tensor.shape for name, tensor in TENSORS.items()}
    assert found["b/c"] == 7.5
    assert "a" in found
    assert "d" not in found
    assert len(found) == 3


def test_tensors_may_lie_in_several_files_and_in_gaps_between_them(write: Callable[..., Path]) -> None:
    left, right = TENSORS["a"].tobytes(), TENSORS["z"].tobytes()
    changes = {
        "": header(n_shards=3),
        "a": entry(left, (2, 3), 5, shard=2),
        "z": entry(right, (4,), 0, shard=0),
        "b/c": None,
    }
    found = read_bundle(write(changes, right, b"", b"_____" + left + b"_"))
    np.testing.assert_array_equal(found["a"], TENSORS["a"])
    np.testing.assert_array_equal(found["z"], TENSORS["z"])


@pytest.mark.parametrize(("number", "dtype"), [(1, "f4"), (2, "f8"), (3, "i4"), (4, "u1"), (9, "i8"), (19, "f2")])
def test_plain_numbers_of_other_types_are_read(write: Callable[..., Path], number: int, dtype: str) -> None:
    tensor = np.array([1, 2, 3], dtype)
    content = tensor.tobytes()
    changes = {"a": entry(content, (3,), 0, dtype=number), "b/c": None, "z": None}
    found = read_bundle(write(changes, content))["a"]
    assert found.dtype == tensor.dtype
    assert found.tolist() == [1, 2, 3]


# -- damage


def test_bits_of_the_index_count(released: Path) -> None:
    path = released.with_name(INDEX)
    content = path.read_bytes()
    for bit in random.Random(0).sample(range(8 * len(content)), 200):
        path.write_bytes(flipped(content, bit))
        assert refusal(released).startswith(f"{path}: ")


def test_bits_of_tensors_count_and_the_tensor_is_named(released: Path) -> None:
    path = released.with_name(DATA)
    content = path.read_bytes()
    bundle = read_bundle(released)
    for bit in random.Random(0).sample(range(8 * len(content)), 1000):
        path.write_bytes(flipped(content, bit))
        hit = next(name for name, entry in bundle.entries.items() if 0 <= bit // 8 - entry.offset < entry.size_bytes)
        with pytest.raises(FormatError) as raised:
            bundle[hit]
        assert str(raised.value).startswith(f"{path}: tensor {hit} has CRC32C ")


def test_no_cut_goes_unseen(released: Path) -> None:
    for name in (INDEX, DATA):
        path = released.with_name(name)
        content = path.read_bytes()
        for size in random.Random(0).sample(range(len(content)), 64):
            path.write_bytes(content[:size])
            assert refusal(released).startswith(f"{path}: ")
        path.write_bytes(content)


def test_bits_flipped_under_a_good_checksum_never_break_the_reader(released: Path) -> None:
    """Whoever forges an index mends its checksums too; what its entries then say is refused, or fits the files."""
    entries, data = contents(gpt2_tensors())
    body = block(sorted(entries.items()))
    for bit in random.Random(0).sample(range(8 * len(body)), 500):
        released.with_name(INDEX).write_bytes(assemble([(b"\xff", flipped(body, bit))]))
        try:
            found = dict(read_bundle(released))
        except FormatError:
            continue
        assert sum(tensor.nbytes for tensor in found.values()) <= len(data)


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# -- entries that say what cannot be


FOUR = TENSORS["z"].tobytes()
IMPOSSIBLE: dict[str, dict[str, bytes | None]] = {
    "x.index: it begins with b'a' where a header is due": {"": None},
    "x.index: counts 0 data files, it must be 1 to 99999": {"": header(n_shards=0)},
    "x.index: counts -1 data files": {"": header(n_shards=-1)},
    "x.data-00000-of-00002: it is missing, though": {"": header(n_shards=2)},
    "x.index: its numbers are big-endian": {"": header(endianness=1)},
    "asks for a reader of version 2, this one is of 1; save": {"": header(min_consumer=2)},
    "x.index: field 4 of kind 0 is none that TensorFlow writes": {"": header() + number(4, 1)},
    "x.index: field 1 is given twice": {"": header() + number(1, 1)},
    "tensor z: it was saved in slices": {"z": entry(FOUR, (4,), 28, more=part(7, b""))},
    "tensor z: its type string is not read here; save the checkpoint again": {"z": entry(FOUR, (4,), 28, dtype=7)},
    "tensor z: its type bfloat16 is not": {"z": entry(FOUR, (8,), 28, dtype=14)},
    "tensor z: its type no. 99 is not": {"z": entry(FOUR, (4,), 28, dtype=99)},
    "tensor z: its type no. 0 is not": {"z": b""},
    "tensor z: shape [5] of float32 needs 20 bytes, 16 are claimed": {"z": entry(FOUR, (5,), 28)},
    "tensor z: shape [2, -2] has a size below 1": {"z": entry(FOUR, (2, -2), 28)},
    "tensor z: shape [2, 0, 4611686018427387904] has": {"z": entry(b"", (2, 0, 2**62), 28)},
    "tensor z: its shape has 9 dimensions, at most 8 are read": {"z": entry(FOUR, (1,) * 8 + (4,), 28)},
    "tensor z: its shape is unknown": {"z": number(1, 1) + part(2, number(3, 1)) + number(5, 4)},
    "tensor z: is in data file 1, there are 1 counted from 0": {"z": entry(FOUR, (4,), 28, shard=1)},
    "tensor z: is in data file -1": {"z": entry(FOUR, (4,), 28, shard=-1)},
    "tensor z: offset -1 and size 16 must not be below 0": {"z": entry(FOUR, (4,), -1)},
    "tensor z: offset 28 and size -16 must not be": {"z": entry(FOUR, (4,), 28, size_bytes=-16)},
    "tensor z is said to end at byte 45, the file has 44": {"z": entry(FOUR, (4,), 29)},
    "tensor z is said to end at byte 9223372036854775823": {"z": entry(FOUR, (4,), 2**63 - 1)},
    "tensor z is said to end at byte 4398046511132": {"z": entry(FOUR, (2**40,), 28, size_bytes=2**42)},
    "tensor z begins at byte 20, inside the one that ends at 24": {"z": entry(FOUR, (4,), 20)},
    "tensor b/c begins at byte 0, inside the one that ends at 24": {"b/c": entry(FOUR, (6,), 0, size_bytes=24)},
    "a tensor has the name b'line\\nline', which cannot be printed": {"line\nline": entry(FOUR, (4,), 28)},
}


@pytest.mark.parametrize(("reason", "changes"), IMPOSSIBLE.items(), ids=IMPOSSIBLE)
def test_an_impossible_entry_is_refused_and_named(
    write: Callable[..., Path], reason: str, changes: dict[str, bytes | None]
) -> None:
    assert reason in refusal(write(changes))


def test_a_name_that_looks_like_a_path_is_only_a_name(write: Callable[..., Path]) -> None:
    found = read_bundle(write({"../../etc/passwd": entry(FOUR, (4,), 28), "z": None}))
    assert found["../../etc/passwd"].tolist() == TENSORS["z"].tolist()


def test_missing_files_and_things_that_are_no_files_are_named(released: Path) -> None:
    assert refusal(released.with_name("other")).startswith(f"cannot read {released.with_name('other.index')}: No such")
    index = released.with_name(INDEX)
    index.unlink()
    os.mkfifo(index)
    assert refusal(released).startswith(f"{index}: it is not a file; ")


def test_a_file_that_shrinks_after_the_index_was_read_is_named(released: Path) -> None:
    bundle = read_bundle(released)
    path = released.with_name(DATA)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"data-00000-of-00001: it ends at byte 7647, it had 7648;"):
        bundle["model/wte"]


# -- bombs


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


LONG_NAMES = [f"{'k' * 240}{at:06}".encode() for at in range(MAX_TENSORS + 1)]
BOMBS = {
    f"it has {MAX_INDEX_BYTES + 1} bytes, at most {MAX_INDEX_BYTES} are read": b"\0" * (MAX_INDEX_BYTES + 1),
    f"has more than {MAX_TENSORS} tensors": table(
        [(b"", header()), *((key, entry(FOUR, (4,), 0)) for key in LONG_NAMES)]
    ),
    "its shape has 50000 dimensions": table([(b"", header()), (b"a", number(1, 1) + part(2, b"\x12\0" * 50_000))]),
    "x.data-00000-of-99999: it is missing": table([(b"", header(n_shards=99_999)), (b"a", entry(FOUR, (4,), 0))]),
}


@pytest.mark.parametrize(("reason", "index"), BOMBS.items(), ids=BOMBS)
def test_no_index_costs_more_than_64_mb(tmp_path: Path, reason: str, index: bytes) -> None:
    (tmp_path / "x.index").write_bytes(index)
    assert len(index) <= MAX_INDEX_BYTES + 1
    assert reason in refusal(tmp_path / "x")
    assert peak_bytes(lambda: refusal(tmp_path / "x")) < 64 * MB


def test_a_checkpoint_costs_the_memory_of_its_numbers(tmp_path: Path) -> None:
    entries, data = contents({"a": np.zeros(3 * MB, "<f4"), "b": np.zeros(2 * MB, "<f4")})
    prefix = write_bundle(tmp_path / "x", entries, data)
    assert peak_bytes(lambda: dict(read_bundle(prefix))) < len(data) + 4 * MB
    assert peak_bytes(lambda: read_bundle(prefix)) < 2 * MB


def test_opening_reads_no_tensor(released: Path) -> None:
    bundle: Bundle = read_bundle(released)
    released.with_name(DATA).unlink()
    assert bundle.entries["model/wte"].shape == (11, 8)
