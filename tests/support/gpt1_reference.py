"""GPT-1's tokenizer as one would explain it: every step of the released code on the whole text, nothing cached."""

import re
from collections.abc import Mapping, Sequence
from functools import cache

import ftfy
import spacy
from spacy.language import Language

from gptrilogy.tokenizers.reference import apply_merges
from gptrilogy.tokenizers.symbols import Pair


def encode_gpt1_reference(text: str, vocabulary: Mapping[str, int], merges: Sequence[Pair]) -> list[int]:
    """The ids of a text; what the vocabulary does not know is 0."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    pieces = (piece for word in words_reference(text) for piece in _pieces(word, ranks))
    return [vocabulary.get(piece, 0) for piece in pieces]


def words_reference(text: str) -> list[str]:
    """spaCy's words of the whole text, in lower case; a line break is a word of two characters."""
    return [token.text.lower() for token in _english().tokenizer(standardized_reference(ftfy.fix_text(text)))]


def standardized_reference(text: str) -> str:
    """Punctuation apart, white space collapsed round line breaks first and elsewhere after."""
    for dash in "—–―":
        text = text.replace(dash, "-")
    text = text.replace("…", "...").replace("´", "'")
    text = re.sub(r'(-+|~+|!+|"+|;+|\?+|\+|,+|\)+|\(+|/+|\*+|\[+|\]+|}+|{+|\|+|_+)', r" \1 ", text)
    text = re.sub(r"\s*\n\s*", " \n ", text)
    return re.sub(r"[^\S\n]+", " ", text).strip()


def _pieces(word: str, ranks: Mapping[Pair, int]) -> list[str]:
    symbols = apply_merges([*word[:-1], word[-1] + "</w>"], ranks)
    joined = " ".join(symbols)
    return ["\n</w>"] if joined == "\n  </w>" else joined.split(" ")


@cache
def _english() -> Language:
    return spacy.blank("en")
