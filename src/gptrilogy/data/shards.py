"""Documents to token shards that survive any interruption, and shards back to tokens."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.documents import AnyDocument, LongDocument
from gptrilogy.data.index import (
    INDEX,
    PARTS,
    PROGRESS,
    SETS,
    Index,
    Packing,
    Part,
    TokenizerCard,
    WeightedSet,
    read_index,
    read_progress,
    read_sets,
    verify,
    write_index,
    write_progress,
    write_sets,
)
from gptrilogy.data.packing import STORED, Packer, writing
from gptrilogy.data.pieces import batches
from gptrilogy.data.split import Chunk, Split
from gptrilogy.data.tokens import Tokens
from gptrilogy.errors import DataError, GPTrilogyError
from gptrilogy.files import flush, make_folder, replacing
from gptrilogy.tokenizers.base import Tokenizer

BATCH_CHARS = 1 << 22  # given to the tokenizer at once: enough for every core, few enough to hold

OnProgress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PackedSet:
    """A set of a mixture, opened."""

    name: str
    weight: float
    train: Tokens
    valid: Tokens


@dataclass(frozen=True, slots=True)
class PackedData:
    """A packed folder, opened: all its text, and where it is a mixture the sets it is made of."""

    index: Index
    train: Tokens
    valid: Tokens
    sets: tuple[PackedSet, ...] = ()


def pack(
    documents: Iterable[AnyDocument],
    tokenizer: Tokenizer,
    folder: Path,
    *,
    split: Split,
    valid: Iterable[AnyDocument] = (),
    shard_tokens: int = 1 << 25,
    batch_chars: int = BATCH_CHARS,
    on_progress: OnProgress | None = None,
) -> Index:
    """Write `train/shard-00000.bin` and on, `valid/...` and at last `index.json`; <|endoftext|> ends each document.

    Killed anywhere and called again with the same text and settings, it goes on after the last finished shard and
    leaves the same bytes as if it had never stopped. With others, what was packed is discarded; once packed, nothing
    is done. `split` is what `plan_split` says of the same documents, `valid` included. Shards hold whole documents
    and close at the first that brings one part to `shard_tokens`. `on_progress(documents, text_bytes)` is called
    after each batch, with totals so far.

    Raises: DataError if the documents are not those of `split`; RunError if the folder cannot be written.
    """
    plan = _plan(tokenizer, split, shard_tokens)
    with writing(folder):
        state = _resume(folder, plan)
    if (folder / INDEX).exists():
        return state.index
    set_apart = ((Chunk("valid", part) for part in document.parts()) for document in _with_text(valid))
    divided = islice(chain(split.divided(documents), set_apart), state.documents_read, None)
    encode, is_first = tokenizer.encoder(), True
    with closing(Packer(folder, state)) as packer:
        for batch in batches(divided, batch_chars, tokenizer.gap):
            begins = [is_first, *(piece.ends_text for piece in batch)]
            is_first = begins.pop()
            for piece, ids in zip(batch, encode([piece.text for piece in batch], begins), strict=True):
                packer.add(piece, ids)
            if on_progress:
                on_progress(packer.documents_read, packer.text_bytes)
        return packer.finish()


def open_shards(folder: Path, *, fingerprint: str | None) -> PackedData:
    """Memory-map a packed folder, after every file has been compared with its size and hash.

    Raises: DataError naming the file that is missing or damaged, or if another tokenizer than the one with
    `fingerprint` made the ids.
    """
    index = read_index(folder)
    card = index.tokenizer
    if fingerprint not in (None, card.fingerprint):
        raise DataError(
            f"{folder} was packed with the tokenizer {card.name} ({card.fingerprint[:12]}), "
            f"not with {fingerprint:.12}: pack its source again with this one, or use the one it was packed with"
        )
    verify(folder, index)
    train, valid = (_open_part(folder, index, part) for part in (index.train, index.valid))
    sets = tuple(_open_set(folder / SETS / one.name, one) for one in read_sets(folder))
    return PackedData(index, train, valid, sets)


def link_shards(source: Path, destination: Path, *, sets: Sequence[WeightedSet] | None = None) -> None:
    """Give a packed folder a second name, file by file; where the disk cannot link, bytes are copied.

    Of a mixture, only the `sets` given, with their weights; one alone is no mixture any more.

    Raises: DataError if the source is not packed or not whole; RunError if the destination cannot be written.
    """
    sets = read_sets(source) if sets is None else sets
    if len(sets) == 1:
        link_shards(source / SETS / sets[0].name, destination)
        return
    if sets:
        for one in sets:
            link_shards(source / SETS / one.name, destination / SETS / one.name)
        with writing(destination):
            write_sets(destination, sets)
        return
    index = read_index(source)
    verify(source, index, hashes=False)
    if destination.exists() and destination.samefile(source):
        return
    with writing(destination):
        (destination / INDEX).unlink(missing_ok=True)
        _make_parts(destination)
        for shard in index.shards:
            _link(source / shard.file, destination / shard.file)
        for part in PARTS:
            flush(destination / part)
        write_index(destination, index)


def _plan(tokenizer: Tokenizer, split: Split, shard_tokens: int) -> Index:
    """The index of a folder in which nothing is packed yet."""
    card = TokenizerCard(
        name=tokenizer.name, fingerprint=tokenizer.fingerprint, n_vocab=tokenizer.n_vocab, eot_id=tokenizer.eot_id
    )
    dtype = "uint16" if tokenizer.n_vocab <= 1 << 16 else "uint32"
    return Index(tokenizer=card, dtype=dtype, shard_tokens=shard_tokens, split=split)


def _resume(folder: Path, plan: Index) -> Packing:
    """The state on disk if it is sound and has this plan, else a new one on disk; then no other shard is there."""
    state = _found(folder, plan)
    if state is None:
        state = Packing(index=plan)
        (folder / INDEX).unlink(missing_ok=True)  # first, for it vouches for shards that go now
        _make_parts(folder)
        write_progress(folder, state)
    recorded = {shard.file for shard in state.index.shards}
    for part in PARTS:
        for path in (folder / part).glob("*shard-*.bin*"):
            if path.relative_to(folder).as_posix() not in recorded:
                path.unlink()
    for path in folder.glob(".*.json.*.tmp"):  # of a process that was killed while it wrote
        path.unlink()
    if (folder / INDEX).exists():
        (folder / PROGRESS).unlink(missing_ok=True)
    return state


def _found(folder: Path, plan: Index) -> Packing | None:
    try:
        if (folder / INDEX).exists():
            state = Packing(documents_read=plan.split.documents, index=read_index(folder))
        else:
            state = read_progress(folder)
        verify(folder, state.index)
    except (OSError, ValueError, RecursionError, GPTrilogyError):
        return None  # absent, or damaged from outside; packing again repairs both
    return state if state.index.plan() == plan else None


def _make_parts(folder: Path) -> None:
    for part in PARTS:
        make_folder(folder / part)
    flush(folder)


def _with_text(documents: Iterable[AnyDocument]) -> Iterator[AnyDocument]:
    return (document for document in documents if isinstance(document, LongDocument) or document.text)


def _open_set(folder: Path, one: WeightedSet) -> PackedSet:
    index = read_index(folder)
    train, valid = (_open_part(folder, index, part) for part in (index.train, index.valid))
    return PackedSet(one.name, one.weight, train, valid)


def _open_part(folder: Path, index: Index, part: Part) -> Tokens:
    shards: Sequence[NDArray[Any]] = [
        np.memmap(folder / shard.file, dtype=STORED[index.dtype], mode="r") for shard in part.shards if shard.tokens
    ]
    return Tokens(shards, eot_id=index.tokenizer.eot_id, documents=part.documents, text_bytes=part.text_bytes)


def _link(source: Path, destination: Path) -> None:
    """A second name for a file, or failing that a copy."""
    destination.unlink(missing_ok=True)
    with suppress(OSError):  # another disk, or one that knows no links
        os.link(source, destination)
        return
    with replacing(destination) as temporary:
        shutil.copyfile(source, temporary)
