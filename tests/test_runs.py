import errno
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from gptrilogy import runs
from gptrilogy.errors import DataError, RunError
from gptrilogy.files import remove_temporaries
from gptrilogy.runs import Run

CONFIG, ENVIRONMENT = {"seed": 1}, {"threads": 2}
HOLD_THE_LOCK = """
import sys
from contextlib import suppress
from pathlib import Path
from gptrilogy.runs import Run

with Run(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "deep" / "run", CONFIG, ENVIRONMENT)


def test_a_new_run_holds_what_was_asked_for(run: Run) -> None:
    again = Run.open(run.folder)
    assert (again.config(), again.environment()) == (CONFIG, ENVIRONMENT)
    assert again.checkpoint_folder(100) == run.folder / "checkpoints" / "step-00000100"
    run.write_config({"seed": 2})
    assert again.config() == {"seed": 2}


def test_a_folder_without_a_run_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no run \(no config.json\); make one with `gpt pretrain SOURCE --out"):
        Run.open(tmp_path)


def test_a_models_folder_is_not_taken_for_a_run(run: Run, tmp_path: Path) -> None:
    run.environment_path.rename(run.folder / "model.safetensors")
    with pytest.raises(RunError, match=r"holds a model, not a run: name the folder that `gpt pretrain --out` wrote"):
        Run.open(run.folder)
    (run.folder / "model.safetensors").unlink()
    assert Run.open(run.folder).config() == CONFIG, "a run that has lost its environment"


@pytest.mark.parametrize("trace", ["config.json", "checkpoints"])
def test_a_run_is_not_overwritten(trace: str, tmp_path: Path) -> None:
    (tmp_path / trace).mkdir()
    with pytest.raises(RunError, match=r"already holds a run: `gpt resume .*` continues it, --force deletes it"):
        Run.create(tmp_path, CONFIG, ENVIRONMENT)
    with pytest.raises(RunError, match="holds a run: choose another --out"):
        Run(tmp_path).must_hold_none()
    assert [path.name for path in tmp_path.iterdir()] == [trace]


def test_a_folder_with_other_things_in_it_may_hold_a_run(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    Run(tmp_path).must_hold_none()
    assert Run.create(tmp_path, CONFIG, ENVIRONMENT).config() == CONFIG


def test_force_deletes_the_run_and_nothing_that_is_not_its(run: Run) -> None:
    mine = [run.folder / "notes.txt", run.folder / "texts" / "novel.txt"]
    for path in (
        *mine,
        run.metrics_path,
        run.picture_path,
        run.data_folder / "index.json",
        run.checkpoint_folder(1) / "x",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("something", encoding="utf-8")
    Run.create(run.folder, {"seed": 9}, ENVIRONMENT, force=True)
    remove_temporaries(run.folder)
    left = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}
    assert left == {"config.json", "environment.json", "notes.txt", "texts/novel.txt"}
    assert run.config() == {"seed": 9}


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("part", ["config.json", "checkpoints", "data", "metrics.jsonl"])
def test_what_force_cannot_move_is_named_and_still_the_run_it_was(
    part: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (run.metrics_path, run.data_folder / "x", run.checkpoints_folder / "x"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("something", encoding="utf-8")
    before, rename = contents(run.folder), Path.rename

    def guarded(path: Path, target: Path) -> Path:
        if path == run.folder / part:
            raise PermissionError(13, "Permission denied", str(path))
        return rename(path, target)

    with monkeypatch.context() as disk:
        disk.setattr(Path, "rename", guarded)
        with pytest.raises(RunError, match=rf"cannot put .*{part} of the run in .* aside: Permission denied; mend"):
            Run.create(run.folder, {"seed": 9}, ENVIRONMENT, force=True)
    assert contents(run.folder) == before


@pytest.mark.parametrize("name", ["data", "tokenizer", "initial", "pretraining"])
@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_no_run_has_made_is_not_filled(name: str, force: bool, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(RunError, match=rf"holds no run, but {name}/, which a run would write into: choose another"):
        Run.create(tmp_path, CONFIG, ENVIRONMENT, force=force)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_preparation_that_fails_for_good_leaves_no_run_and_any_other_does(run: Run) -> None:
    for error in (RunError("full"), KeyboardInterrupt()):
        with pytest.raises(type(error)), run.taken_back_on(DataError):
            raise error
        assert run.config() == CONFIG
    run.spool_folder.mkdir()
    with pytest.raises(DataError), run.taken_back_on(DataError):
        raise DataError("no text")
    assert [*run.folder.iterdir()] == []


def test_a_run_is_back_if_the_disk_has_no_room_for_another(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = contents(run.folder)
    with monkeypatch.context() as disk:
        disk.setattr(runs, "write_sealed", full)
        with pytest.raises(RunError, match="No space left on device"):
            Run.create(run.folder, {"seed": 9}, {"threads": 9}, force=True)
    assert contents(run.folder) == before


@pytest.mark.parametrize("error", [DataError("no text"), RunError("full"), KeyboardInterrupt()])
def test_a_run_that_another_replaces_is_back_if_that_cannot_be_prepared(error: BaseException, run: Run) -> None:
    for name in ("x", "step-00000001/model"):
        path = run.checkpoints_folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("something", encoding="utf-8")
    before = contents(run.folder)
    new = Run.create(run.folder, {"seed": 9}, ENVIRONMENT, force=True)
    new.data_folder.mkdir()
    (new.data_folder / "half").touch()
    with pytest.raises(type(error)), new.taken_back_on(DataError):
        raise error
    assert contents(run.folder) == before
    new = Run.create(run.folder, {"seed": 9}, ENVIRONMENT, force=True)
    with new.taken_back_on(DataError):
        assert new.config() == {"seed": 9}
    assert contents(run.folder).keys() == {"config.json", "environment.json"}
    assert [path.name for path in run.folder.glob(".*")] == []


@pytest.mark.parametrize("n_moved", range(6))
def test_a_run_outlives_a_kill_while_it_is_put_aside(n_moved: int, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts moved before the kill are no less the run's; what the killed command has made since is."""
    for path in (run.data_folder / "x", run.checkpoints_folder / "x", run.metrics_path):
        path.parent.mkdir(exist_ok=True)
        path.write_text("something", encoding="utf-8")
    before, rename, moved = contents(run.folder), Path.rename, list[Path]()

    def killed(path: Path, target: Path) -> Path:
        if len(moved) == n_moved:
            raise KeyboardInterrupt
        moved.append(path)
        return rename(path, target)

    with monkeypatch.context() as interrupted:
        interrupted.setattr(Path, "rename", killed)
        with suppress(KeyboardInterrupt):
            Run.create(run.folder, {"seed": 9}, ENVIRONMENT, force=True)
            (run.folder / "data").mkdir()
    assert len(moved) == n_moved
    new = Run.create(run.folder, {"seed": 9}, ENVIRONMENT, force=True)
    with pytest.raises(DataError), new.taken_back_on(DataError):
        raise DataError("no text")
    assert contents(run.folder) == before


