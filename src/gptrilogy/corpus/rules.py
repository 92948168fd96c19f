"""Rules that a text for people keeps and debris of the web breaks, each by a number that can be read off the text."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gptrilogy.config import Config
from gptrilogy.corpus.documents import Reason
from gptrilogy.corpus.repetition import WordList, repeated_share, top_gram

BULLETS = ("•", "●", "▪", "◦", "‣", "·", "- ", "* ", "– ", "— ", "+ ")
ELLIPSES = ("...", "…")
PLACEHOLDERS = ("lorem ipsum",)
NOTICES = (  # of a page that has nothing else to say
    "enable javascript", "javascript is disabled", "javascript is required", "requires javascript",
    "accept cookies", "uses cookies", "use of cookies", "enable cookies",
    "404 not found", "page not found", "page could not be found", "403 forbidden", "access denied",
    "checking your browser", "verify you are human", "unsupported browser", "subscribe to continue",
)  # fmt: skip
MIN_PARTS = 8  # lines or paragraphs; a repeated one of fewer says little


class RulesConfig(Config):
    """Limits of the rules; a text at a limit is kept, and None switches a rule off.

    The papers say no more than "heuristic based cleaning" (GPT-2) and nothing of the kind (GPT-3): the rules and every
    value are ours, for pages of the English web. Where a limit is one that published filters of such corpora use too,
    it is marked: G for Gopher (Rae et al. 2021, appendix A.1), C4 (Raffel et al. 2020, section 2.2).
    """

    min_chars: int | None = Field(default=200, ge=0)
    min_words: int | None = Field(default=50, ge=0)  # G
    max_words: int | None = Field(default=100_000, ge=1)  # G; books are longer
    min_mean_word_chars: float | None = Field(default=3.0, ge=0)  # G
    max_mean_word_chars: float | None = Field(default=10.0, ge=0)  # G
    max_symbols_per_word: float | None = Field(default=0.1, ge=0)  # G; number signs and ellipses
    min_letter_share: float | None = Field(default=0.6, ge=0, le=1)  # of all characters but white space
    max_bullet_line_share: float | None = Field(default=0.9, ge=0, le=1)  # G
    max_ellipsis_line_share: float | None = Field(default=0.3, ge=0, le=1)  # G
    max_capital_line_share: float | None = Field(default=0.5, ge=0, le=1)  # of the characters
    max_repeated_line_share: float | None = Field(default=0.2, ge=0, le=1)  # G; of the characters
    max_repeated_paragraph_share: float | None = Field(default=0.2, ge=0, le=1)  # G; of the characters
    max_2gram_share: float | None = Field(default=0.20, ge=0)  # G; of the characters, as the next two
    max_3gram_share: float | None = Field(default=0.18, ge=0)
    max_4gram_share: float | None = Field(default=0.16, ge=0)
    max_notice_chars: int | None = Field(default=1_000, ge=0)  # a longer text may speak of cookies
    allow_placeholders: bool = False  # C4 drops pages with "lorem ipsum" as well


class Reading:
    """A text and what several rules want of it, each part made when it is first asked for."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def lines(self) -> list[str]:
        """Those with something on them, without the white space around it."""
        return [line for line in map(str.strip, self.text.split("\n")) if line]

    @cached_property
    def paragraphs(self) -> list[str]:
        """What blank lines separate."""
        return [part for part in map(str.strip, re.split(r"\n[^\S\n]*\n", self.text)) if part]

    @cached_property
    def lowered(self) -> str:
        return self.text.lower()

    @cached_property
    def n_letters(self) -> int:
        codes = np.frombuffer(self.text.encode("utf-32-le", "surrogatepass"), np.int32)
        return int(np.count_nonzero(letters_among_characters().take(codes)))

    @cached_property
    def words(self) -> WordList:
        return WordList(self.text)

    @property
    def n_words(self) -> int:
        return len(self.words.words)


@cache
def letters_among_characters() -> NDArray[np.bool_]:
    """Whether a character is a letter, by its code: looking up is far faster than asking each."""
    return np.fromiter((chr(code).isalpha() for code in range(0x110000)), np.bool_, 0x110000)


def broken_rule(text: str, config: RulesConfig) -> Reason | None:
    """The first rule that a text breaks, with what was seen and what is allowed.

    >>> broken_rule("Click here. " * 40, RulesConfig())
    Reason(name='repeated 2-grams', detail='"Click here." is 100% of the text, at most 20%')
    """
    reading = Reading(text)
    for name, rule in RULES.items():
        if detail := rule(reading, config):
            return Reason(name, detail)
    return None


def few_characters(reading: Reading, config: RulesConfig) -> str | None:
    return _under(len(reading.text), config.min_chars, "characters")


def few_words(reading: Reading, config: RulesConfig) -> str | None:
    return _under(reading.n_words, config.min_words, "words")


