"""Words as GPT-3 takes them to keep tests out of its training text, as bytes whose words `ngrams` numbers.

A word stands between white space, in lower case, with its punctuation taken out: `Don't` is dont, and `--` is no word.
What is taken out here is all that is neither white space nor a letter, mark or digit: symbols and what cannot be seen
go with the punctuation. White space is what `str.isspace` says, a no-break space included. Scripts written without
spaces have long words; composed and decomposed accents differ; what is a letter, the running Python's Unicode says.
Needs no torch.

Source: GPT3 Appendix C: "lowercase, whitespace delimited word with no punctuation". What is punctuation is ours, and
that each character gets its own lower case. The overlap analysis has other words, those of `ngrams.normalise`.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.ngrams import ASSIGNED, N_CODES, Places, in_word

_SPACE = 32
_KEPT = {code for code in range(128) if chr(code).isalnum()}
_SPACES = {code for code in range(128) if chr(code).isspace()}
_ASCII = bytes(_SPACE if code in _SPACES else ord(chr(code % 128).lower()) for code in range(256))
_TAKEN_OUT = bytes(code for code in range(128) if code not in _KEPT | _SPACES)


def bare(text: str) -> bytes:
    """A text in lower case as UTF-8, without its punctuation, each white space a space.

    >>> bare("Don’t — 'PANIC', naïve!").decode()
    'dont  panic naïve'
    """
    if text.isascii():
        return text.encode("ascii").translate(_ASCII, _TAKEN_OUT)
    spelled = _spelled(text)
    return spelled[spelled != 0].tobytes().decode("utf-32-le").encode("utf-8")


def bare_words_reference(text: str) -> list[tuple[str, int, int]]:
    """The words of a text by their definition, each with its first character's place and the one after its last.

    >>> bare_words_reference("Yes -- 'TIS")
    [('yes', 0, 3), ('tis', 8, 11)]
    """
    words: list[tuple[str, int, int]] = []
    word, start, end = "", 0, 0
    for place, char in enumerate(text + " "):
        if in_word(char):
            word, start, end = word + char.lower()[0], start if word else place, place + 1
        elif char.isspace() and word:
            words.append((word, start, end))
            word = ""
    return words


def origins(text: str, data: bytes, places: Places) -> Places:
    """Which character of a text each of these bytes of `bare(text)` belongs to.

    >>> origins("«Né»", "né".encode(), np.array([0, 1, 2])).tolist()
    [1, 2, 2]
    """
    first_bytes = np.flatnonzero((np.frombuffer(data, np.uint8) & 0xC0) != 0x80)
    characters = np.searchsorted(first_bytes, places, side="right") - 1
    return np.flatnonzero(_spelled(text))[characters]


def _spelled(text: str) -> NDArray[np.uint32]:
    """What each character becomes: a code point, or 0 where it is taken out."""
    return _table()[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")]


@cache
def _table() -> NDArray[np.uint32]:
    table = np.zeros(N_CODES, dtype=np.uint32)
    for code in range(ASSIGNED):
        char = chr(code)
        if char.isspace():
            table[code] = _SPACE
        elif in_word(char):
            table[code] = ord(char.lower()[0])
    return table