def test_a_run_that_cannot_be_written_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(
        RunError, match=r"cannot write the run folder .*/file/run: Not a directory; choose another --out"
    ):
        Run.create(tmp_path / "file" / "run", CONFIG, ENVIRONMENT)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(runs, "write_json", full)
    with pytest.raises(RunError, match=r"cannot write the run folder .*: No space left on device"):
        Run.create(tmp_path / "run", CONFIG, ENVIRONMENT)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xff"])
def test_a_damaged_config_is_refused_by_name(content: bytes, run: Run) -> None:
    run.config_path.write_bytes(content)
    with pytest.raises(RunError, match=r"cannot read .*config\.json: "):
        run.config()


def test_a_bit_of_the_config_that_flips_is_noticed_at_every_place(run: Run) -> None:
    run.write_config({"seed": 1, "recipe": "auto", "train": {"max_lr": 0.001}})
    whole = run.config_path.read_bytes()
    for place in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        run.config_path.write_bytes(flipped)
        try:
            found = run.config()
        except RunError:
            continue
        known = {"seed": 1, "recipe": "auto", "train": {"max_lr": 0.001}}
        assert {name: found[name] for name in known if name in found} == known
        assert found == known or set(found) - set(known), "a name that nobody knows is refused where the config is used"


def test_a_changed_config_is_refused_and_taken_without_its_seal(run: Run) -> None:
    text = run.config_path.read_text()
    run.config_path.write_text(text.replace('"seed": 1', '"seed": 3'))
    with pytest.raises(RunError, match=r"is not as it was written, .* delete its line 'sha256' if you changed it"):
        run.config()
    run.config_path.write_text('{"seed": 3}')
    assert run.config() == {"seed": 3}


def test_one_process_at_a_time_trains_in_a_folder(run: Run) -> None:
    holder = [sys.executable, "-c", HOLD_THE_LOCK, run.folder]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"locked\n"
        with (
            pytest.raises(RunError, match=r"another process is at work in .*; wait for it or stop it first"),
            run.locked(),
        ):
            pass
        with pytest.raises(RunError, match="another process is at work"), run.at_work():
            pass
        assert run.config() == CONFIG
        process.kill()  # a lock does not outlive its process
    with run.locked():
        pass
    with run.locked():
        pass


def test_a_run_that_cannot_be_written_may_still_be_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)
    with run.locked(to_read=True):
        assert run.config() == CONFIG
    with pytest.raises(RunError, match="Read-only file system; it must be a folder that can be written"), run.locked():
        pass


def test_an_error_under_the_lock_is_not_mistaken_for_another_process(run: Run) -> None:
    with pytest.raises(BlockingIOError), run.locked():
        raise BlockingIOError
    with run.locked():
        pass


def test_a_folder_in_which_nothing_can_be_locked_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(RunError, match=r"cannot work in .*/run: Read-only file system; it must be"), run.locked():
        pass
