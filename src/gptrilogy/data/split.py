"""Which text is held out for validation: a small value, decided in one pass and stored with the shards it made."""

import hashlib
import math
from array import array
from collections.abc import Iterable
from typing import Literal, assert_never

import numpy as np

from gptrilogy.config import Config
from gptrilogy.corpus.documents import Document
from gptrilogy.errors import ConfigError

MIN_DOCUMENTS = 20  # with fewer different texts than this, the end of each is held out instead of whole ones
BOUNDARIES = ("\n\n", "\n", " ")  # where a text may be cut, best first


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


def plan_split(
    documents: Iterable[Document], *, fraction: float = 0.05, seed: int, valid: Iterable[Document] | None = None
) -> Split:
    """Read every document once and decide what to hold out, keeping eight bytes of each.

    With 20 or more different texts the `fraction` of them with the smallest keys is held out, at least one; with
    fewer, the tail of each. With `valid`, documents that the user set apart, nothing else is.

    Raises: ConfigError if `fraction` is not above 0 and at most a half.
    """
    if not 0 < fraction <= 0.5:
        raise ConfigError(f"the fraction held out for validation must be above 0 and at most 0.5, got {fraction}")
    keys, text_bytes = _census(documents, seed)
    valid_keys, valid_bytes = _census(valid or (), seed)
    threshold = _threshold(keys, fraction) if valid is None else 0
    kind = "none" if valid is not None else "by_document" if threshold else "tail"
    return Split(
        kind=kind,
        fraction=fraction,
        seed=seed,
        threshold=threshold,
        documents=len(keys) + len(valid_keys),
        text_bytes=text_bytes + valid_bytes,
        fingerprint=hashlib.sha256(keys.tobytes() + b"|" + valid_keys.tobytes()).hexdigest(),
    )


def _census(documents: Iterable[Document], seed: int) -> tuple[np.ndarray, int]:
    """The key of every text in order, and the bytes of them all."""
    keys, text_bytes = array("Q"), 0
    for document in documents:
        content = document.text.encode()
        if content:
            keys.append(text_key(content, seed))
            text_bytes += len(content)
    return np.array(keys, dtype="<u8"), text_bytes


def _threshold(keys: np.ndarray, fraction: float) -> int:
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
    digest = hashlib.sha256(f"{seed}:".encode())
    digest.update(content)
    return int.from_bytes(digest.digest()[:8], "big")


def tail_start(text: str, fraction: float) -> int:
    """Where the held-out end of a text begins: `fraction` from its end, or up to twice that to find a boundary.

    The boundary is a blank line, else a newline, else a space, else none, and stays with the text before it.

    >>> tail_start("one two three four", 0.2)
    14
    """
    latest = max(1, len(text) - math.ceil(fraction * len(text)))
    earliest = max(1, len(text) - math.ceil(2 * fraction * len(text)))
    for boundary in BOUNDARIES:
        found = text.rfind(boundary, max(0, earliest - len(boundary)), latest)
        if found >= 0:
            return found + len(boundary)
    return latest
