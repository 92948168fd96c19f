"""What a model was trained on, as documents: its sources, or the token shards they were packed into. Needs no torch."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from gptrilogy.corpus.documents import Document
from gptrilogy.corpus.sources import OnSkip
from gptrilogy.data.built_corpus import read_texts
from gptrilogy.data.index import INDEX
from gptrilogy.data.shards import open_shards
from gptrilogy.errors import DataError, GPTrilogyError
from gptrilogy.tokenizers.base import Tokenizer
from gptrilogy.tokenizers.saved import load_tokenizer

_WINDOW_TOKENS = 1 << 20


def read_training_text(
    sources: Sequence[str], *, text_field: str = "text", tokenizer: Path | None = None, on_skip: OnSkip | None = None
) -> Iterator[Document]:
    """The documents of sources, built corpora, packed folders and runs, in the order given.

    Of the packed they are what is trained on.

    A packed folder's tokenizer is the one of the run it belongs to, or `tokenizer`.

    Raises: DataError, at once for a source that is not there or cannot be decoded, later as `read_texts`.
    """
    return chain.from_iterable([_documents(source, text_field, tokenizer, on_skip) for source in sources])


def packed_documents(folder: Path, tokenizer: Tokenizer) -> Iterator[Document]:
    """The training documents of a packed folder, decoded one by one.

    Raises: DataError as `open_shards`, and for a tokenizer that leaves no mark between documents.
    """
    if tokenizer.eot_id is None:
        raise DataError(
            f"{folder} was packed with {tokenizer.name}, which leaves no mark between documents: give their sources"
        )
    tokens = open_shards(folder, fingerprint=tokenizer.fingerprint).train
    return _decoded(folder, tokenizer, (tokens.window(start, length) for start, length in _windows(len(tokens))))


def _documents(source: str, text_field: str, tokenizer: Path | None, on_skip: OnSkip | None) -> Iterator[Document]:
    for folder in (Path(source), Path(source) / "data"):
        if (folder / INDEX).is_file():
            return packed_documents(folder, _tokenizer(folder, tokenizer))
    return read_texts([source], text_field=text_field, on_skip=on_skip)


def _tokenizer(folder: Path, given: Path | None) -> Tokenizer:
    try:
        return load_tokenizer(given or folder.resolve().parent)
    except GPTrilogyError as error:
        if given:
            raise
        raise DataError(
            f"{folder} holds tokens and no run's tokenizer lies beside it; name it with --tokenizer ({error})"
        ) from None


def _windows(n_tokens: int) -> Iterator[tuple[int, int]]:
    return ((start, min(_WINDOW_TOKENS, n_tokens - start)) for start in range(0, n_tokens, _WINDOW_TOKENS))


def _decoded(folder: Path, tokenizer: Tokenizer, windows: Iterator[np.ndarray]) -> Iterator[Document]:
    spelled = [tokenizer.token_bytes(token_id) for token_id in range(tokenizer.n_vocab)]
    number, pending = 0, list[bytes]()

    def document() -> Document:
        return Document(b"".join(pending).decode("utf-8", "replace"), f"{folder.name}/train:{number + 1}", str(folder))

    for ids in windows:
        start = 0
        for end in np.flatnonzero(ids == tokenizer.eot_id).tolist():
            pending += map(spelled.__getitem__, ids[start:end].tolist())
            yield document()
            pending.clear()
            number, start = number + 1, end + 1
        pending += map(spelled.__getitem__, ids[start:].tolist())
    if pending:
        yield document()
