"""A checkpoint is whole or it does not exist, whatever happens while it is written or after."""

import errno
import io
import json
import os
import pickle
import resource
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.checkpoints import (
    CONFIG,
    MANIFEST,
    MAX_HEADER_BYTES,
    MODEL,
    Checkpoint,
    amend_checkpoint,
    best,
    checkpoint_folders,
    damage,
    manifest,
    newest_valid,
    prune,
    read_checkpoint,
    read_tensors,
    set_aside,
    verify_checkpoint,
    write_checkpoint,
    write_tensors,
)
from gptrilogy.errors import CheckpointError, UnreadableCheckpointError
from gptrilogy.files import sha256_file, sha256_json
from gptrilogy.tokenizers import BytesTokenizer, save_tokenizer

FILES = [
    MANIFEST,
    CONFIG,
    MODEL,
    "tokenizer/tokenizer.json",
    "train_state/tensors.safetensors",
    "train_state/values.json",
]
Save = Callable[..., Path]


def checkpoint(step: int) -> Checkpoint:
    weights = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
    return Checkpoint(
        config={"seed": step},
        model={"wte.weight": weights, "transposed": weights.t(), "half": weights.bfloat16()},
        train_tensors={"generator.cpu": torch.arange(5, dtype=torch.uint8), "step": torch.tensor(float(step))},
        train_values={"step": step},
    )


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(BytesTokenizer(), tmp_path_factory.mktemp("tokenizer")).parent


@pytest.fixture
def save(tmp_path: Path, tokenizer: Path) -> Save:
    """Write the checkpoint of a step below `tmp_path`."""

    def save(step: int, loss: float | None = None) -> Path:
        folder = tmp_path / f"step-{step:08d}"
        summary = {"step": step, "valid_loss_nats": loss}
        write_checkpoint(folder, checkpoint(step), tokenizer=tokenizer, summary=summary)
        return folder

    return save


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    """A sound checkpoint; a test that damages it does so to a copy."""
    folder = tmp_path_factory.mktemp("whole") / "step-00000001"
    write_checkpoint(folder, checkpoint(1), tokenizer=tokenizer, summary={"step": 1, "valid_loss_nats": 2.5})
    return folder


def copied(whole: Path, parent: Path) -> Path:
    shutil.rmtree(parent, ignore_errors=True)
    return Path(shutil.copytree(whole, parent / whole.name))


def refused(folder: Path, name: str) -> None:
    """A folder with one damaged file does not pass, and the file is named."""
    with pytest.raises(CheckpointError) as raised:
        verify_checkpoint(folder)
    assert newest_valid(folder.parent) is None
    assert str(raised.value) == str(damage(folder))
    assert str(folder) in str(raised.value)
    assert name in str(raised.value) or name == MANIFEST


# -- reading back ------------------------------------------------------------------------------------------------------


def test_a_checkpoint_comes_back_to_the_bit(whole: Path) -> None:
    expected, found = checkpoint(1), read_checkpoint(whole)
    assert (found.config, found.train_values) == (expected.config, expected.train_values)
    for left, right in ((expected.model, found.model), (expected.train_tensors, found.train_tensors)):
        assert left.keys() == right.keys()
        assert all(left[name].dtype == right[name].dtype and torch.equal(left[name], right[name]) for name in left)
    weights_only = read_checkpoint(whole, with_train_state=False)
    assert (dict(weights_only.train_tensors), weights_only.train_values) == ({}, {})


def test_the_folder_is_as_the_contract_says(whole: Path) -> None:
    assert {path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file()} == set(FILES)
    assert (whole / "tokenizer/tokenizer.json").read_bytes() == (
        save_tokenizer(BytesTokenizer(), whole.parent / "again").read_bytes()
    )
    found = manifest(whole)
    assert (found["step"], found["valid_loss_nats"]) == (1, 2.5)
    assert found["files"].keys() == {*FILES} - {MANIFEST}
    for name, row in found["files"].items():
        assert row == {"size_bytes": (whole / name).stat().st_size, "sha256": sha256_file(whole / name)}


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_all_files_are_as_private_as_the_user_wants(mask: int, mode: int, save: Save, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        folder = save(1)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in folder.glob("*.*")} == {mode}
    assert {path.stat().st_mode & 0o777 for path in folder.glob("train_state/*")} == {mode}


