"""Text from ids that arrive one at a time, never half a character."""

import codecs

from gptrilogy.tokenizers.base import Tokenizer


class StreamDecoder:
    r"""What the pushes and the finish return is, put together, `tokenizer.decode` of the same ids.

    A character of several bytes may come in several tokens; its bytes wait here until it is whole.

    >>> from gptrilogy.tokenizers.bytes import BytesTokenizer
    >>> stream = StreamDecoder(BytesTokenizer())
    >>> [stream.push(byte) for byte in b"n\xc3\xa9\xc3"], stream.finish()
    (['n', '', 'é', ''], '�')
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """The text that has become certain with this id, often empty."""
        return self._decoder.decode(self._tokenizer.token_bytes(token_id))

    def finish(self) -> str:
        """U+FFFD if a character was left unfinished; the decoder is then as new."""
        return self._decoder.decode(b"", final=True)
