import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptrilogy import files
from gptrilogy.errors import RunError
from gptrilogy.files import (
    MAX_JSON_BYTES,
    MAX_JSON_VALUES,
    check_writable,
    make_folder,
    read_json,
    read_object,
    read_sealed,
    remove_folder,
    remove_temporaries,
    replacing,
    replacing_folder,
    sha256_file,
    sha256_json,
    user_cache,
    write_atomic,
    write_json,
    write_sealed,
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
    with pytest.raises(OSError, match=r"No space left on device: '.*/folder'"):
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


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, rename = tmp_path / "folder", os.rename
    write_into(replacing_folder(folder))

    def fail_into_place(source: Path, target: Path) -> None:
        if not source.name.endswith(".old.tmp") and target == folder:
            full_disk()
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_into_place)
    with pytest.raises(OSError, match="No space left"):
        write_into(replacing_folder(folder), b"other")
    assert (folder / "part").read_bytes() == b"new"
    assert names(tmp_path) == {"folder"}


def test_a_folder_goes_at_once_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    write_into(replacing_folder(folder))
    with monkeypatch.context() as disk:
        disk.setattr(shutil, "rmtree", be_killed)
        remove_folder(folder)
    assert not folder.exists()
    remove_temporaries(tmp_path)
    assert names(tmp_path) == set()


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    write_into(replacing_folder(folder))
    assert names(folder) == {"part"}
    write_into(replacing_folder(tmp_path / "another" / "folder"))
    assert names(tmp_path / "another") == {"folder"}


def test_two_that_write_one_name_at_once_do_not_meet(tmp_path: Path) -> None:
    """As threads do, and containers, whose processes may have equal numbers."""
    value, folder = tmp_path / "value", tmp_path / "folder"
    with replacing(value) as later, replacing(value) as sooner:
        later.write_bytes(b"later")
        sooner.write_bytes(b"sooner")
    with replacing_folder(folder) as later, replacing_folder(folder) as sooner:
        (later / "later").touch()
        (sooner / "sooner").touch()
    assert value.read_bytes() == b"later"
    assert names(folder) == {"later"}
    assert names(tmp_path) == {"value", "folder"}


def test_a_cache_is_where_the_user_says_else_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
    assert user_cache() == Path("/shared")
    for ignored in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert user_cache() == Path("/home/ada/.cache")


def test_a_folder_that_cannot_be_written_is_known_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable(tmp_path / "new" / "folder")
    monkeypatch.chdir(tmp_path)
    check_writable(Path("new"))
    assert names(tmp_path) == set()
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write the folder .*/file/folder: .*/file is a file; choose another"):
        check_writable(tmp_path / "file" / "folder")

    def not_allowed(*_: object) -> bool:
        return False

    monkeypatch.setattr(os, "access", not_allowed)
    with pytest.raises(RunError, match=rf"cannot write the folder new: {tmp_path} may not be written; choose another"):
        check_writable(Path("new"))


def test_a_failure_names_the_file_that_was_asked_for_and_no_other(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as absent, replacing(tmp_path / "value"):
        (tmp_path / "absent").read_bytes()
    assert absent.value.filename == str(tmp_path / "absent")
    with pytest.raises(FileNotFoundError) as unwritten, replacing(tmp_path / "value"):
        pass
    assert unwritten.value.filename == str(tmp_path / "value")
    assert names(tmp_path) == set()


def test_flushing_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = os.dup(0)
    os.close(before)
    for _ in range(3):
        files.flush(tmp_path)
    after = os.dup(0)
    os.close(after)
    assert after == before


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
    assert len(parts) == (1 if replace is replacing else 3)
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


def test_what_a_killed_process_left_and_nobody_may_delete_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / ".value.123.tmp").write_bytes(b"half")
    (tmp_path / ".folder.123.old.tmp" / "deep").mkdir(parents=True)
    monkeypatch.setattr(os, "rmdir", denied)
    monkeypatch.setattr(os, "unlink", denied)
    monkeypatch.setattr(Path, "unlink", denied)
    remove_temporaries(tmp_path)
    assert names(tmp_path) == {".value.123.tmp", ".folder.123.old.tmp"}


