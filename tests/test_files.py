import errno
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy import files
from gptrilogy.files import (
    CHUNK_BYTES,
    read_json,
    remove_temporaries,
    replacing,
    replacing_folder,
    sha256_file,
    sha256_json,
    write_atomic,
    write_json,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "value"
    for content in (b"old", b"new", b""):
        write_atomic(path, content)
        assert path.read_bytes() == content
    assert names(tmp_path) == {"value"}


def test_a_reader_sees_the_old_bytes_until_all_new_ones_are_there(tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_bytes(b"old")
    with replacing(path) as temporary:
        temporary.write_bytes(b"half")
        assert path.read_bytes() == b"old"
        temporary.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"


@pytest.mark.parametrize("failing", ["fsync", "replace", "block"])
def test_a_failure_leaves_the_old_file_and_no_other(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "value"
    path.write_bytes(b"old")
    if failing != "block":
        monkeypatch.setattr(os, failing, full_disk)
    with pytest.raises(OSError, match=r"No space left on device: '.*/value'"):
        write_into(replacing(path), fail=failing == "block")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == {"value"}


@pytest.mark.parametrize("failing", ["mkdir", "fsync", "rename", "block"])
def test_a_failure_leaves_no_folder_and_no_part_of_one(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if failing != "block":
        monkeypatch.setattr(os, failing, full_disk)
    with pytest.raises(OSError, match="No space left on device"):
        write_into(replacing_folder(tmp_path / "folder"), fail=failing == "block")
    assert names(tmp_path) == set()


def test_a_folder_appears_whole_and_takes_the_place_of_another(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for part in ("first", "second"):
        with replacing_folder(folder) as temporary:
            (temporary / "deep").mkdir()
            (temporary / "deep" / part).write_text(part, encoding="utf-8")
            assert not (folder / "deep" / part).exists()
        assert names(folder / "deep") == {part}
    assert names(tmp_path) == {"folder"}


@pytest.mark.parametrize("replace", [replacing, replacing_folder])
def test_bytes_reach_the_disk_before_the_name_does(
    replace: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[str, bool]] = []
    flush, target = files.flush, tmp_path / "name"

    def noted(path: Path) -> None:
        flushed.append((path.name, target.exists()))
        flush(path)

    monkeypatch.setattr(files, "flush", noted)
    write_into(replace(target))
    *parts, parent = flushed
    assert len(parts) == (1 if replace is replacing else 2)
    assert not any(named for _, named in parts)
    assert parent == (tmp_path.name, True)


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".value.123.tmp").write_bytes(b"half")
    (tmp_path / ".folder.123.tmp" / "deep").mkdir(parents=True)
    for name in (".lock", "notes.tmp", "value"):
        (tmp_path / name).write_bytes(b"")
    remove_temporaries(tmp_path)
    remove_temporaries(tmp_path / "absent")
    assert names(tmp_path) == {".lock", "notes.tmp", "value"}


@given(value=json_values)
def test_json_comes_back_as_it_went(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value
    assert path.read_bytes().endswith(b"\n")


@given(value=st.dictionaries(st.text(), json_values, min_size=2, max_size=4))
def test_the_order_of_keys_does_not_change_a_hash_and_a_value_does(value: dict[str, Any]) -> None:
    backwards = dict(reversed(value.items()))
    assert sha256_json(backwards) == sha256_json(value) == sha256_json(json.loads(json.dumps(value)))
    assert sha256_json({**value, next(iter(value)): ["unlike", value]}) != sha256_json(value)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_the_hash_of_a_file_is_that_of_its_bytes(size: int, tmp_path: Path) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def write_into(place: AbstractContextManager[Path], *, fail: bool = False) -> None:
    """Put something new into a file or a folder, and come to grief if told to."""
    with place as temporary:
        (temporary / "part" if temporary.is_dir() else temporary).write_bytes(b"new")
        if fail:
            full_disk()


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
