"""The language a text is in, by the frequencies of its letters, and the documents that are in another than wanted."""

import unicodedata
from collections import Counter
from itertools import pairwise
from typing import NamedTuple

from pydantic import Field

from gptrilogy.config import Config
from gptrilogy.corpus.documents import Reason
from gptrilogy.extras import needs

PIECE_CHARS = 1_000
UNKNOWN = "unknown"


class Language(NamedTuple):
    """What a text is written in: ISO 639-1 where there is one, `unknown` where no language is near.

    The confidence is the share of the text, in equal pieces of about 1,000 characters, that is in this language
    when each piece is looked at alone.
    """

    code: str
    confidence: float


class LanguageConfig(Config):
    """Which languages stay. GPT-2's text was filtered for English with about 10 MB of French left in 40 GB.

    Source: GPT2 §2.1, §3.7; the detector and its threshold are ours.
    """

    keep: tuple[str, ...] = Field(default=("en",), min_length=1)  # as `Language.code`
    threshold: float = Field(default=0.5, ge=0, le=1)  # confidence; half the text may be quotations


def identify(text: str) -> Language:
    """The language of most of a text.

    Below about 300 characters a guess: of 100 characters in other languages 6 in 100 pass for English.

    Raises: MissingExtraError without resiliparse.

    >>> identify("It was a bright cold day in April, and the clocks were striking thirteen. Nobody looked up.")
    Language(code='en', confidence=1.0)
    """
    with needs("corpus", purpose="telling languages apart"):
        from resiliparse.parse.lang import detect_fast
    text = unicodedata.normalize("NFC", text)
    if not text.strip():
        return Language(UNKNOWN, 1.0)
    n_pieces = max(1, len(text) // PIECE_CHARS)
    bounds = [len(text) * number // n_pieces for number in range(n_pieces + 1)]
    found = (detect_fast(text[start:stop]) for start, stop in pairwise(bounds))
    counts = Counter(str(code) for code, _ in found)
    code, count = max(counts.items(), key=lambda item: (item[1], item[0]))
    return Language(code, count / n_pieces)


def wrong_language(language: Language, config: LanguageConfig) -> Reason | None:
    """Why a text is in no language that is kept, or not enough of it.

    >>> french = "Il était une fois un roi qui avait une fille. Elle aimait les livres, et surtout les vieux livres."
    >>> wrong_language(identify(french), LanguageConfig())
    Reason(name='wrong language', detail='fr, 100% of the text; kept: en')
    """
    code, confidence = language
    if code not in config.keep:
        return Reason("wrong language", f"{code}, {confidence:.0%} of the text; kept: {', '.join(config.keep)}")
    if confidence < config.threshold:
        return Reason("mixed languages", f"{confidence:.0%} of the text in {code}, at least {config.threshold:.0%}")
    return None
