"""The run folder: where everything of one training run lies, and the log of its numbers.

RUN/config.json  environment.json  metrics.jsonl  tokenizer/  data/
    of fine-tuning also  initial/  pretraining/
RUN/checkpoints/step-00000100/{manifest.json, config.json, model.safetensors, tokenizer/, train_state/}
"""

import fcntl
import json
import math
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias, cast

from gptrilogy.errors import RunError
from gptrilogy.files import SEAL, flush, make_folder, read_object, sha256_json, write_atomic, write_json, write_sealed

Row: TypeAlias = dict[str, Any]  # one line of metrics.jsonl
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
    def create(cls, folder: Path, config: Row, environment: Row, *, force: bool = False) -> Self:
        """Make the folder and write what was asked for; with `force`, a run that it holds is deleted first.

        Where others may want the same folder, be `at_work` in it before.

        Raises: RunError where it holds a run already that may not or cannot be deleted, or cannot be written.
        """
        run = cls(folder)
        if run.holds_a_run():
            if not force:
                raise RunError(
                    f"{folder} already holds a run: `gpt resume {folder}` continues it, --force deletes it and "
                    "starts afresh, another --out leaves it alone"
                )
            run.delete()
        if strangers := [part.name for part in run._parts if part.exists()]:
            raise RunError(
                f"{folder} holds no run, but {strangers[0]}/, which a run would write into: choose another --out, or "
                "delete it"
            )
        try:
            make_folder(folder)
            write_json(run.environment_path, environment)
            write_sealed(run.config_path, config)
        except OSError as error:
            raise RunError(f"cannot write the run folder {folder}: {error.strerror}; choose another --out") from None
        return run

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
        return run

    def config(self) -> Row:
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

    def write_config(self, config: Row) -> None:
        write_sealed(self.config_path, config)

    def environment(self) -> Row:
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
    def locked(self) -> Generator[None]:
        """Keep other processes from working in this folder; the lock goes with the process, however it ends.

        Raises: RunError where another process holds it, or the folder cannot be written.
        """
        try:
            descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(
                f"cannot work in {self.folder}: {error.strerror}; it must be a folder that can be written"
            ) from None
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

    @contextmanager
    def taken_back_on(self, *errors: type[Exception]) -> Generator[None]:
        """Delete this new run where one of these errors ends its preparation: the corrected command finds no run."""
        try:
            yield
        except errors:
            with suppress(RunError):
                self.delete()
            raise

    def delete(self) -> None:
        """The config first, without which nothing goes on; the checkpoints last, by which the rest is known for a run.

        Raises: RunError naming what cannot be deleted.
        """
        try:
            for path in (self.config_path, self.environment_path, self.metrics_path, self.picture_path):
                path.unlink(missing_ok=True)
            for folder in (*self._parts, self.spool_folder, self.checkpoints_folder):
                with suppress(FileNotFoundError):
                    shutil.rmtree(folder)
        except OSError as error:
            raise RunError(
                f"cannot delete {error.filename} of the run in {self.folder}: {error.strerror}; mend that, or choose "
                "another --out"
            ) from None


class MetricsLog:
    """`metrics.jsonl`, appended a row at a time: the truth about a run, from which every picture is drawn.

    JSON has no infinity and no NaN: where a number is one, the row says null.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Row) -> Row:
        """Add a row and return it as it was written.

        Raises: RunError where the disk is full or gone.
        """
        finite = {key: None if isinstance(x, float) and not math.isfinite(x) else x for key, x in row.items()}
        with _explained(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite, allow_nan=False) + "\n")
        return finite

    def flush(self) -> None:
        """Force the rows out to the disk, so that they outlive what a checkpoint of the same step outlives.

        Raises: RunError where the disk is full or gone.
        """
        with _explained(self.path):
            if self.path.exists():
                flush(self.path)


def read_metrics(path: Path) -> list[Row]:
    """All rows of a run's log that are whole: what a killed process cut short, or a disk damaged, is left out."""
    return [row for row in read_rows(path) if "event" in row and isinstance(row.get("step"), int)]


def read_rows(path: Path) -> list[Row]:
    """The JSON objects of a file that has one a line; a line that holds none is left out."""
    if not path.exists():
        return []
    rows: list[Row] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row: object = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(cast("Row", row))
    return rows


def cut_metrics(path: Path, step: int) -> None:
    """Drop the rows after a checkpoint's step, which a resumed run will write again.

    Raises: RunError where the disk is full or gone.
    """
    with _explained(path):
        kept = [row for row in read_metrics(path) if row["step"] <= step]
        write_atomic(path, "".join(json.dumps(row) + "\n" for row in kept).encode())


@contextmanager
def _explained(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror}; mend that, and `gpt resume {path.parent}` goes on from the last "
            "checkpoint"
        ) from None


def _read(path: Path) -> Row:
    try:
        return read_object(path)
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"cannot read {path}: {error!s:.100}; put the file back, or start the run again") from None
