"""The run folder: where everything of one training run lies, and how one comes to be.

RUN/config.json  environment.json  metrics.jsonl  tokenizer/  data/
    of fine-tuning also  initial/  pretraining/
RUN/checkpoints/step-00000100/{manifest.json, config.json, model.safetensors, tokenizer/, train_state/}
"""

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gptrilogy.config import Tree
from gptrilogy.errors import RunError
from gptrilogy.files import SEAL, make_folder, read_object, remove_folder, sha256_json, write_json, write_sealed

ASKED = "asked"  # the one key of config.json until what was asked for under it is resolved


@dataclass(frozen=True, slots=True)
class Run:
    """The paths of one run folder."""

    folder: Path

    @property
    def config_path(self) -> Path:
        return self.folder / "config.json"

    @property
    def environment_path(self) -> Path:
        return self.folder / "environment.json"

    @property
    def metrics_path(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def tokenizer_folder(self) -> Path:
        return self.folder / "tokenizer"

    @property
    def data_folder(self) -> Path:
        return self.folder / "data"

    @property
    def initial_folder(self) -> Path:
        """The weights a fine-tuning run began with, in the form of a checkpoint."""
        return self.folder / "initial"

    @property
    def pretraining_folder(self) -> Path:
        """Packed text as of the pretraining, with which a fine-tuning run measures forgetting and replays."""
        return self.folder / "pretraining"

    @property
    def spool_folder(self) -> Path:
        """What was read from standard input and pipes, until it is packed."""
        return self.folder / ".spool"

    @property
    def checkpoints_folder(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def picture_path(self) -> Path:
        return self.folder / "loss.png"

    def checkpoint_folder(self, step: int) -> Path:
        return self.checkpoints_folder / f"step-{step:08d}"

    def holds_a_run(self) -> bool:
        return self.config_path.exists() or self.checkpoints_folder.exists()

    @classmethod
    def create(cls, folder: Path, config: Tree, environment: Tree, *, force: bool = False) -> Self:
        """Make the folder and write what was asked for; with `force`, a run that it holds is put aside first.

        It comes back where `taken_back_on` fails, and is deleted once the new one is prepared. Where others may want
        the same folder, be `at_work` in it before.

        Raises: RunError where it holds a run already that may not or cannot be put aside, or cannot be written.
        """
        run = cls(folder)
        run.check_free(force=force)
        if run.holds_a_run():
            run._put_aside()
        try:
            make_folder(folder)
            write_json(run.environment_path, environment)
            write_sealed(run.config_path, config)
        except OSError as error:
            with suppress(OSError):
                run._put_back()
            raise RunError(f"cannot write the run folder {folder}: {error.strerror}; choose another --out") from None
        return run

    def check_free(self, *, force: bool = False) -> None:
        """Refuse to make a run in a folder that holds one, unless by `force`, or that holds what only a run should.

        Raises: RunError.
        """
        if self.holds_a_run():
            if not force:
                raise RunError(
                    f"{self.folder} already holds a run: `gpt resume {self.folder}` continues it, --force deletes it "
                    "and starts afresh, another --out leaves it alone"
                )
        elif strangers := [part.name for part in self._parts if part.exists()]:
            raise RunError(
                f"{self.folder} holds no run, but {strangers[0]}/, which a run would write into: choose another --out, "
                "or delete it"
            )

    def must_hold_none(self) -> None:
        """Refuse to write something else than a run where one is, among whose files it would be lost.

        Raises: RunError.
        """
        if self.holds_a_run():
            raise RunError(f"{self.folder} holds a run: choose another --out")

    @classmethod
    def open(cls, folder: Path) -> Self:
        """An existing run.

        Raises: RunError where the folder holds none.
        """
        run = cls(folder)
        if not run.config_path.is_file():
            raise RunError(
                f"{folder} holds no run (no config.json); make one with `gpt pretrain SOURCE --out {folder}`"
            )
        if not run.environment_path.is_file() and (folder / "model.safetensors").exists():
            raise RunError(f"{folder} holds a model, not a run: name the folder that `gpt pretrain --out` wrote")
        return run

    def config(self) -> Tree:
        """What the run was asked for and has resolved, as it was written; or as somebody left it who took the seal off.

        Raises: RunError where it cannot be read, or is not what its seal says.
        """
        config = _read(self.config_path)
        seal = config.pop(SEAL, None)
        if seal is not None and seal != sha256_json(config):
            raise RunError(
                f"{self.config_path} is not as it was written, its SHA-256 is {sha256_json(config):.12} and not "
                f"{seal!s:.12}: put it back, or delete its line {SEAL!r} if you changed it on purpose"
            )
        return config

    def write_config(self, config: Tree) -> None:
        write_sealed(self.config_path, config)

    def environment(self) -> Tree:
        """What the run began with.

        Raises: RunError where it does not say how many threads, which decides how sums are rounded.
        """
        found = _read(self.environment_path)
        if type(threads := found.get("threads")) is not int or threads < 1:
            raise RunError(
                f"{self.environment_path} must hold threads, a whole number from 1, got {threads!r:.60}; put it back"
            )
        return found

    @contextmanager
    def locked(self, *, to_read: bool = False) -> Generator[None]:
        """Keep other processes from working in this folder; the lock goes with the process, however it ends.

        Raises: RunError where another process holds it, or the folder cannot be written and is not only `to_read`.
        """
        try:
            descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            if not to_read:
                raise RunError(
                    f"cannot work in {self.folder}: {error.strerror}; it must be a folder that can be written"
                ) from None
            yield
            return
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(f"another process is at work in {self.folder}; wait for it or stop it first") from None
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def at_work(self) -> Generator[None]:
        """Make the folder where there is none, and keep other processes from working in it.

        Raises: RunError where it cannot be written, or another process holds it.
        """
        try:
            make_folder(self.folder)
        except OSError as error:
            raise RunError(f"cannot write the folder {self.folder}: {error.strerror}; choose another --out") from None
        with self.locked():
            yield

    @property
    def _parts(self) -> tuple[Path, ...]:
        return (self.data_folder, self.tokenizer_folder, self.initial_folder, self.pretraining_folder)

    @property
    def _all_parts(self) -> tuple[Path, ...]:
        """The config first, without which nothing goes on; the checkpoints last, which show that there is a run."""
        files = (self.config_path, self.environment_path, self.metrics_path, self.picture_path)
        return (*files, *self._parts, self.spool_folder, self.checkpoints_folder)

    @contextmanager
    def taken_back_on(self, *errors: type[Exception]) -> Generator[None]:
        """Delete this new run where one of these errors ends its preparation, so that the command can be corrected.

        If it replaces another, whatever ends its preparation puts that one back; once it is prepared, that is deleted.
        """
        try:
            yield
        except BaseException as error:
            if isinstance(error, errors) or self._replaced.exists():
                with suppress(OSError):
                    for path in self._all_parts:
                        _remove(path)
                    self._put_back()
            raise
        with suppress(OSError):  # there is none, or it stays as a temporary
            remove_folder(self._replaced)

    @property
    def _replaced(self) -> Path:
        return self.folder / ".replaced.tmp"  # which goes with all temporaries

    def _put_aside(self) -> None:
        """Raises: RunError naming what cannot be moved."""
        try:
            if self._replaced.exists():  # by a command that was killed
                self._put_back()
            self._replaced.mkdir()
            for path in filter(Path.exists, self._all_parts):
                path.rename(self._replaced / path.name)
        except OSError as error:
            with suppress(OSError):
                self._put_back()
            raise RunError(
                f"cannot put {error.filename} of the run in {self.folder} aside: {error.strerror}; mend that, or "
                "choose another --out"
            ) from None

    def _put_back(self) -> None:
        """Raises: OSError."""
        for path in reversed(self._all_parts):
            if (kept := self._replaced / path.name).exists():
                _remove(path)
                kept.rename(path)
        self._replaced.rmdir()


def _remove(path: Path) -> None:
    """Raises: OSError."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _read(path: Path) -> Tree:
    try:
        return read_object(path)
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"cannot read {path}: {error!s:.100}; put the file back, or start the run again") from None
