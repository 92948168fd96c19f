"""The index of a packed folder: what was packed, with what, and the size and hash of every shard.

A mixture is a folder of packed folders, `sets/NAME`, under an index of their names and weights.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from gptrilogy.config import C, Config, parse
from gptrilogy.data.split import Split
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.files import read_object, read_sealed, sha256_file, write_sealed

INDEX = "index.json"
PROGRESS = "packing.json"
PARTS = ("train", "valid")
SETS = "sets"
NAME = r"[\w-][\w.-]{0,99}"  # of a set, and of its folder

Count: TypeAlias = Annotated[int, Field(ge=0)]


class Shard(Config):
    """One file of token ids, little-endian, whole documents."""

    file: Annotated[str, Field(pattern=rf"^({SETS}/{NAME}/)?(train|valid)/shard-\d{{5,}}\.bin$")]
    tokens: Count
    size_bytes: Count
    sha256: str


class Part(Config):
    """The training or the validation half of a packed folder."""

    shards: tuple[Shard, ...] = ()
    documents: Count = 0
    tokens: Count = 0
    text_bytes: Count = 0  # UTF-8, without <|endoftext|>: the divisor of bits per byte


class TokenizerCard(Config):
    """The tokenizer that made the ids, known again by its fingerprint."""

    name: str
    fingerprint: str
    n_vocab: Count
    eot_id: Count | None  # none: documents follow one another without a mark


class Index(Config):
    """A whole packed folder. It is written last, so a folder without it is not packed."""

    format: Literal["gptrilogy-shards"] = "gptrilogy-shards"
    version: Literal[1] = 1
    tokenizer: TokenizerCard
    dtype: Literal["uint16", "uint32"]
    shard_tokens: Count
    split: Split
    train: Part = Part()
    valid: Part = Part()

    @property
    def shards(self) -> tuple[Shard, ...]:
        return self.train.shards + self.valid.shards

    def plan(self) -> "Index":
        """The settings without the results: equal plans over equal text give equal shards."""
        return self.replace(train=Part(), valid=Part())


class WeightedSet(Config):
    """A set of a mixture. Its weight is its share of the training windows, once divided by the sum of all."""

    name: Annotated[str, Field(pattern=rf"^{NAME}$")]
    weight: Annotated[float, Field(gt=0)]


class MixtureIndex(Config):
    """A folder of packed folders, in order. It is written last, when all of them are packed."""

    format: Literal["gptrilogy-mixture"] = "gptrilogy-mixture"
    version: Literal[1] = 1
    sets: Annotated[tuple[WeightedSet, ...], Field(min_length=2)]


class Packing(Config):
    """How far packing has come: everything from the first `documents_read` documents is in the shards of `index`."""

    documents_read: Count = 0
    index: Index


def read_index(folder: Path) -> Index:
    """The index of a packed folder; of a mixture, those of its sets as one, in which every shard keeps its place.

    Raises: DataError if the folder is not packed, or the index is damaged.
    """
    sets = read_sets(folder)
    if not sets:
        return _read(folder, Index)
    return _joined([_moved(_read(folder / SETS / one.name, Index), f"{SETS}/{one.name}/") for one in sets])


def read_sets(folder: Path) -> tuple[WeightedSet, ...]:
    """The sets of a mixture; none where the folder holds one text.

    Raises: DataError as `read_index`.
    """
    path = folder / INDEX
    try:
        is_mixture = read_object(path).get("format") == "gptrilogy-mixture"
    except (OSError, ValueError, RecursionError):
        is_mixture = False  # then `_read` says what is wrong
    return _read(folder, MixtureIndex).sets if is_mixture else ()


def write_sets(folder: Path, sets: Sequence[WeightedSet]) -> None:
    """Make a mixture of the packed folders below `folder`."""
    write_sealed(folder / INDEX, MixtureIndex(sets=tuple(sets)).model_dump(mode="json"))


def write_index(folder: Path, index: Index) -> None:
    """Say that a folder is packed; nothing in it may change from then on."""
    write_sealed(folder / INDEX, index.model_dump(mode="json"))


def read_progress(folder: Path) -> Packing:
    """How far an interrupted packing came.

    Raises: OSError, ValueError, RecursionError or ConfigError where nothing says so.
    """
    return parse(Packing, read_sealed(folder / PROGRESS))


def write_progress(folder: Path, state: Packing) -> None:
    write_sealed(folder / PROGRESS, state.model_dump(mode="json"))


def _read(folder: Path, kind: type[C]) -> C:
    path = folder / INDEX
    if not path.exists():
        if (folder / PROGRESS).exists():
            raise DataError(f"packing {folder} was interrupted: give the same command again, and it goes on")
        raise DataError(f"{folder} holds no packed text ({INDEX} is missing): pack it from its source")
    try:
        return parse(kind, read_sealed(path))
    except (OSError, ValueError, RecursionError, ConfigError) as error:
        raise DataError(f"{path} is damaged ({error}): remove {folder} and pack its source again") from None


def _moved(index: Index, prefix: str) -> Index:
    """An index as it reads from above its folder."""

    def moved(part: Part) -> Part:
        return part.replace(shards=[{**shard.model_dump(), "file": prefix + shard.file} for shard in part.shards])

    return index.replace(train=moved(index.train).model_dump(), valid=moved(index.valid).model_dump())


def _joined(indexes: Sequence[Index]) -> Index:
    """One index over the shards of all, which one tokenizer made."""
    first = indexes[0]
    if any((index.tokenizer, index.dtype) != (first.tokenizer, first.dtype) for index in indexes):
        names = ", ".join(sorted({index.tokenizer.name for index in indexes}))
        raise DataError(f"the sets of a mixture were packed with different tokenizers ({names}): pack them again")
    splits = [index.split for index in indexes]
    split = {
        "documents": sum(split.documents for split in splits),
        "text_bytes": sum(split.text_bytes for split in splits),
        "fingerprint": hashlib.sha256("|".join(split.fingerprint for split in splits).encode()).hexdigest(),
    }
    return Index(
        tokenizer=first.tokenizer,
        dtype=first.dtype,
        shard_tokens=first.shard_tokens,
        split=first.split.replace(**split),
        train=_added([index.train for index in indexes]),
        valid=_added([index.valid for index in indexes]),
    )


def _added(parts: Sequence[Part]) -> Part:
    return Part(
        shards=tuple(shard for part in parts for shard in part.shards),
        documents=sum(part.documents for part in parts),
        tokens=sum(part.tokens for part in parts),
        text_bytes=sum(part.text_bytes for part in parts),
    )


def verify(folder: Path, index: Index, *, hashes: bool = True) -> None:
    """Compare every shard with its record: size, and unless told otherwise SHA-256.

    Raises: DataError naming the first file that is missing or differs.
    """
    for shard in index.shards:
        path = folder / shard.file
        try:
            size_bytes = path.stat().st_size
            if size_bytes != shard.size_bytes:
                wrong = f"it has {size_bytes} bytes, and its record says {shard.size_bytes}"
            elif hashes and (sha256 := sha256_file(path)) != shard.sha256:
                wrong = f"its SHA-256 is {sha256[:12]}, and its record says {shard.sha256[:12]}"
            else:
                continue
        except OSError as error:
            wrong = str(error.strerror)
        raise DataError(f"{path} is damaged: {wrong}; remove {folder} and pack its source again")
