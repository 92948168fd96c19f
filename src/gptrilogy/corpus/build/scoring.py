"""Quality and identity of every document: the classifier's score, and the keys by which duplicates are found.

Source: GPT3 App. A: the classifier and MinHash look at the same features, so a document is hashed once for both.
"""

import heapq
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.build.parts import Part, Writing
from gptrilogy.corpus.build.plan import Build, numbered_docs, parts_and_rows
from gptrilogy.corpus.build.refused import Refused
from gptrilogy.corpus.build.tables import numbered, read_table
from gptrilogy.corpus.dedup.minhash import MinHash, bucket_keys
from gptrilogy.corpus.documents import Document
from gptrilogy.corpus.draws import draw
from gptrilogy.corpus.quality.card import MIN_DOCUMENTS
from gptrilogy.corpus.quality.classifier import Classifier
from gptrilogy.corpus.quality.features import Features, Hasher
from gptrilogy.corpus.quality.selection import dropped, histogram, select
from gptrilogy.corpus.quality.training import sampling_draw, train
from gptrilogy.corpus.urls import normalise_url, url_key
from gptrilogy.errors import ConfigError

# One row a document in the tables by which URLs and texts are compared. Of equal keys the longest text stays, then
# the smallest draw; `doc` is what `numbered_docs` gives.
KEY = np.dtype([("key", "<u8"), ("doc", "<u8"), ("characters", "<u4"), ("draw", "<u8"), ("set", "u1")])
RANK = np.dtype([("characters", "<u4"), ("draw", "<u8")])
MAX_OPEN = 200  # files of features at once
FLUSHED = 20_000  # documents whose keys are held before they are written
STORED = np.dtype([("offset", "<u8"), ("size", "<u4"), ("checksum", "<u4")])  # a document's features in their file


def band_row(n_hashes: int) -> np.dtype[Any]:
    """One row a document and band in the tables by which near duplicates are found."""
    return np.dtype(
        [("bucket", "<u8"), ("doc", "<u8"), ("size", "<u4"), ("source", "u1"), ("signature", "<u4", (n_hashes,))]
    )


def train_classifier(build: Build, number: int, writing: Writing) -> None:
    """Train on a draw of the good documents and of the raw ones, or take the classifier that is named."""
    del number
    if build.config.classifier_from:
        classifier = Classifier.load(Path(build.config.classifier_from))
        if (n_features := classifier.card.config.n_features) != build.config.classifier.n_features:
            raise ConfigError(
                f"{build.config.classifier_from} scores {n_features} features, and the build hashes "
                f"{build.config.classifier.n_features}: set --classifier.n-features {n_features}"
            )
    else:
        config = build.config.classifier
        n_raw = sum(int(build.documents[number]) for number in _of_role(build, "raw"))
        known = min(config.max_documents, max(MIN_DOCUMENTS, round(config.raw_share * n_raw)))
        good = _drawn(build, "good", config.max_documents)
        classifier = train(good, _drawn(build, "raw", known), config)
    classifier.save(writing.folder / "classifier")


def _of_role(build: Build, role: str) -> list[int]:
    return [number for number in range(len(build.plan.parts)) if build.settings(number).quality == role]


def _drawn(build: Build, role: str, count: int) -> Iterator[Document]:
    """The documents of a role with the smallest draws; the ids are read first, so that few texts are held."""
    ids = (
        (sampling_draw(row["id"], build.config.classifier.seed), number, first + place)
        for number in _of_role(build, role)
        for first, batch in numbered(read_table(_documents(build.part("read", number)), ["id"], rows=4096))
        for place, row in enumerate(batch)
    )
    chosen: dict[int, set[int]] = {}
    for _, number, row in heapq.nsmallest(count, ids):
        chosen.setdefault(number, set()).add(row)
    for number in sorted(chosen):
        name = build.plan.parts[number].set
        for first, batch in numbered(read_table(_documents(build.part("read", number)), ["id", "text"])):
            for place, row in enumerate(batch):
                if first + place in chosen[number]:
                    yield Document(row["text"], id=row["id"], source=name)


