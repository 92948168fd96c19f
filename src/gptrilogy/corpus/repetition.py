"""How much of a text are lines, or a few words in a row, that it has more than once."""

from collections import Counter
from collections.abc import Sequence
from operator import mul


class WordList:
    """The words of a text, and how many of its characters each is, wherever it stands."""

    def __init__(self, text: str) -> None:
        self.words = text.split()
        counts = Counter(self.words)
        self.sizes = sorted(map(mul, counts.values(), map(len, counts)))
        self.n_chars = sum(self.sizes)  # all but white space


def top_gram(text: WordList, n: int, limit: float) -> tuple[str, float] | None:
    """The n words in a row that cover the largest share of a text's characters, if that is more than `limit`.

    They must be there twice, overlaps included; white space does not count. Most texts are told apart by their words
    alone: n words cover no more than each of them, wherever it stands.

    >>> top_gram(WordList("buy now " * 5 + "or never"), 2, 0.2)
    ('buy now', 0.8108108108108109)
    """
    least = limit * text.n_chars
    if sum(text.sizes[-n:]) <= least:
        return None
    counts = Counter(_grams(text.words, n))
    likely = {gram for gram, count in counts.items() if count > 1 and count * sum(map(len, gram)) > least}
    return _largest(text.words, n, likely, limit) if likely else None


def top_gram_reference(text: WordList, n: int, limit: float) -> tuple[str, float] | None:
    """`top_gram`, by measuring all of them."""
    counts = Counter(_grams(text.words, n))
    return _largest(text.words, n, {gram for gram, count in counts.items() if count > 1}, limit)


def repeated_share(parts: Sequence[str]) -> float:
    """The share of the characters in parts that have been there before.

    >>> repeated_share(["one", "two", "one", "one"])
    0.5
    """
    return 1 - sum(map(len, set(parts))) / sum(map(len, parts)) if parts else 0.0


def _largest(words: Sequence[str], n: int, chosen: set[tuple[str, ...]], limit: float) -> tuple[str, float] | None:
    """Of the chosen n-grams the one that covers most, the last in the alphabet of several."""
    covered: dict[tuple[str, ...], int] = dict.fromkeys(chosen, 0)  # characters
    ends: dict[tuple[str, ...], int] = {}  # words up to here are counted already
    for start, gram in enumerate(_grams(words, n)):
        if gram in covered:
            done = max(0, ends.get(gram, 0) - start)
            covered[gram] += sum(map(len, gram[done:]))
            ends[gram] = start + n
    n_chars = sum(map(len, words))
    size, gram = max(((size, gram) for gram, size in covered.items()), default=(0, ()))
    return (" ".join(gram), size / n_chars) if size > limit * n_chars else None


def _grams(words: Sequence[str], n: int) -> "zip[tuple[str, ...]]":
    return zip(*(words[i:] for i in range(n)), strict=False)