# -- damage ------------------------------------------------------------------------------------------------------------


@given(data=st.data(), name=st.sampled_from(FILES))
def test_a_single_flipped_bit_is_refused(
    data: st.DataObject, name: str, whole: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = copied(whole, tmp_path_factory.getbasetemp() / "flipped")
    path = folder / name
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    refused(folder, name)


def test_every_single_bit_of_the_manifest_counts(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "flipped")
    content = (whole / MANIFEST).read_bytes()
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        (folder / MANIFEST).write_bytes(flipped)
        with pytest.raises(CheckpointError, match=r"manifest\.json"):
            manifest(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_refused(name: str, whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "cut")
    content = (folder / name).read_bytes()
    body = len(content.rstrip())  # a manifest without its last newline has lost nothing
    for length in {0, 1, body // 3, body // 2, body - 1, *range(0, body, 97)}:
        (folder / name).write_bytes(content[:length])
        refused(folder, name)
    (folder / name).write_bytes(content + b"x")
    refused(folder, name)


def test_a_file_of_another_size_is_refused_before_it_is_read(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "longer")
    n_bytes = (folder / MODEL).stat().st_size
    with (folder / MODEL).open("ab") as file:
        file.write(b"more")
    with pytest.raises(CheckpointError, match=f"has {n_bytes + 4} bytes, the manifest says {n_bytes}"):
        verify_checkpoint(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(name: str, whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "missing")
    (folder / name).unlink()
    refused(folder, name)


@pytest.mark.parametrize("reading", ["sha256_file", "read_sealed"])
def test_one_that_cannot_be_read_is_not_taken_for_a_damaged_one(
    reading: str, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> str:
        raise OSError(errno.EIO, "Input/output error")

    folder = save(1)
    monkeypatch.setattr(f"gptrilogy.checkpoints.{reading}", broken)
    readers = [partial(damage, folder), partial(newest_valid, tmp_path)]
    if reading == "read_sealed":
        readers.append(partial(best, tmp_path))  # which reads manifests alone
    for reader in readers:
        with pytest.raises(
            UnreadableCheckpointError, match=r"/step-00000001/.*: Input/output error; mend that, or move .*0001 "
        ):
            reader()


@pytest.mark.parametrize("name", [MODEL, MANIFEST])
def test_the_last_good_one_is_used(name: str, save: Save, tmp_path: Path) -> None:
    assert newest_valid(tmp_path) is None
    first, second, third = save(1), save(2), save(10)
    assert newest_valid(tmp_path) == third
    for folder in (second, third):
        (folder / name).write_bytes(b"damaged")
    assert newest_valid(tmp_path) == first
    for folder in (second, third):
        assert str(folder / name) in str(damage(folder))


def test_a_damaged_one_set_aside_counts_no_more_and_is_not_lost(save: Save, tmp_path: Path) -> None:
    save(1)
    aside = [set_aside(save(2)) for _ in range(3)]
    assert [folder.name for folder in checkpoint_folders(tmp_path)] == ["step-00000001"]
    assert [path.name for path in aside] == [f"damaged-step-00000002{number}" for number in ("", "-2", "-3")]
    for path in aside:
        verify_checkpoint(path)


def test_one_that_cannot_be_set_aside_is_named(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    folder = save(1)
    monkeypatch.setattr(Path, "rename", read_only)
    with pytest.raises(CheckpointError, match=r"cannot set the damaged .*step-00000001 aside: Read-only file system"):
        set_aside(folder)


# -- hostile files -----------------------------------------------------------------------------------------------------


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (os.mkdir, (str(self.mark),))


@pytest.mark.parametrize("how", ["pickle", "torch"])
@pytest.mark.parametrize("name", [MODEL, "train_state/tensors.safetensors"])
def test_a_pickle_in_the_place_of_tensors_is_refused_and_not_run(
    how: str, name: str, whole: Path, tmp_path: Path
) -> None:
    folder, mark = copied(whole, tmp_path / "hostile"), tmp_path / "mark"
    if how == "pickle":
        (folder / name).write_bytes(pickle.dumps({"wte.weight": Payload(mark)}))
    else:
        torch.save({"wte.weight": Payload(mark)}, folder / name)
    refused(folder, name)
    rewrite_manifest(
        folder, {name: {"size_bytes": (folder / name).stat().st_size, "sha256": sha256_file(folder / name)}}
    )
    verify_checkpoint(folder)  # an attacker can count and hash too
    with pytest.raises(CheckpointError, match="is not a safetensors file"):
        read_checkpoint(folder)
    assert not mark.exists()
    content = io.BytesIO((folder / name).read_bytes())
    pickle.load(content) if how == "pickle" else torch.load(content, weights_only=False)
    assert mark.exists()  # the payload would have worked


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "tokenizer/../../secret", ".."])
def test_a_manifest_cannot_point_outside_its_folder(name: str, whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "hostile")
    secret = tmp_path / "hostile" / "secret"
    secret.write_text("secret", encoding="utf-8")
    rewrite_manifest(folder, {name: {"size_bytes": 6, "sha256": sha256_file(secret)}})
    with pytest.raises(CheckpointError, match="it does not list the checkpoint's files"):
        verify_checkpoint(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"files": []}',
        b'{"files": {"config.json": 1, "model.safetensors": 2}}',
        b'{"files": {"config.json": {"size_bytes": 1, "sha256": ""}}}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes, whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "hostile")
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"manifest\.json is damaged"):
        manifest(folder)


def test_a_checkpoint_of_another_version_says_so(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "newer")
    rewrite_manifest(folder, {}, version=2)
    with pytest.raises(
        UnreadableCheckpointError, match="has version 2, this gptrilogy reads 1: use the one that wrote it"
    ):
        manifest(folder)


def test_a_file_without_tensors_is_refused_by_name(tmp_path: Path) -> None:
    for content in (b"", b"\xff" * 8, (2**40).to_bytes(8, "little") + b"{}"):
        (tmp_path / MODEL).write_bytes(content)
        with pytest.raises(CheckpointError, match=r"model\.safetensors is not a safetensors file"):
            read_tensors(tmp_path / MODEL)
    with pytest.raises(CheckpointError, match=r"absent cannot be read: .*No such file"):
        read_tensors(tmp_path / "absent")


def test_tensors_that_the_system_will_not_open_are_named(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.zeros(1)}, path := tmp_path / MODEL)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 1, limits[1]))  # PyTorch's is one file too many
    try:
        with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read: .*Too many open files"):
            read_tensors(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def rewrite_manifest(folder: Path, rows: dict[str, Any], **changes: Any) -> None:
    """Change a manifest so that its own hash is right."""
    listed = json.loads((folder / MANIFEST).read_bytes())
    del listed["sha256"]
    listed = {**listed, **changes, "files": {**listed["files"], **rows}}
    (folder / MANIFEST).write_text(json.dumps({**listed, "sha256": sha256_json(listed)}), encoding="utf-8")


# -- crashes -----------------------------------------------------------------------------------------------------------


class Disk:
    """Lets a number of system calls succeed, and then fails each with one error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
        self.code, self.left = code, 0
        for place, name in (
            (os, "fsync"),
            (os, "rename"),
            (os, "replace"),
            (os, "mkdir"),
            (os, "chmod"),
            (Path, "write_bytes"),
            (shutil, "copyfile"),
            (safetensors.torch, "save_file"),
        ):
            monkeypatch.setattr(place, name, self.limited(getattr(place, name)))

    def limited(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def limited(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise OSError(self.code, os.strerror(self.code))
            return call(*arguments, **options)

        return limited


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_failure_at_any_call_leaves_the_old_checkpoint_and_nothing_half(
    code: int, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, survived, messages = save(1), -1, list[str]()
    with monkeypatch.context() as patches:
        disk = Disk(patches, code)
        while not (tmp_path / "step-00000002").exists():
            survived += 1
            disk.left = survived
            try:
                save(2)
            except CheckpointError as error:
                messages.append(str(error))
            verify_checkpoint(old)
            assert {path.name for path in tmp_path.iterdir()} <= {"step-00000001", "step-00000002"}
    assert len(messages) > 25
    for message in messages:
        assert message.startswith(f"cannot write the checkpoint {tmp_path}/step-00000002: ")
        assert os.strerror(code) in message
        assert message.endswith(": what was there before is intact")
        assert "\n" not in message
    verify_checkpoint(tmp_path / "step-00000002")


def test_a_full_disk_that_only_safetensors_sees_is_named(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise safetensors.SafetensorError("Error while serializing: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(CheckpointError, match=r"step-00000001: .*No space left on device"):
        save(1)
    assert [*tmp_path.iterdir()] == []


def test_a_checkpoint_without_a_manifest_does_not_exist(save: Save, tmp_path: Path) -> None:
    save(1)
    shutil.copytree(save(2), tmp_path / ".step-00000003.99.tmp")
    (tmp_path / "step-00000002" / MANIFEST).unlink()
    assert [folder.name for folder in checkpoint_folders(tmp_path)] == ["step-00000001"]
    with pytest.raises(CheckpointError, match=r"is not a checkpoint: it has no manifest\.json"):
        manifest(tmp_path / "step-00000002")


# -- the best and the last ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([None, None, None], 3),
        ([3.0, 2.0, 4.0], 2),
        ([None, 9.0, None], 2),
        ([2.0, 2.0, 2.0], 1),
        ([], None),
    ],
)
def test_the_best_has_the_least_validation_loss(
    losses: list[float | None], expected: int | None, save: Save, tmp_path: Path
) -> None:
    for step, loss in enumerate(losses, start=1):
        save(step, loss)
    assert best(tmp_path) == (None if expected is None else tmp_path / f"step-{expected:08d}")


@pytest.mark.parametrize(
    ("losses", "kept"),
    [
        ([5.0, 1.0, 4.0, 3.0, 2.0], [2, 4, 5]),
        ([5.0, 4.0, 3.0, 1.0, 2.0], [4, 5]),
        ([1.0, 4.0, 3.0, None, None], [1, 4, 5]),
        ([None] * 5, [4, 5]),
        ([2.0], [1]),
    ],
)
def test_pruning_keeps_the_best_and_the_last_two(
    losses: list[float | None], kept: list[int], save: Save, tmp_path: Path
) -> None:
    for step, loss in enumerate(losses, start=1):
        save(step, loss)
        prune(tmp_path)
    assert [manifest(folder)["step"] for folder in checkpoint_folders(tmp_path)] == kept


def test_a_summary_is_amended_while_the_checkpoint_stays_whole(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(1)
    before = manifest(folder)
    with monkeypatch.context() as disk:
        Disk(disk, errno.ENOSPC)
        with pytest.raises(CheckpointError, match=r"cannot write the checkpoint .*: No space left on device"):
            amend_checkpoint(folder, {"valid_loss_nats": 1.5})
    assert manifest(folder) == before
    amend_checkpoint(folder, {"valid_loss_nats": 1.5})
    assert manifest(folder) == {**before, "valid_loss_nats": 1.5}
    verify_checkpoint(folder)
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        amend_checkpoint(tmp_path / "step-00000009", {})


def test_a_prune_that_is_killed_leaves_no_half_checkpoint(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2, 3):
        save(step)

    def be_killed(*_: object, **__: object) -> None: ...

    with monkeypatch.context() as disk:
        disk.setattr(shutil, "rmtree", be_killed)
        prune(tmp_path)
    assert [manifest(folder)["step"] for folder in checkpoint_folders(tmp_path)] == [2, 3]
    for folder in checkpoint_folders(tmp_path):
        verify_checkpoint(folder)


def test_a_damaged_manifest_among_sound_ones_is_never_the_best(save: Save, tmp_path: Path) -> None:
    for step, loss in ((1, 1.0), (2, 3.0), (3, 2.0)):
        save(step, loss)
    (tmp_path / "step-00000001" / MANIFEST).write_bytes(b"{")
    assert best(tmp_path) == tmp_path / "step-00000003"
    prune(tmp_path)
    assert [folder.name for folder in checkpoint_folders(tmp_path)] == ["step-00000002", "step-00000003"]


def test_the_best_has_the_highest_score_where_runs_are_judged_by_one(tmp_path: Path, tokenizer: Path) -> None:
    for step, score in enumerate((0.5, 0.9, 0.9, 0.7), start=1):
        summary = {"step": step, "valid_score": score, "valid_loss_nats": 1 / step}
        write_checkpoint(tmp_path / f"step-{step:08d}", checkpoint(step), tokenizer=tokenizer, summary=summary)
    assert best(tmp_path) == tmp_path / "step-00000002"


def test_a_pruning_may_keep_more_or_fewer(save: Save, tmp_path: Path) -> None:
    for step, loss in enumerate((1.0, 4.0, 3.0, 2.0), start=1):
        save(step, loss)
    prune(tmp_path, keep_last=3)
    assert [folder.name[-1] for folder in checkpoint_folders(tmp_path)] == ["1", "2", "3", "4"]
    prune(tmp_path, keep_last=1)
    assert [folder.name[-1] for folder in checkpoint_folders(tmp_path)] == ["1", "4"]


def test_a_manifest_is_whole_only_with_a_size_and_a_hash_for_each_file(whole: Path, tmp_path: Path) -> None:
    row = {"size_bytes": 1, "sha256": ""}
    both = {CONFIG: row, MODEL: row}
    for files in (None, [], {CONFIG: row}, {MODEL: row}, {**both, "a": {"size_bytes": 1}}, {**both, "/a": row}):
        folder = copied(whole, tmp_path / "other")
        listed = {"version": 1, "step": 1, "files": files}
        (folder / MANIFEST).write_text(json.dumps({**listed, "sha256": sha256_json(listed)}), encoding="utf-8")
        with pytest.raises(
            CheckpointError, match=r"manifest\.json is damaged: it does not list the checkpoint's files"
        ):
            manifest(folder)
    listed = {"version": 1, "files": {**both, "a/b": row}}
    (folder / MANIFEST).write_text(json.dumps({**listed, "sha256": sha256_json(listed)}), encoding="utf-8")
    assert manifest(folder)["files"].keys() == {CONFIG, MODEL, "a/b"}


def test_settings_that_the_manifest_vouches_for_and_cannot_be_read_are_named(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "hostile")
    (folder / CONFIG).write_bytes(b"[" * 5000)
    rewrite_manifest(folder, {CONFIG: {"size_bytes": 5000, "sha256": sha256_file(folder / CONFIG)}})
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read: ") as raised:
        read_checkpoint(folder)
    assert len(str(raised.value)) < len(str(folder)) + 150


def test_a_header_as_long_as_allowed_is_read_and_no_longer_one(tmp_path: Path) -> None:
    path = tmp_path / MODEL
    for extra, is_read in ((0, True), (1, False)):
        header = b"{}".ljust(MAX_HEADER_BYTES + 8 * extra)
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        if is_read:
            assert read_tensors(path) == {}
        else:
            with pytest.raises(CheckpointError, match="its header has 2,097,160 bytes, at most 2,097,152 are read"):
                read_tensors(path)
    path.write_bytes(bytes(7) + b"\x01{}")
    with pytest.raises(CheckpointError, match="its header has 72,057,594,037,927,936 bytes"):
        read_tensors(path)


def test_tensors_may_carry_words_about_themselves(tmp_path: Path) -> None:
    write_tensors(tmp_path / MODEL, {"a": torch.zeros(2, 3).t()}, {"format": "pt"})
    with safetensors.safe_open(tmp_path / MODEL, "pt") as file:
        assert file.metadata() == {"format": "pt"}
    assert read_tensors(tmp_path / MODEL)["a"].shape == (3, 2)
