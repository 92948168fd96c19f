"""The shards that packing writes, with a record of how far it has come after each."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile

import numpy as np

from gptrilogy.data.index import PARTS, PROGRESS, Index, Packing, Part, Shard, write_index, write_progress
from gptrilogy.data.pieces import Piece
from gptrilogy.errors import DataError, RunError
from gptrilogy.files import replacing, sha256_file
from gptrilogy.tokenizers.base import IdArray

STORED = {"uint16": "<u2", "uint32": "<u4"}
MAX_HELD_BYTES = 1 << 28  # of ids in memory, more than a usual shard has; those of a long document wait on the disk


class _Pending:
    """What one part has gathered since the last shard."""

    def __init__(self, folder: Path) -> None:
        # The file has no name on the disk, so that a killed process leaves none.
        self.ids = SpooledTemporaryFile(MAX_HELD_BYTES, dir=str(folder))  # noqa: SIM115 - closed by the packer
        self.tokens = self.documents = self.text_bytes = 0


class Packer:
    """Gathers ids and, when a part has enough for a shard, writes what both parts have: then one number resumes."""

    def __init__(self, folder: Path, state: Packing) -> None:
        self.folder = folder
        self.index = state.index
        self.documents_read = state.documents_read
        self.text_bytes = state.index.train.text_bytes + state.index.valid.text_bytes
        self.pending = {part: _Pending(folder) for part in PARTS}

    def close(self) -> None:
        for pending in self.pending.values():
            pending.ids.close()

    def add(self, piece: Piece, ids: IdArray) -> None:
        eot_id = self.index.tokenizer.eot_id
        end = [eot_id] if piece.ends_text and eot_id is not None else []
        stored = np.concatenate([ids, np.array(end, np.uint32)]).astype(STORED[self.index.dtype])
        size_bytes = len(piece.text.encode())
        pending = self.pending[piece.part]
        with writing(self.folder):
            pending.ids.write(stored.tobytes())
        pending.tokens += len(stored)
        pending.documents += piece.ends_text
        pending.text_bytes += size_bytes
        self.text_bytes += size_bytes
        self.documents_read += piece.ends_document
        if piece.ends_document and any(part.tokens >= self.index.shard_tokens for part in self.pending.values()):
            self._checkpoint()

    def finish(self) -> Index:
        split = self.index.split
        if (self.documents_read, self.text_bytes) != (split.documents, split.text_bytes):
            raise DataError(
                f"the text changed while it was packed: {self.documents_read} documents of {self.text_bytes} bytes, "
                f"planned for {split.documents} of {split.text_bytes}; start again when it is still"
            )
        self._checkpoint()
        with writing(self.folder):
            write_index(self.folder, self.index)
            (self.folder / PROGRESS).unlink()
        return self.index

    def _checkpoint(self) -> None:
        with writing(self.folder):
            self.index = self.index.replace(**{part: self._grown(part) for part in PARTS})
            write_progress(self.folder, Packing(documents_read=self.documents_read, index=self.index))
        self.close()
        self.pending = {part: _Pending(self.folder) for part in PARTS}

    def _grown(self, name: str) -> Part:
        """A part with one more shard, written; as it was, if there is nothing to write."""
        pending, part = self.pending[name], self.index.train if name == "train" else self.index.valid
        if not pending.tokens:
            return part
        file = f"{name}/shard-{len(part.shards):05d}.bin"
        with replacing(self.folder / file) as temporary:
            pending.ids.seek(0)
            with temporary.open("wb") as out:
                shutil.copyfileobj(pending.ids, out)
            shard = Shard(
                file=file,
                tokens=pending.tokens,
                size_bytes=temporary.stat().st_size,
                sha256=sha256_file(temporary),
            )
        return Part(
            shards=(*part.shards, shard),
            documents=part.documents + pending.documents,
            tokens=part.tokens + pending.tokens,
            text_bytes=part.text_bytes + pending.text_bytes,
        )


@contextmanager
def writing(folder: Path) -> Generator[None]:
    """Says in one line what the disk had against it."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}; check its disk and permissions") from None
