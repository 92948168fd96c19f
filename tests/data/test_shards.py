import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptrilogy import files
from gptrilogy.corpus.documents import AnyDocument, Document, LongDocument
from gptrilogy.data import packing
from gptrilogy.data.index import INDEX, PROGRESS, Index, read_index
from gptrilogy.data.shards import link_shards, open_shards, pack
from gptrilogy.data.split import plan_split
from gptrilogy.data.tokens import Tokens
from gptrilogy.errors import DataError, RunError
from gptrilogy.files import read_sealed, write_sealed
from gptrilogy.tokenizers.bytes import BytesTokenizer

TOKENIZER = BytesTokenizer()
TEXTS = [f"Document {number}, " + "with words " * (number % 7) + "né" for number in range(40)]


class WideTokenizer(BytesTokenizer):
    """Its ids do not fit into sixteen bits."""

    n_vocab = 2**16 + 1
    eot_id = 2**16


class Interrupted(Exception):
    """Stands for whatever may stop packing from outside."""


def documents(texts: list[str] = TEXTS, *, stop_at: int | None = None) -> Iterator[Document]:
    """The texts as documents, read until one of them is too much."""
    for number, text in enumerate(texts):
        if number == stop_at:
            raise Interrupted
        yield Document(text, id=str(number), source="test")


