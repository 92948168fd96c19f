"""Which text is held out for validation: a small value, decided in one pass and stored with the shards it made."""

import hashlib
import math
from array import array
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, assert_never

import numpy as np
from numpy.typing import NDArray

from gptrilogy.config import Config
from gptrilogy.corpus.documents import AnyDocument, Document, LongDocument
from gptrilogy.errors import ConfigError

MIN_DOCUMENTS = 20  # with fewer different texts than this, the end of each is held out instead of whole ones
BOUNDARIES = ("\n\n", "\n", " ")  # where a text may be cut, best first


class Chunk(NamedTuple):
    """Text of a document for "train" or "valid", as much as comes at once."""

    part: str
    text: str


class Split(Config):
    r"""The rule by which a document goes to training, to validation, or in two parts to both.

    `by_document`: to validation if the key of its text is at most `threshold`, so equal texts are never divided.
    `tail`: the last `fraction` of each document, up to twice that to end at a paragraph. `none`: all is for training,
    and validation text comes from elsewhere.

    >>> novel = Document("It was a truth.\n\nHowever little known.", id="a.txt", source="a.txt")
    >>> plan_split([novel], fraction=0.4, seed=0).divide(novel)
    ('It was a truth.\n\n', 'However little known.')
    """

    kind: Literal["by_document", "tail", "none"]
    fraction: float
    seed: int
    threshold: int = 0
    documents: int  # of the whole input, documents with no text left out
    text_bytes: int
    fingerprint: str  # of all texts in their order, so that a changed source is noticed
    long_cuts: tuple[int, ...] = ()  # of each long document, in order, how many of its characters are for training

    def divide(self, document: Document) -> tuple[str, str]:
        """The training text and the validation text of a document; together they are its text."""
        match self.kind:
            case "by_document":
                held_out = text_key(document.text.encode(), self.seed) <= self.threshold
                return ("", document.text) if held_out else (document.text, "")
            case "tail":
                cut = tail_start(document.text, self.fraction)
                return document.text[:cut], document.text[cut:]
            case "none":
                return document.text, ""
            case _:
                assert_never(self.kind)

    def divided(self, documents: Iterable[AnyDocument]) -> Iterator[Iterator[Chunk]]:
        """Of every document that has text, what is for training and then what is for validation."""
        cuts = iter(self.long_cuts)
        for document in documents:
            if isinstance(document, LongDocument):
                yield _cut_at(next(cuts, 0), document.parts())  # one too many is found out when all are counted
            elif document.text:
                train, valid = self.divide(document)
                yield (chunk for chunk in (Chunk("train", train), Chunk("valid", valid)) if chunk.text)


def plan_split(
    documents: Iterable[AnyDocument], *, fraction: float = 0.05, seed: int, valid: Iterable[AnyDocument] | None = None
) -> Split:
    """Read every document once and decide what to hold out, keeping eight bytes of each.

    A long document of which the tail is held out is read a second time, to find where that begins.

    With 20 or more different texts the `fraction` of them with the smallest keys is held out, at least one; with
    fewer, the tail of each. With `valid`, documents that the user set apart, nothing else is.

    Raises: ConfigError if `fraction` is not above 0 and at most a half.
    """
    if not 0 < fraction <= 0.5:
        raise ConfigError(f"the fraction held out for validation must be above 0 and at most 0.5, got {fraction}")
    keys, text_bytes, long = _census(documents, seed)
    valid_keys, valid_bytes, _ = _census(valid or (), seed)
    threshold = _threshold(keys, fraction) if valid is None else 0
    kind = "none" if valid is not None else "by_document" if threshold else "tail"
    if kind == "tail":
        cuts = [_tail_start(document, n_chars, fraction) for document, n_chars, _ in long]
    else:
        cuts = [0 if kind == "by_document" and key <= threshold else n_chars for _, n_chars, key in long]
    return Split(
        kind=kind,
        fraction=fraction,
        seed=seed,
        threshold=threshold,
        documents=len(keys) + len(valid_keys),
        text_bytes=text_bytes + valid_bytes,
        fingerprint=hashlib.sha256(keys.tobytes() + b"|" + valid_keys.tobytes()).hexdigest(),
        long_cuts=tuple(cuts),
    )


