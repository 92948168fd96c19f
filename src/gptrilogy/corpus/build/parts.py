"""What a task leaves: a folder that is whole or absent, with the size and the hash of each of its files.

work/plan.json
work/STEP/part-00012/{done.json, ...}
"""

import shutil
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gptrilogy.files import flush, read_json, sha256_file, sha256_json, temporary_beside, write_json

DONE = "done.json"


class CorruptPartError(Exception):
    """A task's output is not what the task wrote; running the task again gives it back."""

    def __init__(self, step: str, number: int, why: str) -> None:
        super().__init__(f"part {number} of the step {step} is damaged: {why}")
        self.step = step
        self.number = number


@dataclass(frozen=True)
class Part:
    """The output of one task of a step."""

    work: Path
    step: str
    number: int

    @property
    def folder(self) -> Path:
        return self.work / self.step / f"part-{self.number:05d}"

    @cached_property
    def done(self) -> Mapping[str, Any]:
        """What the task said of its output.

        Raises: CorruptPartError where the file that vouches for the rest cannot be read.
        """
        try:
            sealed = read_json(self.folder / DONE)
            if sealed["sha256"] == sha256_json(sealed["said"]):
                return sealed["said"]
        except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
            raise self.corrupt(f"{DONE} cannot be read ({error})") from None
        raise self.corrupt(f"{DONE} differs from its hash")

    def exists(self) -> bool:
        """Whether the task ended and each file still has its size; contents are verified when they are read."""
        with suppress(OSError, CorruptPartError):
            return all(
                (self.folder / name).stat().st_size == bytes_ for name, (bytes_, _) in self.done["files"].items()
            )
        return False

    def corrupt(self, why: str) -> CorruptPartError:
        return CorruptPartError(self.step, self.number, why)

    def verified(self, name: str) -> Path:
        """A file of this part, after its bytes have been compared with their hash.

        Raises: CorruptPartError.
        """
        path = self.folder / name
        try:
            if sha256_file(path) == self.done["files"][name][1]:
                return path
        except (OSError, KeyError) as error:
            raise self.corrupt(f"{name} cannot be read ({error})") from None
        raise self.corrupt(f"{name} differs from its hash")

    def array(self, name: str) -> NDArray[Any]:
        """An array of this part, verified and in memory."""
        return np.load(self.verified(f"{name}.npy"), allow_pickle=False)

    def mapped(self, name: str) -> NDArray[Any]:
        """The same, mapped into memory rather than read, so that a worker holds what it looks at."""
        return np.load(self.verified(f"{name}.npy"), allow_pickle=False, mmap_mode="r")

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.__dict__.pop("done", None)

    @contextmanager
    def writing(self) -> Generator["Writing"]:
        """A folder that becomes this part when the block succeeds, and vanishes when it fails.

        Where another worker was quicker, what it wrote stays: a task always writes the same.
        """
        temporary = temporary_beside(self.folder)
        try:
            temporary.mkdir(parents=True)
            writing = Writing(temporary)
            yield writing
            _vouch(temporary, writing.said)
            if not self.exists():
                shutil.rmtree(self.folder, ignore_errors=True)
                try:
                    temporary.rename(self.folder)
                except OSError:
                    if not Part(self.work, self.step, self.number).exists():
                        raise
                flush(self.folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


class Writing:
    """A part that is being written: its folder, and what it says of itself in the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: dict[str, Any] = {}

    def array(self, name: str, values: NDArray[Any]) -> None:
        np.save(self.folder / f"{name}.npy", values, allow_pickle=False)

    def sliced(self, name: str, rows: NDArray[Any], slice_of: NDArray[Any], n_slices: int) -> None:
        """Rows for the tasks of a later step; can be called again with more. Rows of one slice keep their order.

        Shapes: rows (N,), slice_of (N,) in 0..n_slices - 1.
        """
        index = self.said.setdefault("slices", {}).setdefault(name, [[] for _ in range(n_slices)])
        order = np.argsort(slice_of, kind="stable")
        bounds = np.searchsorted(slice_of[order], np.arange(n_slices + 1))
        with (self.folder / f"{name}.rows").open("ab") as file:
            for number in np.flatnonzero(np.diff(bounds)).tolist():
                content = rows[order[bounds[number] : bounds[number + 1]]].tobytes()
                index[number].append([file.tell(), len(content), zlib.crc32(content)])
                file.write(content)


def read_slice(part: Part, name: str, number: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """One slice of what a part wrote with `sliced`.

    Raises: CorruptPartError where its bytes differ from their checksum.
    """
    try:
        with (part.folder / f"{name}.rows").open("rb") as file:
            pieces = [_read_piece(file, *piece) for piece in part.done["slices"][name][number]]
    except (OSError, KeyError) as error:
        raise part.corrupt(f"{name}.rows cannot be read ({error})") from None
    if None in pieces:
        raise part.corrupt(f"{name}.rows differs from its checksum")
    return np.frombuffer(b"".join(piece for piece in pieces if piece), dtype)


def _read_piece(file: IO[bytes], offset: int, size: int, checksum: int) -> bytes | None:
    file.seek(offset)
    content = file.read(size)
    return content if len(content) == size and zlib.crc32(content) == checksum else None


def remove_leftovers(work: Path) -> None:
    """Delete what killed workers left half-written, when nobody is at work in the folder."""
    for path in work.glob("*/.part-*.tmp"):
        shutil.rmtree(path, ignore_errors=True)


def parts_of(work: Path, step: str, count: int) -> Iterator[Part]:
    return (Part(work, step, number) for number in range(count))


def _vouch(folder: Path, said: Mapping[str, Any]) -> None:
    """Write sizes and hashes of a folder's files beside them, everything flushed to the disk."""
    inside = sorted(folder.rglob("*"))
    files = {
        str(path.relative_to(folder)): [path.stat().st_size, sha256_file(path)] for path in inside if path.is_file()
    }
    for path in inside:
        flush(path)
    sealed = {**said, "files": files}
    write_json(folder / DONE, {"sha256": sha256_json(sealed), "said": sealed})
    flush(folder)
