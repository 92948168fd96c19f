"""Text from ids that arrive one at a time, never half a character."""

import codecs
from collections.abc import Sequence

from gptrilogy.tokenizers.base import Tokenizer


def text_after(tokenizer: Tokenizer, before: Sequence[int], ids: Sequence[int]) -> str:
    """The text of ids that follow others, from which a separator may part it."""
    stream = StreamDecoder(tokenizer, after=before)
    return "".join(map(stream.push, ids)) + stream.finish()


class StreamDecoder:
    r"""What the pushes and the finish return is, put together, `tokenizer.decode` of the same ids.

    A character of several bytes may come in several tokens; its bytes wait here until it is whole.

    >>> from gptrilogy.tokenizers.bytes import BytesTokenizer
    >>> stream = StreamDecoder(BytesTokenizer())
    >>> [stream.push(byte) for byte in b"n\xc3\xa9\xc3"], stream.finish()
    (['n', '', 'é', ''], '�')
    """

    def __init__(self, tokenizer: Tokenizer, *, after: Sequence[int] = ()) -> None:
        """`after` are ids already shown: a word that ended there is parted from what comes now."""
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._separator = tokenizer.separator.encode()
        self._held = b""
        if after:
            self._hold_separator(tokenizer.token_bytes(after[-1]))

    def push(self, token_id: int) -> str:
        """The text that has become certain with this id, often empty."""
        held = self._held
        return self._decoder.decode(held + self._hold_separator(self._tokenizer.token_bytes(token_id)))

    def finish(self) -> str:
        """U+FFFD if a character was left unfinished; the decoder is then as new."""
        self._held = b""
        return self._decoder.decode(b"", final=True)

    def _hold_separator(self, token: bytes) -> bytes:
        """Keep a separator at the token's end until another token follows; -> the rest."""
        ends_word = bool(self._separator) and token.endswith(self._separator)
        self._held = self._separator if ends_word else b""
        return token.removesuffix(self._separator) if ends_word else token