class _Long(NamedTuple):
    document: LongDocument
    n_chars: int
    key: int


def _census(documents: Iterable[AnyDocument], seed: int) -> tuple[NDArray[np.uint64], int, list[_Long]]:
    """The key of every text in order, the bytes of them all, and the long ones."""
    keys, text_bytes, long = array("Q"), 0, list[_Long]()
    for document in documents:
        key, n_chars, n_bytes = _read(document, seed)
        if n_chars:
            keys.append(key)
            text_bytes += n_bytes
            if isinstance(document, LongDocument):
                long.append(_Long(document, n_chars, key))
    return np.array(keys, dtype="<u8"), text_bytes, long


def _read(document: AnyDocument, seed: int) -> tuple[int, int, int]:
    """The key of its text, its characters and its bytes."""
    digest = hashlib.sha256(f"{seed}:".encode())
    n_chars = n_bytes = 0
    for part in document.parts():
        content = part.encode()
        digest.update(content)
        n_chars += len(part)
        n_bytes += len(content)
    return _first_8_bytes(digest.digest()), n_chars, n_bytes


def _threshold(keys: NDArray[np.uint64], fraction: float) -> int:
    """The largest key held out, 0 if there are too few different texts; a text that recurs counts once."""
    different = np.unique(keys)
    if len(different) < MIN_DOCUMENTS:
        return 0
    return int(different[max(1, round(fraction * len(different))) - 1])


def text_key(content: bytes, seed: int) -> int:
    """A number drawn for a text: the first 8 bytes of SHA-256 over the seed and the text.

    >>> hex(text_key(b"It is a truth", seed=0))
    '0x55c637f6e49f113d'
    """
    return _first_8_bytes(hashlib.sha256(f"{seed}:".encode() + content).digest())


def _first_8_bytes(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big")


def tail_start(text: str, fraction: float) -> int:
    """Where the held-out end of a text begins: `fraction` from its end, or up to twice that to find a boundary.

    The boundary is a blank line, else a newline, else a space, else none, and stays with the text before it.

    >>> tail_start("one two three four", 0.2)
    14
    """
    earliest, latest = _tail_range(len(text), fraction)
    for boundary in BOUNDARIES:
        found = text.rfind(boundary, max(0, earliest - len(boundary)), latest)
        if found >= 0:
            return found + len(boundary)
    return latest


def _tail_start(document: LongDocument, n_chars: int, fraction: float) -> int:
    """`tail_start` of a text that is read in parts."""
    earliest, latest = _tail_range(n_chars, fraction)
    found = dict.fromkeys(BOUNDARIES, -1)
    position, before = 0, ""  # of the part; the character before it
    for part in document.parts():
        if position >= latest:
            break
        text, start = before + part, position - len(before)
        if position + len(part) >= earliest:
            for boundary in BOUNDARIES:
                first = max(0, earliest - len(boundary) - start)
                place = text.rfind(boundary, first, latest - start)
                found[boundary] = start + place if place >= 0 else found[boundary]
        position, before = position + len(part), part[-1]
    return next((place + len(boundary) for boundary, place in found.items() if place >= 0), latest)


def _tail_range(n_chars: int, fraction: float) -> tuple[int, int]:
    """The earliest and the latest place where the held-out end of so long a text may begin."""
    latest, earliest = (max(1, n_chars - math.ceil(share * n_chars)) for share in (fraction, 2 * fraction))
    return earliest, latest


def _cut_at(cut: int, parts: Iterable[str]) -> Iterator[Chunk]:
    """The first `cut` characters for training, the others for validation."""
    for part in parts:
        train, valid = part[:cut], part[cut:]
        cut -= len(train)
        if train:
            yield Chunk("train", train)
        if valid:
            yield Chunk("valid", valid)