def score_part(build: Build, number: int, writing: Writing) -> None:
    """Score the documents of one part, drop by score, and lay out the keys of the rest slice by slice."""
    read = build.part("read", number)
    settings = build.settings(number)
    classifier = None
    if settings.quality == "raw":
        part = build.part("classifier", 0)
        classifier = Classifier.load(part.folder / "classifier")
    with Refused.writing(build, build.plan.parts[number].set, writing.folder) as refused:
        marks = _Marks(build, number, writing)
        for first, batch in numbered(read_table(_documents(read))):
            features = marks.features([row["text"] for row in batch])
            scores = np.full(len(batch), np.nan)
            kept = np.ones(len(batch), np.bool_)
            if classifier:
                scores = classifier.score_features(features)
                kept = select(scores, [row["id"] for row in batch], build.config.selection)
                refused.ledger.kept("quality", int(kept.sum()))
                for place in np.flatnonzero(~kept):
                    row = batch[place]
                    reason = dropped(scores[place], build.config.selection)
                    refused.add("quality", reason, id=row["id"], url=row["url"], text=row["text"])
            marks.add(first, batch, features, scores, kept)
        marks.finish()
    writing.said |= {"ledger": refused.ledger.rows(), "samples": refused.samples.rows()}


class Marked(NamedTuple):
    """What a batch of documents adds."""

    urls: NDArray[Any]
    texts: NDArray[Any]
    bands: NDArray[Any]