def packed(
    folder: Path,
    texts: list[str] = TEXTS,
    *,
    stop_at: int | None = None,
    seed: int = 0,
    shard_tokens: int = 100,
    batch_chars: int = 150,
) -> Index:
    split = plan_split(documents(texts), fraction=0.1, seed=seed)
    return pack(
        documents(texts, stop_at=stop_at),
        TOKENIZER,
        folder,
        split=split,
        shard_tokens=shard_tokens,
        batch_chars=batch_chars,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, the hidden ones too, with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(tokens: Tokens) -> list[str]:
    """The documents of a part, decoded."""
    if not len(tokens):
        return []
    *texts, rest = np.split(ids := tokens.window(0, len(tokens)), np.flatnonzero(ids == tokens.eot_id) + 1)
    assert not len(rest)
    return [TOKENIZER.decode(text[:-1].tolist()) for text in texts]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What packing without interruption leaves."""
    folder = tmp_path_factory.mktemp("whole")
    packed(folder)
    return contents(folder)


def test_every_document_comes_back_with_its_end(tmp_path: Path) -> None:
    index = packed(tmp_path)
    data = open_shards(tmp_path, fingerprint=TOKENIZER.fingerprint)
    assert sorted(read(data.train) + read(data.valid)) == sorted(TEXTS)
    assert len(read(data.valid)) == data.valid.documents == 4
    assert data.train.documents == 36
    assert data.train.text_bytes == sum(len(text.encode()) for text in read(data.train))
    assert len(data.train) == data.train.text_bytes + 36 == index.train.tokens
    assert data.index == index


def test_shards_hold_whole_documents_and_close_when_full(tmp_path: Path) -> None:
    index = packed(tmp_path)
    assert len(index.train.shards) > 5
    for shard in index.shards:
        ids = np.fromfile(tmp_path / shard.file, "<u2")
        assert len(ids) == shard.tokens
        assert ids[-1] == TOKENIZER.eot_id
        assert len(ids) < 100 + max(map(len, TEXTS)) + 2


def test_a_folder_is_packed_once_its_index_is_there_and_nothing_else_is_left(whole: dict[str, bytes]) -> None:
    index = json.loads(whole[INDEX])
    assert set(whole) == {INDEX, *(shard["file"] for part in ("train", "valid") for shard in index[part]["shards"])}
    assert (index["format"], index["version"], index["dtype"]) == ("gptrilogy-shards", 1, "uint16")
    assert index["tokenizer"]["fingerprint"] == TOKENIZER.fingerprint


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.text(), max_size=30),
    shard_tokens=st.integers(1, 200),
    batch_chars=st.integers(1, 100),
)
def test_the_size_of_shards_and_batches_changes_no_token(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], shard_tokens: int, batch_chars: int
) -> None:
    one, many = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("many")
    packed(one, texts, shard_tokens=2**25, batch_chars=2**22)
    packed(many, texts, shard_tokens=shard_tokens, batch_chars=batch_chars)
    for folder in (one, many):
        data = open_shards(folder, fingerprint=None)
        split = data.index.split
        divided = [split.divide(document) for document in documents(texts)]
        assert read(data.train) == [train for train, _ in divided if train]
        assert read(data.valid) == [valid for _, valid in divided if valid]


def in_parts(document: Document) -> LongDocument:
    """The same document, read five characters at a time."""
    text = document.text
    return LongDocument(
        lambda: (text[start : start + 5] for start in range(0, len(text), 5)), document.id, document.source
    )


@pytest.mark.parametrize("n_texts", [5, 40], ids=["tail", "by_document"])
def test_long_documents_leave_the_shards_of_whole_ones_even_where_they_wait_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_texts: int
) -> None:
    expected = packed(tmp_path / "whole", TEXTS[:n_texts])
    monkeypatch.setattr(packing, "MAX_HELD_BYTES", 30)

    def mixed(*, stop_at: int | None = None) -> Iterator[AnyDocument]:
        return (in_parts(one) if n % 3 else one for n, one in enumerate(documents(TEXTS[:n_texts], stop_at=stop_at)))

    split = plan_split(mixed(), fraction=0.1, seed=0)
    assert split.kind == expected.split.kind
    with pytest.raises(Interrupted):
        pack(mixed(stop_at=n_texts - 1), TOKENIZER, tmp_path / "long", split=split, shard_tokens=100, batch_chars=150)
    index = pack(mixed(), TOKENIZER, tmp_path / "long", split=split, shard_tokens=100, batch_chars=150)
    assert index.shards == expected.shards  # with their hashes
    assert (index.train, index.valid) == (expected.train, expected.valid)
    open_shards(tmp_path / "long", fingerprint=TOKENIZER.fingerprint)


def test_many_ids_take_four_bytes(tmp_path: Path) -> None:
    tokenizer = WideTokenizer()
    index = pack(documents(), tokenizer, tmp_path, split=plan_split(documents(), seed=0))
    assert index.dtype == "uint32"
    train = open_shards(tmp_path, fingerprint=None).train
    assert train.window(len(train) - 1, 1) == 2**16


def test_text_set_apart_is_the_validation_part(tmp_path: Path) -> None:
    split = plan_split(documents(["one", "two"]), seed=0, valid=documents(["three"]))
    pack(documents(["one", "two"]), TOKENIZER, tmp_path, split=split, valid=documents(["three"]))
    data = open_shards(tmp_path, fingerprint=None)
    assert (read(data.train), read(data.valid)) == (["one", "two"], ["three"])


def test_no_text_packs_into_no_tokens(tmp_path: Path) -> None:
    packed(tmp_path, [""])
    data = open_shards(tmp_path, fingerprint=None)
    assert len(data.train) == len(data.valid) == 0


def test_progress_counts_up_to_the_whole(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def remember(documents_read: int, text_bytes: int) -> None:
        seen.append((documents_read, text_bytes))

    split = plan_split(documents(), seed=0)
    pack(documents(), TOKENIZER, tmp_path, split=split, batch_chars=150, on_progress=remember)
    assert len(seen) > 5
    assert seen == sorted(seen)
    assert seen[-1] == (split.documents, split.text_bytes)


def test_packing_again_does_nothing(tmp_path: Path, whole: dict[str, bytes]) -> None:
    packed(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.bin")}
    packed(tmp_path, stop_at=0)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.bin")} == times


# -- interruption ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop_at", range(0, len(TEXTS), 3))
def test_packing_interrupted_at_a_document_ends_in_the_same_bytes(
    tmp_path: Path, whole: dict[str, bytes], stop_at: int
) -> None:
    with pytest.raises(Interrupted):
        packed(tmp_path, stop_at=stop_at)
    with pytest.raises(DataError, match="was interrupted: give the same command again"):
        open_shards(tmp_path, fingerprint=None)
    packed(tmp_path)
    assert contents(tmp_path) == whole


def test_packing_interrupted_at_every_document_in_turn_gets_there(tmp_path: Path, whole: dict[str, bytes]) -> None:
    for stop_at in range(len(TEXTS)):
        with pytest.raises(Interrupted):
            packed(tmp_path, stop_at=stop_at)
    packed(tmp_path)
    assert contents(tmp_path) == whole


def test_finished_shards_are_not_written_again(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        packed(tmp_path, stop_at=30)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.bin")}
    assert len(times) > 3
    packed(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in times} == times


KILLED_AT_A_FLUSH = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from gptrilogy import files
from gptrilogy.data import shards
import test_shards

flushes, flush = 0, files.flush

def flush_or_die(path):
    global flushes
    flushes += 1
    if flushes > {survived}:
        os.kill(os.getpid(), signal.SIGKILL)
    flush(path)

files.flush = shards.flush = flush_or_die
test_shards.packed(Path({out!r}), shard_tokens=900)
"""


@pytest.mark.parametrize("survived", [0, 1, 2, 3, 4, 5, 6, 9, 12, 14])
def test_a_process_killed_while_writing_leaves_what_the_next_can_finish(tmp_path: Path, survived: int) -> None:
    out, expected = tmp_path / "out", tmp_path / "expected"
    packed(expected, shard_tokens=900)
    script = KILLED_AT_A_FLUSH.format(folder=str(Path(__file__).parent), out=str(out), survived=survived)
    process = subprocess.run([sys.executable, "-c", script], check=False)
    assert process.returncode == -signal.SIGKILL
    packed(out, shard_tokens=900)
    assert contents(out) == contents(expected)


def test_any_flush_or_rename_that_fails_leaves_what_the_next_can_finish(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    left, flush = 0, files.flush

    def full_disk(path: Path) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(path)

    for survived in range(0, 60, 2):
        left, out = survived, tmp_path / str(survived)
        with monkeypatch.context() as disk:
            disk.setattr(files, "flush", full_disk)
            with pytest.raises(RunError, match=r"cannot write .*: No space left on device; check"):
                packed(out)
        assert not [name for name in contents(out) if name.endswith(".tmp")]
        packed(out)
        assert contents(out) == whole


@pytest.mark.parametrize("stop_at", [30, None])
def test_shards_of_other_settings_are_discarded(tmp_path: Path, stop_at: int | None) -> None:
    if stop_at is None:
        packed(tmp_path / "out", seed=5, shard_tokens=50)
    else:
        with pytest.raises(Interrupted):
            packed(tmp_path / "out", seed=5, shard_tokens=50, stop_at=stop_at)
    packed(tmp_path / "out")
    packed(tmp_path / "expected")
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


@pytest.mark.parametrize("damage", ["shard", "missing", "progress"])
def test_damaged_partial_work_is_done_again(tmp_path: Path, whole: dict[str, bytes], damage: str) -> None:
    with pytest.raises(Interrupted):
        packed(tmp_path, stop_at=30)
    shard = tmp_path / "train" / "shard-00001.bin"
    match damage:
        case "shard":
            shard.write_bytes(bytes(len(shard.read_bytes())))
        case "missing":
            shard.unlink()
        case _:
            (tmp_path / PROGRESS).write_text("{")
    packed(tmp_path)
    assert contents(tmp_path) == whole


def test_text_that_changes_between_planning_and_packing_is_noticed(tmp_path: Path) -> None:
    split = plan_split(documents(), seed=0)
    with pytest.raises(DataError, match=r"the text changed while it was packed: 39 documents of .* for 40"):
        pack(documents(TEXTS[:-1]), TOKENIZER, tmp_path, split=split)
    assert not (tmp_path / INDEX).exists()


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "notes.txt").write_text("mine")
    packed(tmp_path)
    packed(tmp_path, seed=1)
    assert (tmp_path / "train" / "notes.txt").read_text() == "mine"


# -- opening -----------------------------------------------------------------------------------------------------------


def test_a_folder_that_was_never_packed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no packed text \(index.json is missing\): pack it"):
        open_shards(tmp_path, fingerprint=None)


@pytest.mark.parametrize("fault", ["flipped", "short", "long", "missing"])
def test_a_damaged_shard_is_refused_by_name(tmp_path: Path, fault: str) -> None:
    packed(tmp_path)
    path = tmp_path / "valid" / "shard-00000.bin"
    content = path.read_bytes()
    match fault:
        case "flipped":
            path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        case "short":
            path.write_bytes(content[:-1])
        case "long":
            path.write_bytes(content + b"\0\0")
        case _:
            path.unlink()
    with pytest.raises(DataError, match=r"valid/shard-00000\.bin is damaged: .*; remove .* and pack its source again"):
        open_shards(tmp_path, fingerprint=None)
    packed(tmp_path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"format": "other"}'],
)
def test_a_damaged_index_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    packed(tmp_path)
    (tmp_path / INDEX).write_bytes(content)
    with pytest.raises(DataError, match=r"index\.json is damaged \("):
        open_shards(tmp_path, fingerprint=None)


