"""The tokenizer with nothing to learn: an id is a byte, and one more id ends a document."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

from gptrilogy.errors import TokenizerError
from gptrilogy.files import sha256_json
from gptrilogy.tokenizers.base import END_OF_TEXT, Encoder, IdArray, bytes_of, cut_special, utf8
from gptrilogy.tokenizers.pieces import ANYWHERE

_TOKENS = (*(bytes([byte]) for byte in range(256)), END_OF_TEXT.encode())


class BytesTokenizer:
    """Ids 0-255 are the bytes of UTF-8 and 256 is the end of a text.

    >>> BytesTokenizer().encode("né")
    [110, 195, 169]
    """

    n_vocab = 257
    eot_id = 256
    name = "bytes"
    separator = ""
    gap = ANYWHERE
    special_tokens: Mapping[str, int] = MappingProxyType({END_OF_TEXT: eot_id})

    @property
    def fingerprint(self) -> str:
        return sha256_json(self.definition())

    def encode(self, text: str, *, allowed_special: Collection[str] = ()) -> list[int]:
        pieces = cut_special(text, allowed_special, self.special_tokens)
        return [token for piece in pieces for token in ([piece] if isinstance(piece, int) else utf8(piece))]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def encoder(self) -> Encoder:
        return lambda pieces, _: self.encode_arrays(pieces)

    def encode_arrays(self, texts: Sequence[str]) -> list[IdArray]:
        import numpy as np

        return [np.frombuffer(utf8(text), np.uint8).astype(np.uint32) for text in texts]

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", errors="replace")

    def token_bytes(self, token_id: int) -> bytes:
        return bytes_of(token_id, _TOKENS)

    def definition(self) -> dict[str, Any]:
        return {"kind": "bytes"}

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any]) -> Self:
        """Raises: TokenizerError if anything but the kind is given."""
        if definition != {"kind": "bytes"}:
            raise TokenizerError(f"a bytes tokenizer has the one field 'kind', got {sorted(definition)!r:.100}")
        return cls()
