"""Saved states that are whole or absent: tensors and JSON under a manifest of sizes and SHA-256. Nothing is pickled."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gptrilogy.errors import CheckpointError, UnreadableCheckpointError
from gptrilogy.files import (
    read_object,
    read_sealed,
    remove_folder,
    replacing_folder,
    sha256_file,
    write_json,
    write_sealed,
)

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST, CONFIG, MODEL = "manifest.json", "config.json", "model.safetensors"
TOKENIZER, TRAIN_STATE = "tokenizer", "train_state"
VERSION = 1
MAX_HEADER_BYTES = 1 << 21  # of a safetensors file: 20,000 tensors, whose names take twenty times as much in memory


@dataclass(slots=True)
class Checkpoint:
    """What one folder holds: the resolved config, the model's weights, and what training needs to go on."""

    config: dict[str, Any]
    model: "Mapping[str, Tensor]"
    train_tensors: "Mapping[str, Tensor]" = field(default_factory=dict[str, "Tensor"])
    train_values: dict[str, Any] = field(default_factory=dict[str, Any])


def write_checkpoint(folder: Path, checkpoint: Checkpoint, *, tokenizer: Path, summary: Mapping[str, Any]) -> None:
    """Write a checkpoint so that a crash at any moment leaves either all of it or none.

    `tokenizer` is a folder to copy; `summary` (step, loss) goes into the manifest, readable without the tensors.

    Raises: CheckpointError naming the folder when the disk is full or cannot be written; older checkpoints stay valid.
    """
    try:
        with replacing_folder(folder) as temporary:
            write_json(temporary / CONFIG, checkpoint.config)
            write_tensors(temporary / MODEL, checkpoint.model)
            shutil.copytree(tokenizer, temporary / TOKENIZER)
            (temporary / TRAIN_STATE).mkdir()
            write_tensors(temporary / TRAIN_STATE / "tensors.safetensors", checkpoint.train_tensors)
            write_json(temporary / TRAIN_STATE / "values.json", checkpoint.train_values)
            listed = {"version": VERSION, **summary, "files": _inventory(temporary)}
            write_sealed(temporary / MANIFEST, listed)
    except (OSError, shutil.Error) as error:
        raise _not_written(folder, error) from None


def amend_checkpoint(folder: Path, summary: Mapping[str, Any]) -> None:
    """Add to the summary of a checkpoint, which is whole before, meanwhile and after.

    Raises: CheckpointError where it does not exist, or cannot be written.
    """
    listed = manifest(folder)
    try:
        write_sealed(folder / MANIFEST, {**listed, **summary})
    except OSError as error:
        raise _not_written(folder, error) from None


def read_checkpoint(folder: Path, *, with_train_state: bool = True) -> Checkpoint:
    """Verify a checkpoint, then load it.

    Raises: CheckpointError naming the file that is missing, cut or changed.
    """
    verify_checkpoint(folder)
    config = _read_object(folder / CONFIG)
    model = read_tensors(folder / MODEL)
    if not with_train_state:
        return Checkpoint(config, model)
    values = _read_object(folder / TRAIN_STATE / "values.json")
    return Checkpoint(config, model, read_tensors(folder / TRAIN_STATE / "tensors.safetensors"), values)


def verify_checkpoint(folder: Path) -> None:
    """Compare every file with the manifest.

    Raises: CheckpointError naming the first file that is missing, of another size, or of other bytes;
    UnreadableCheckpointError where that cannot be told.
    """
    for name, expected in manifest(folder)["files"].items():
        path = folder / name
        try:
            size_bytes = path.stat().st_size
            sha256 = sha256_file(path) if size_bytes == expected["size_bytes"] else None
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise CheckpointError(f"{path} is missing, though the manifest lists it") from None
        except OSError as error:
            raise _unreadable(path, folder, error) from None
        if size_bytes != expected["size_bytes"]:
            raise CheckpointError(f"{path} has {size_bytes} bytes, the manifest says {expected['size_bytes']}")
        if sha256 != expected["sha256"]:
            raise CheckpointError(f"{path} is damaged: its SHA-256 is not the manifest's")


def manifest(folder: Path) -> dict[str, Any]:
    """The list of files and the summary.

    Raises: CheckpointError where there is none or it is not ours: the checkpoint then does not exist;
    UnreadableCheckpointError where that cannot be told.
    """
    path = folder / MANIFEST
    try:
        listed = read_sealed(path)
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(f"{folder} is not a checkpoint: it has no {MANIFEST}") from None
    except OSError as error:
        raise _unreadable(path, folder, error) from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    if listed.get("version") != VERSION:
        raise UnreadableCheckpointError(
            f"{path} has version {listed.get('version')}, this gptrilogy reads {VERSION}: use the one that wrote it"
        )
    if not _is_inventory(listed.get("files")):
        raise CheckpointError(f"{path} is damaged: it does not list the checkpoint's files")
    return listed


