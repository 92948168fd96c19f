"""What every tokenizer offers, and the two refusals they share: text that is not text, ids that are not theirs."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from gptrilogy.errors import TokenizerError

END_OF_TEXT = "<|endoftext|>"


class Tokenizer(Protocol):
    """Text <-> ids. Immutable; `eot_id` ends a document, and no text encodes to it.

    Raises: TokenizerError from the encoders for a lone surrogate, from the decoders for an id out of range.
    """

    @property
    def n_vocab(self) -> int: ...

    @property
    def eot_id(self) -> int: ...

    @property
    def name(self) -> str:
        """Kind and size, as `byte_bpe-2048`."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the definition: equal fingerprints, equal ids."""
        ...

    def encode(self, text: str) -> list[int]: ...

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]: ...

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; bytes that are not UTF-8 become U+FFFD."""
        ...

    def token_bytes(self, token_id: int) -> bytes: ...

    def definition(self) -> dict[str, Any]:
        """A JSON object that recreates the tokenizer; its `kind` says by which class."""
        ...


def utf8(text: str) -> bytes:
    r"""The bytes of a text.

    Raises: TokenizerError for a lone surrogate: Python lets one into a string, UTF-8 has no bytes for it.

    >>> utf8("né")
    b'n\xc3\xa9'
    >>> utf8("caf\udce9")
    Traceback (most recent call last):
    ...
    gptrilogy.errors.TokenizerError: position 3 (after 'caf') holds U+DCE9, a lone surrogate, ...
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        start = error.start
        raise TokenizerError(
            f"position {start} (after {text[max(0, start - 20) : start]!r}) holds U+{ord(text[start]):04X}, "
            "a lone surrogate, which UTF-8 cannot hold; remove it, or read the text with errors='replace'"
        ) from None


def bytes_of(token_id: int, tokens: Sequence[bytes]) -> bytes:
    """One row of a table of token bytes.

    Raises: TokenizerError for an id outside the table, a negative one included.
    """
    if 0 <= token_id < len(tokens):
        return tokens[token_id]
    raise TokenizerError(
        f"token id {token_id} is outside 0..{len(tokens) - 1}; were these ids made by another tokenizer?"
    )
