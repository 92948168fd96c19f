"""The index of a packed folder: what was packed, with what, and the size and hash of every shard."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from gptrilogy.config import Config, parse
from gptrilogy.data.split import Split
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.files import read_json, sha256_file

INDEX = "index.json"
PROGRESS = "packing.json"
PARTS = ("train", "valid")

Count: TypeAlias = Annotated[int, Field(ge=0)]


class Shard(Config):
    """One file of token ids, little-endian, whole documents."""

    file: Annotated[str, Field(pattern=r"^(train|valid)/shard-\d{5,}\.bin$")]
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


class Packing(Config):
    """How far packing has come: everything from the first `documents_read` documents is in the shards of `index`."""

    documents_read: Count = 0
    index: Index


def read_index(folder: Path) -> Index:
    """Raises: DataError if the folder is not packed, or the index is damaged."""
    path = folder / INDEX
    if not path.exists():
        if (folder / PROGRESS).exists():
            raise DataError(f"packing {folder} was interrupted: give the same command again, and it goes on")
        raise DataError(f"{folder} holds no packed text ({INDEX} is missing): pack it from its source")
    try:
        return parse(Index, read_json(path))
    except (OSError, ValueError, RecursionError, ConfigError) as error:
        raise DataError(f"{path} is damaged ({error}): remove {folder} and pack its source again") from None


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