def newest_valid(checkpoints: Path) -> Path | None:
    """The last checkpoint whose every byte is right; damaged later ones are passed over.

    Raises: UnreadableCheckpointError where a later one may be whole.
    """
    return next((folder for folder in reversed(checkpoint_folders(checkpoints)) if damage(folder) is None), None)


def damage(folder: Path) -> CheckpointError | None:
    """What is wrong with a checkpoint, if anything.

    Raises: UnreadableCheckpointError where that cannot be told.
    """
    try:
        verify_checkpoint(folder)
    except UnreadableCheckpointError:
        raise
    except CheckpointError as error:
        return error
    return None


def set_aside(folder: Path) -> Path:
    """Rename a damaged checkpoint, so that it counts no more and yet is not lost; -> its new name.

    Raises: CheckpointError where it cannot be renamed.
    """
    numbers = chain([""], map("-{}".format, count(2)))
    aside = next(
        path for number in numbers if not (path := folder.with_name(f"damaged-{folder.name}{number}")).exists()
    )
    try:
        return folder.rename(aside)
    except OSError as error:
        raise CheckpointError(f"cannot set the damaged {folder} aside: {error.strerror}; mend that") from None


def best(checkpoints: Path) -> Path | None:
    """The checkpoint of highest validation score, or of least validation loss; where none was validated, the last.

    Among equals it is the first. One whose manifest is missing or damaged is none.

    Raises: UnreadableCheckpointError where one may be better than the others.
    """
    faults: dict[Path, float | None] = {}
    for folder in checkpoint_folders(checkpoints):
        try:
            summary = manifest(folder)
        except UnreadableCheckpointError:
            raise
        except CheckpointError:
            continue
        score = summary.get("valid_score")
        faults[folder] = summary.get("valid_loss_nats") if score is None else -score
    validated = [(fault, folder) for folder, fault in faults.items() if fault is not None]
    if validated:
        return min(validated)[1]
    return max(faults, default=None)


def prune(checkpoints: Path, *, keep_last: int = 2) -> None:
    """Delete all but the best and the last few."""
    folders = checkpoint_folders(checkpoints)
    keep = {best(checkpoints), *folders[-keep_last:]}
    for folder in folders:
        if folder not in keep:
            remove_folder(folder)


def checkpoint_folders(checkpoints: Path) -> list[Path]:
    """Folders that carry a manifest, by step."""
    return sorted(path.parent for path in checkpoints.glob(f"step-*/{MANIFEST}"))


def read_tensors(path: Path) -> "dict[str, Tensor]":
    """Tensors of a safetensors file, which runs no code.

    Raises: CheckpointError where it is not one, or the disk fails.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file  # pyright: ignore[reportUnknownVariableType]

    try:
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
        if header_bytes > MAX_HEADER_BYTES:
            raise CheckpointError(
                f"{path} is not a safetensors file of a model: its header has {header_bytes:,} bytes, at most "
                f"{MAX_HEADER_BYTES:,} are read"
            )
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from None
    except (OSError, RuntimeError) as error:  # PyTorch opens it too, and has no error of its own for a disk that fails
        raise CheckpointError(f"{path} cannot be read: {str(error).partition(chr(10))[0]:.200}") from None


def write_tensors(path: Path, tensors: "Mapping[str, Tensor]", metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file, readable as any other file is.

    Raises: OSError from the disk.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]

    path.touch()
    mode = path.stat().st_mode
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    except SafetensorError as error:  # it wraps the system's own error, a full disk for example
        raise OSError(None, str(error), str(path)) from None
    path.chmod(mode)  # safetensors makes it private


def _read_object(path: Path) -> dict[str, Any]:
    """The settings in a file that its manifest vouches for, which anybody may have written."""
    try:
        return read_object(path)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error!s:.100}") from None


def _unreadable(path: Path, folder: Path, error: OSError) -> UnreadableCheckpointError:
    return UnreadableCheckpointError(
        f"{path} cannot be read: {error.strerror}; mend that, or move {folder} elsewhere to do without it"
    )


def _not_written(folder: Path, error: Exception) -> CheckpointError:
    reason = getattr(error, "strerror", None) or error
    return CheckpointError(
        f"cannot write the checkpoint {folder}: {reason}; make room, or choose another place: "
        "what was there before is intact"
    )


def _inventory(folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"size_bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in files
    }


def _is_inventory(value: object) -> bool:
    """Whether a manifest's `files` has the right shape and stays inside its folder."""
    if not isinstance(value, dict):
        return False
    rows = cast("dict[str, Any]", value)
    inside = all(not Path(name).is_absolute() and ".." not in Path(name).parts for name in rows)
    whole = all(isinstance(row, dict) and {"size_bytes", "sha256"} <= set(cast("Any", row)) for row in rows.values())
    return inside and whole and {CONFIG, MODEL} <= set(rows)