class _Marks:
    """Gathers scores, keys, signatures and features of one part's documents; 40 bytes of each stay in memory."""

    def __init__(self, build: Build, number: int, writing: Writing) -> None:
        self.writing = writing
        self.config = build.config
        self.number = number
        self.set = build.set_number(number)
        self.n_slices = build.n_slices
        self.hasher = Hasher(build.config.classifier.n_features) if build.config.hashes_features else None
        self.minhash = MinHash(build.config.near, build.config.classifier.n_features) if build.config.near else None
        self.scores: list[NDArray[Any]] = []
        self.kept: list[NDArray[np.bool_]] = []
        self.ranks: list[NDArray[Any]] = []
        self.stored: list[NDArray[Any]] = []
        self.marked: list[Marked] = []
        self._path = writing.folder / "features.bin"
        self._path.touch()
        self._offset = 0

    def features(self, texts: list[str]) -> list[Features]:
        return self.hasher.batch(texts) if self.hasher else []

    def add(
        self,
        first: int,
        batch: list[dict[str, Any]],
        features: list[Features],
        scores: NDArray[np.float64],
        kept: NDArray[np.bool_],
    ) -> None:
        rank = np.array([(len(row["text"]), draw("kept of copies", row["id"], 0)) for row in batch], RANK)
        alive = np.flatnonzero(kept)
        features = [features[place] for place in alive] if features else []
        docs = numbered_docs(self.number, first + alive)
        self.scores.append(scores)
        self.kept.append(kept)
        self.ranks.append(rank)
        texts = self._keys(docs, rank[alive], [_text_key(batch[place]["text"]) for place in alive])
        normal = [normalise_url(batch[place]["url"]) if batch[place]["url"] else None for place in alive]
        known = np.array([url is not None for url in normal], np.bool_)
        urls = self._keys(docs[known], rank[alive][known], [url_key(url) for url in normal if url is not None])
        bands = self._bands(docs, features, len(batch), alive)
        self.marked.append(Marked(urls, texts, bands))
        if sum(len(marked.texts) for marked in self.marked) >= FLUSHED:
            self.flush()

    def flush(self) -> None:
        """Write out the keys gathered so far, so that a part of any length is held in pieces."""
        for name, dtype in (("urls", KEY), ("texts", KEY)):
            rows = np.concatenate([*(getattr(marked, name) for marked in self.marked), np.zeros(0, dtype)])
            self.writing.sliced(name, rows, (rows["key"] % np.uint64(self.n_slices)).astype(np.int64), self.n_slices)
        if self.config.near:
            n_bands = self.config.near.bands
            rows = np.concatenate([*(marked.bands for marked in self.marked), self._no_bands()])
            in_band = (rows["bucket"] % np.uint64(self.n_slices)).astype(np.int64)
            band = np.arange(len(rows)) % n_bands  # a document's rows lie side by side, one for each band
            self.writing.sliced("bands", rows, band * self.n_slices + in_band, n_bands * self.n_slices)
        self.marked.clear()

    def finish(self) -> None:
        self.flush()
        kept = np.concatenate([*self.kept, np.zeros(0, np.bool_)])
        scores = np.concatenate([*self.scores, np.zeros(0)])
        self.writing.array("kept", kept)
        self.writing.array("scores", scores)
        self.writing.array("ranks", np.concatenate([*self.ranks, np.zeros(0, RANK)]))
        if self.config.near:
            self.writing.array("stored", np.concatenate([*self.stored, np.zeros(0, STORED)]))
        if np.isfinite(scores).any():
            self.writing.said["scores"] = {
                "kept": histogram(scores[kept]).tolist(),
                "dropped": histogram(scores[~kept]).tolist(),
            }

    def _keys(self, docs: NDArray[np.uint64], rank: NDArray[Any], keys: list[int]) -> NDArray[Any]:
        rows = np.zeros(len(docs), KEY)
        rows["key"], rows["doc"], rows["set"] = np.array(keys, np.uint64), docs, self.set
        rows["characters"], rows["draw"] = rank["characters"], rank["draw"]
        return rows

    def _bands(
        self, docs: NDArray[np.uint64], features: list[Features], n_batch: int, alive: NDArray[np.int64]
    ) -> NDArray[Any]:
        """One row for each document and band, bands of a document side by side; documents without words have none."""
        if not self.minhash or not self.config.near:
            return self._no_bands()
        self.stored.append(self._store(features, n_batch, alive))
        sizes = np.array([len(feature.indices) for feature in features], np.int64)
        flat = np.concatenate([*(feature.indices for feature in features), np.zeros(0, np.uint32)])
        some = sizes > 0
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes[some])])
        signatures = self.minhash.many(flat, offsets)
        buckets = bucket_keys(signatures, self.config.near)
        rows = np.zeros(buckets.shape, band_row(self.config.near.signature_length))
        rows["bucket"], rows["source"] = buckets, self.set
        rows["doc"], rows["size"] = docs[some][:, None], sizes[some][:, None]
        rows["signature"] = signatures[:, None, :]
        return rows.reshape(-1)

    def _no_bands(self) -> NDArray[Any]:
        return np.zeros(0, band_row(self.config.near.signature_length if self.config.near else 1))

    def _store(self, features: list[Features], n_batch: int, alive: NDArray[np.int64]) -> NDArray[Any]:
        stored = np.zeros(n_batch, STORED)
        with self._path.open("ab") as file:
            for place, feature in zip(alive, features, strict=True):
                content = feature.indices.astype("<u4").tobytes()
                stored[place] = (self._offset, len(feature.indices), zlib.crc32(content))
                self._offset += file.write(content)
        return stored


class StoredFeatures:
    """Features of any document, read from the part it is in.

    Raises: CorruptPartError where they differ from their checksum.
    """

    def __init__(self, build: Build) -> None:
        self.build = build
        self._tables: dict[int, NDArray[Any]] = {}
        self._open = ExitStack()
        self._files: dict[int, IO[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __call__(self, docs: NDArray[np.uint64]) -> list[NDArray[np.uint32]]:
        return [self._read(number, row) for number, row in np.stack(parts_and_rows(docs), axis=1).tolist()]

    def _read(self, number: int, row: int) -> NDArray[np.uint32]:
        part = self.build.part("score", number)
        if number not in self._tables:
            if len(self._files) == MAX_OPEN:
                self._open.close()
                self._files.clear()
                self._tables.clear()
            self._tables[number] = part.mapped("stored")
            self._files[number] = self._open.enter_context((part.folder / "features.bin").open("rb"))
        offset, size, checksum = self._tables[number][row].tolist()
        content = os.pread(self._files[number].fileno(), 4 * size, offset)
        if len(content) != 4 * size or zlib.crc32(content) != checksum:
            raise part.corrupt("features.bin differs from its checksum")
        return np.frombuffer(content, "<u4")


def _documents(part: Part) -> Path:
    return part.verified("documents.parquet")


def _text_key(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