def test_every_single_bit_of_an_index_counts(tmp_path: Path) -> None:
    packed(tmp_path)
    content = (tmp_path / INDEX).read_bytes()
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / INDEX).write_bytes(flipped)
        with pytest.raises(DataError, match=r"index\.json is damaged"):
            read_index(tmp_path)


def test_an_index_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    packed(tmp_path)
    index = read_sealed(tmp_path / INDEX)
    index["train"]["shards"][0]["file"] = "../secret.bin"
    write_sealed(tmp_path / INDEX, index)
    with pytest.raises(DataError, match=r"damaged \(train\.shards\.0\.file"):
        open_shards(tmp_path, fingerprint=None)


def test_shards_of_another_tokenizer_are_refused(tmp_path: Path) -> None:
    packed(tmp_path)
    with pytest.raises(DataError) as raised:
        open_shards(tmp_path, fingerprint="f" * 64)
    for part in ("packed with the tokenizer bytes", TOKENIZER.fingerprint[:12], "f" * 12, "pack its source again"):
        assert part in str(raised.value)


# -- linking -----------------------------------------------------------------------------------------------------------


def test_linked_shards_take_no_room_and_outlive_their_source(tmp_path: Path, whole: dict[str, bytes]) -> None:
    source, destination = tmp_path / "source", tmp_path / "run" / "data"
    packed(source)
    link_shards(source, destination)
    assert (source / "train/shard-00000.bin").samefile(destination / "train/shard-00000.bin")
    packed(source, seed=1)  # what is packed anew does not reach through the link
    shutil.rmtree(source)
    assert contents(destination) == whole
    link_shards(destination, destination)
    open_shards(destination, fingerprint=TOKENIZER.fingerprint)


def test_where_a_disk_cannot_link_shards_are_copied(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    packed(tmp_path / "source")
    monkeypatch.setattr(os, "link", refuse)
    link_shards(tmp_path / "source", tmp_path / "destination")
    assert contents(tmp_path / "destination") == whole
    link_shards(tmp_path / "source", tmp_path / "destination")  # over what is there
    assert contents(tmp_path / "destination") == whole


def test_a_source_that_is_not_whole_is_not_linked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no packed text"):
        link_shards(tmp_path / "source", tmp_path / "destination")
    packed(tmp_path / "source")
    (tmp_path / "source/train/shard-00000.bin").unlink()
    with pytest.raises(DataError, match="shard-00000"):
        link_shards(tmp_path / "source", tmp_path / "destination")
    assert not (tmp_path / "destination").exists()
