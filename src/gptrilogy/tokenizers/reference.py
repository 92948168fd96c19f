"""Byte-level BPE as one would explain it: slow, short, and what the fast paths must equal.

Source: BPE Algorithm 1 (Sennrich, Haddow and Birch 2015); GPT2 §2.2, openai/gpt-2 `encoder.py`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import regex

from gptrilogy.tokenizers.base import utf8
from gptrilogy.tokenizers.symbols import Pair, to_symbols, vocabulary

# A contraction; a word, a number or a run of punctuation, each with the space before it; whitespace, which
# leaves its last space to the word that follows. No merge crosses from one match to the next.
SPLIT_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def split(text: str) -> list[str]:
    """The words of GPT-2: together they are the text again.

    Letters and digits are those of the Unicode that the installed `regex` knows: 15.1 in its release 2024.5,
    18 in 2026.11. The engine of `ByteLevelBPE` knows 16, so the two may disagree on letters that came since 15.1.

    >>> split("We've 2  dogs, WE'VE!")
    ['We', "'ve", ' 2', ' ', ' dogs', ',', ' WE', "'", 'VE', '!']
    """
    return regex.findall(SPLIT_PATTERN, text)


def encode_reference(text: str, merges: Sequence[Pair]) -> list[int]:
    """`ByteLevelBPE(merges).encode(text)`, written as its definition.

    >>> encode_reference("hen hen", [("h", "e"), ("he", "n"), ("Ġ", "hen")])
    [257, 258]
    """
    ids = vocabulary(merges)
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    utf8(text)  # a lone surrogate is refused with its place in the whole text
    words = (list(to_symbols(utf8(word))) for word in split(text))
    return [ids[symbol] for word in words for symbol in apply_merges(word, ranks)]


def apply_merges(word: list[str], ranks: Mapping[Pair, int]) -> list[str]:
    """Merge the adjacent pair that was learned first, everywhere in the word, until none is left that was learned."""
    while len(word) > 1:
        best = min(pairwise(word), key=lambda pair: ranks.get(pair, math.inf))
        if best not in ranks:
            break
        word = merge(word, best)
    return word


def merge(word: Iterable[str], pair: Pair) -> list[str]:
    """Join every occurrence of the pair, from left to right.

    >>> merge("aaaba", ("a", "a"))
    ['aa', 'a', 'b', 'a']
    """
    merged: list[str] = []
    for symbol in word:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged


def train_reference(texts: Iterable[str], n_merges: int) -> list[Pair]:
    """The merges of `train_byte_bpe`: of equally frequent pairs, that of the older symbols.

    The age of a byte is its place among the sorted byte symbols.
    """
    words = Counter(tuple(to_symbols(utf8(word))) for text in texts for word in split(text))
    return learn_merges(words, n_merges, oldest_first=True)


def learn_merges(words: Mapping[tuple[str, ...], int], n_merges: int, *, oldest_first: bool = False) -> list[Pair]:
    """Up to `n_merges` merges of the most frequent adjacent pair; `words` maps symbols to how often they occur.

    The paper leaves open which of equally frequent pairs comes first: here the one that the words show
    first, as in its listing, or the one of the oldest symbols. A pair seen once is not merged.

    >>> learn_merges({("l", "o", "w"): 5, ("l", "o", "t"): 2}, n_merges=2)
    [('l', 'o'), ('lo', 'w')]
    """
    age = {symbol: i for i, symbol in enumerate(sorted({symbol for word in words for symbol in word}))}
    merges: list[Pair] = []
    for _ in range(n_merges):
        counts = Counter[Pair]()
        for word, count in words.items():
            for pair in pairwise(word):
                counts[pair] += count
        ties = {pair: (age[pair[0]], age[pair[1]]) if oldest_first else (0, 0) for pair in counts}
        best = min(counts, key=lambda pair: (-counts[pair], ties[pair]), default=None)
        if best is None or counts[best] < 2:
            break
        merges.append(best)
        age.setdefault("".join(best), len(age))
        words = {tuple(merge(word, best)): count for word, count in words.items()}
    return merges