def many_words(reading: Reading, config: RulesConfig) -> str | None:
    limit, count = config.max_words, reading.n_words
    return f"{count:,} words, at most {limit:,}" if limit is not None and count > limit else None


def placeholder(reading: Reading, config: RulesConfig) -> str | None:
    return None if config.allow_placeholders else _first_of(PLACEHOLDERS, reading.lowered)


def notice(reading: Reading, config: RulesConfig) -> str | None:
    limit = config.max_notice_chars
    if limit is None or len(reading.text) > limit or not (found := _first_of(NOTICES, reading.lowered)):
        return None
    return f"{found} in a text of {len(reading.text):,} characters, none up to {limit:,}"


def word_length(reading: Reading, config: RulesConfig) -> str | None:
    mean = reading.words.n_chars / max(1, reading.n_words)
    low, high = config.min_mean_word_chars, config.max_mean_word_chars
    if low is not None and mean < low:
        return f"{mean:.2f} characters a word, at least {low:g}"
    return f"{mean:.2f} characters a word, at most {high:g}" if high is not None and mean > high else None


def symbols(reading: Reading, config: RulesConfig) -> str | None:
    count = sum(map(reading.text.count, ("#", *ELLIPSES)))
    ratio, limit = count / max(1, reading.n_words), config.max_symbols_per_word
    return f"{ratio:.2f} symbols a word, at most {limit:g}" if limit is not None and ratio > limit else None


def letters(reading: Reading, config: RulesConfig) -> str | None:
    limit = config.min_letter_share
    share = reading.n_letters / max(1, reading.words.n_chars)
    return f"{share:.0%} of the characters, at least {limit:.0%}" if limit is not None and share < limit else None


def bullets(reading: Reading, config: RulesConfig) -> str | None:
    count = sum(line.startswith(BULLETS) for line in reading.lines)
    return _over(_share(count, len(reading.lines)), config.max_bullet_line_share, "of the lines")


def ellipses(reading: Reading, config: RulesConfig) -> str | None:
    count = sum(line.endswith(ELLIPSES) for line in reading.lines)
    return _over(_share(count, len(reading.lines)), config.max_ellipsis_line_share, "of the lines")


def capitals(reading: Reading, config: RulesConfig) -> str | None:
    """Lines without a lower-case letter; one that has none of either case is not counted."""
    shouted = sum(len(line) for line in reading.lines if line.isupper())
    return _over(_share(shouted, sum(map(len, reading.lines))), config.max_capital_line_share, "of the text")


def repeated_lines(reading: Reading, config: RulesConfig) -> str | None:
    return _over(_repeated(reading.lines), config.max_repeated_line_share, "of the text")


def repeated_paragraphs(reading: Reading, config: RulesConfig) -> str | None:
    return _over(_repeated(reading.paragraphs), config.max_repeated_paragraph_share, "of the text")


def repeated_grams(n: int) -> Callable[[Reading, RulesConfig], str | None]:
    """The rule that no n words in a row, wherever they stand, are too large a share of a text."""

    def rule(reading: Reading, config: RulesConfig) -> str | None:
        limit: float | None = getattr(config, f"max_{n}gram_share")
        if limit is None or not (gram := top_gram(reading.words, n, limit)):
            return None
        return f'"{gram[0]}" is {gram[1]:.0%} of the text, at most {limit:.0%}'

    return rule


def _repeated(parts: Sequence[str]) -> float:
    return repeated_share(parts) if len(parts) >= MIN_PARTS else 0.0


def _share(count: int, total: int) -> float:
    return count / total if total else 0.0


def _under(count: int, limit: int | None, what: str) -> str | None:
    return f"{count:,} {what}, at least {limit:,}" if limit is not None and count < limit else None


def _over(share: float, limit: float | None, what: str) -> str | None:
    return f"{share:.0%} {what}, at most {limit:.0%}" if limit is not None and share > limit else None


def _first_of(phrases: Sequence[str], text: str) -> str | None:
    return next((f'"{phrase}"' for phrase in phrases if phrase in text), None)


RULES: Mapping[str, Callable[[Reading, RulesConfig], str | None]] = MappingProxyType(
    {
        "few characters": few_characters,
        "few words": few_words,
        "many words": many_words,
        "placeholder text": placeholder,
        "notice": notice,
        "word length": word_length,
        "symbols": symbols,
        "few letters": letters,
        "bullet lines": bullets,
        "ellipsis lines": ellipses,
        "capital lines": capitals,
        "repeated lines": repeated_lines,
        "repeated paragraphs": repeated_paragraphs,
        "repeated 2-grams": repeated_grams(2),
        "repeated 3-grams": repeated_grams(3),
        "repeated 4-grams": repeated_grams(4),
    }
)