def test_each_folder_that_is_made_is_known_to_the_one_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []

    def noted(path: Path) -> None:
        flushed.append(path)
        raise PermissionError  # as where a folder may be written and not read

    monkeypatch.setattr(files, "flush", noted)
    for _ in range(2):  # the second time it is there
        make_folder(tmp_path / "a" / "b" / "c")
    assert flushed == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_a_folder_that_cannot_be_flushed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/a'"):
        make_folder(tmp_path / "a")


def test_a_folder_within_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, error in (("file", FileExistsError), ("file/a", NotADirectoryError), ("file/a/b", NotADirectoryError)):
        with pytest.raises(error):
            make_folder(tmp_path / path)


def test_what_is_half_written_has_the_name_of_a_temporary(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "folder") as temporary:
        remove_temporaries(tmp_path)
        assert names(tmp_path) == set()
        temporary.mkdir()
    assert names(tmp_path) == {"folder"}


@given(value=json_values)
def test_json_comes_back_as_it_went(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value
    assert path.read_bytes().endswith(b"\n")


@settings(max_examples=25)
@given(value=st.dictionaries(st.text().filter(lambda name: name != "sha256"), json_values))
def test_what_is_sealed_comes_back_and_any_flipped_bit_is_noticed(
    value: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "sealed.json"
    write_sealed(path, value)
    assert read_sealed(path) == value
    content = path.read_bytes()
    for bit in range(0, 8 * len(content), 41):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            assert read_sealed(path) == value  # as 1E-5 for 1e-5
        except ValueError:
            continue


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[]", "a JSON list, not an object"),
        (b"{}", "its SHA-256 of itself is missing or wrong"),
        (b'{"sha256": 1}', "its SHA-256 of itself is missing or wrong"),
        (b" " * (MAX_JSON_BYTES + 1), "more than 16,777,216 bytes"),
        (b"[" + b"{}," * MAX_JSON_VALUES + b"{}]", "or 600,000 values"),
        (b"\xff\xfe", "decode"),
    ],
    ids=["list", "unsealed", "number", "large", "many", "not-utf-8"],
)
def test_what_is_not_sealed_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "value.json").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_sealed(tmp_path / "value.json")


def test_json_is_written_for_people_and_hashed_in_one_spelling(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": "é"}
    write_json(tmp_path / "value.json", value)
    lines = ["{", '  "b": [', "    1,", "    2.5,", "    null", "  ],", '  "a": "é"', "}", ""]
    assert (tmp_path / "value.json").read_text(encoding="utf-8").split("\n") == lines
    assert sha256_json(value) == hashlib.sha256(rb'{"a":"\u00e9","b":[1,2.5,null]}').hexdigest()


def test_an_object_may_have_as_many_bytes_and_values_as_the_limits_say(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(b"{}".ljust(MAX_JSON_BYTES))
    assert read_object(path) == {}
    list_of_zeros = b"[" + b"0," * (MAX_JSON_VALUES - 2) + b"0]"
    for content, is_read in ((list_of_zeros, True), (list_of_zeros[:-1] + b",0]", False)):
        path.write_bytes(b'{"a":' + content + b"}")
        if is_read:
            assert len(read_object(path)["a"]) == MAX_JSON_VALUES - 1
        else:
            with pytest.raises(ValueError, match="or 600,000 values"):
                read_object(path)


@given(value=st.dictionaries(st.text(), json_values, min_size=2, max_size=4))
def test_the_order_of_keys_does_not_change_a_hash_and_a_value_does(value: dict[str, Any]) -> None:
    backwards = dict(reversed(value.items()))
    assert sha256_json(backwards) == sha256_json(value) == sha256_json(json.loads(json.dumps(value)))
    assert sha256_json({**value, next(iter(value)): ["unlike", value]}) != sha256_json(value)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 1])
def test_the_hash_of_a_file_is_that_of_its_bytes(size: int, tmp_path: Path) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def write_into(place: AbstractContextManager[Path], content: bytes = b"new", *, fail: bool = False) -> None:
    """Put something into a file or a folder, and come to grief if told to."""
    with place as temporary:
        (temporary / "part" if temporary.is_dir() else temporary).write_bytes(content)
        if fail:
            full_disk()


def be_killed(*_: object, **__: object) -> None:
    """In the place of a call: as if the process had ended there."""


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
