"""What every tokenizer offers, and what all share: special tokens by name only, and two refusals."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers.pieces import Gap

END_OF_TEXT = "<|endoftext|>"

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IdArray: TypeAlias = "NDArray[np.uint32]"
Encoder: TypeAlias = Callable[[Sequence[str], Sequence[bool]], list[IdArray]]


class Tokenizer(Protocol):
    """Text <-> ids. Immutable.

    Raises: TokenizerError from the encoders for a lone surrogate, from the decoders for an id out of range.
    """

    @property
    def n_vocab(self) -> int: ...

    @property
    def eot_id(self) -> int | None:
        """The token that ends a document; None for GPT-1, which has none."""
        ...

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Tokens that stand for themselves. A text holds one only where the caller of `encode` allows it by name."""
        ...

    @property
    def separator(self) -> str:
        """What `decode` puts between words, not after the last: a space for GPT-1, elsewhere nothing."""
        ...

    @property
    def gap(self) -> Gap:
        """Where a long text may be cut into pieces that have the ids of the whole from an `encoder`."""
        ...

    @property
    def name(self) -> str:
        """Kind and size, as `byte_bpe-2048`."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the definition: equal fingerprints, equal ids."""
        ...

    def encode(self, text: str, *, allowed_special: Collection[str] = ()) -> list[int]:
        """The ids of a text; names in `allowed_special` become their one id, all others stay plain characters.

        Raises: TokenizerError also for a name that is no special token here.
        """
        ...

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]: ...

    def encode_arrays(self, texts: Sequence[str]) -> list[IdArray]:
        """The same as arrays that may be read only: no Python number for each token of a corpus."""
        ...

    def encoder(self) -> Encoder:
        """The same for texts in pieces cut at gaps, which it is given in order, and whether each begins a text.

        It knows what matters of the pieces before: GPT-1's tokenizer reads a line otherwise after one with a "<".
        """
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; bytes that are not UTF-8 become U+FFFD."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """What one id stands for; with the separator after it where a word ends."""
        ...

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
            "a lone surrogate, which UTF-8 cannot hold: the text was cut inside a character or is in another encoding; "
            "remove it, or convert the text"
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


def cut_special(text: str, allowed: Collection[str], special_tokens: Mapping[str, int]) -> Iterator[str | int]:
    """A text as plain pieces and, between them, the ids of the special tokens that are allowed.

    Raises: TokenizerError for a name that is no special token.

    >>> list(cut_special("one<|endoftext|>two", {"<|endoftext|>"}, {"<|endoftext|>": 256}))
    ['one', 256, 'two']
    >>> list(cut_special("one<|endoftext|>two", (), {"<|endoftext|>": 256}))
    ['one<|endoftext|>two']
    """
    if unknown := sorted(set(allowed) - set(special_tokens)):
        known = ", ".join(special_tokens) or "none"
        raise TokenizerError(f"{unknown[0]!r} is not a special token of this tokenizer; its special tokens: {known}")
    if not allowed:
        yield text
        return
    for piece in re.split(f"({'|'.join(map(re.escape, sorted(allowed, key=len, reverse=True)))})", text):
        if piece in allowed:
            yield special_tokens[piece]
        elif piece:
            yield piece
