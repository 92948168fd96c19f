"""What tokenizers make of a text, side by side: bytes a token, tokens a word by script, tokens it never needs."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import regex

from gptrilogy.errors import DataError
from gptrilogy.tokenizers.base import Tokenizer, utf8
from gptrilogy.tokenizers.pieces import LINE, SPACE, Gap, pieces

# The scripts in modern use, for the most part (UAX #31, tables 5 and 7), frequent ones first; all the rest is "other".
SCRIPTS = (
    "Latin", "Han", "Arabic", "Devanagari", "Cyrillic", "Bengali", "Hiragana", "Katakana", "Hangul", "Telugu", "Tamil",
    "Gujarati", "Kannada", "Malayalam", "Gurmukhi", "Oriya", "Thai", "Myanmar", "Ethiopic", "Greek", "Hebrew", "Khmer",
    "Sinhala", "Lao", "Georgian", "Armenian", "Tibetan", "Thaana", "Mongolian", "Bopomofo", "Cherokee", "Syriac",
    "Canadian_Aboriginal", "Tifinagh", "Yi", "Nko", "Vai", "Adlam", "Javanese", "Balinese",
)  # fmt: skip
UNSPACED = frozenset(
    {"Han", "Hiragana", "Katakana", "Bopomofo", "Yi", "Thai", "Lao", "Khmer", "Myanmar", "Javanese", "Balinese"}
)

MAX_WORD_CHARS = 64  # longer than the longest words of dictionaries; a megabyte of one letter is no word
MAX_DISTINCT_WORDS = 1 << 19  # 65 MB of words of 8 letters, 170 MB of Greek ones of 64
GROUP_CHARS = 1 << 20  # of text given to an encoder at a time: its ids take Python some ten times as many bytes
GROUP_WORDS = 1 << 14
N_EXAMPLES = 5

# A letter, then letters and marks, each perhaps after an apostrophe or a joiner (as Persian and Indic words have).
_WORD = regex.compile(rf"\p{{L}}(?:['’\u200c\u200d]?[\p{{L}}\p{{M}}]){{0,{MAX_WORD_CHARS - 1}}}")
# What has no script of its own (accents, ʼ, ー) goes with the letter before it.
_NAMED = "".join(rf"\p{{Script={script}}}" for script in SCRIPTS)
_PART = regex.compile(
    "|".join(
        rf"(?P<{script}>\p{{Script={script}}}[\p{{Script={script}}}\p{{Script=Common}}\p{{Script=Inherited}}\p{{M}}]*)"
        for script in SCRIPTS
    )
    + rf"|(?P<other>[^{_NAMED}](?:[^{_NAMED}]|\p{{M}})*)"
)


@dataclass(frozen=True)
class Token:
    r"""One token; `text` is as Python writes it (`' caf'`, `b'\xc3'`), so that no terminal obeys what it holds."""

    id: int
    text: str
    size_bytes: int
    n_seen: int


@dataclass(frozen=True)
class Script:
    """A script that occurs; `counted` is "word", or "letter" where it is written without spaces."""

    name: str
    counted: str
    n_words: int


@dataclass(frozen=True)
class Measured:
    """What one tokenizer makes of the text; special tokens are in no list and never count as unused.

    `tokens_per_word` goes by the name of a script. `n_unknown` is None where no text can be unknown. `unused` are of
    several bytes, lowest ids first: with BPE, those most frequent in the text the vocabulary was learned from.
    """

    name: str
    fingerprint: str
    n_vocab: int
    n_tokens: int
    bytes_per_token: float | None
    tokens_per_word: dict[str, float]
    n_unknown: int | None
    n_unused: int
    longest: tuple[Token, ...]
    longest_seen: tuple[Token, ...]
    most_frequent: tuple[Token, ...]
    unused: tuple[Token, ...]


@dataclass(frozen=True)
class Report:
    """A text and what each tokenizer makes of it; `n_words_left_out` came after the limit of different words."""

    n_bytes: int
    scripts: tuple[Script, ...]
    n_words_left_out: int
    tokenizers: tuple[Measured, ...]


def measure(
    texts: Iterable[str],
    tokenizers: Sequence[Tokenizer],
    *,
    max_distinct_words: int = MAX_DISTINCT_WORDS,
    on_progress: Callable[[int], None] | None = None,
) -> Report:
    """Encode the texts with each tokenizer, in one pass, and count; `on_progress` is told the bytes read so far.

    Bytes a token are the UTF-8 bytes of the texts, as they were given, by the tokens of their encodings, without ends
    of text. A word is an unbroken run of one script's letters, with their marks and the apostrophes between them; one
    of more than 64 characters counts as several. Each different word is encoded once, alone, a space before it, and
    weighs as often as it occurs.

    For byte-level BPE with GPT-2's split this is what the word costs wherever a space precedes it: the split never
    joins a word to what precedes that space or to what follows the word, and BPE looks at nothing outside a piece.
    It is approximate after a quotation mark or a line's end, where the word has no space to bring along; for words
    that change script; for one that ends in a combining mark, which the split takes for punctuation; and for a
    tokenizer with another split, which may see more of the sentence.

    In scripts written without spaces, runs are encoded as they stand and each letter counts as a word: the figure is
    tokens a letter. Of a text with more than `max_distinct_words` different words, the later ones are left out.

    Raises: DataError where there is no text; TokenizerError as the tokenizers' `encode_batch`.

    >>> from gptrilogy.tokenizers.bytes import BytesTokenizer
    >>> report = measure(["the sea, η θάλασσα"], [BytesTokenizer()])
    >>> report.n_bytes, report.tokenizers[0].bytes_per_token, report.tokenizers[0].tokens_per_word
    (26, 1.0, {'Latin': 4.0, 'Greek': 9.0})
    """
    words = _Words(max_distinct_words)
    seen = [Counter[int]() for _ in tokenizers]
    n_bytes = 0
    encoders = [tokenizer.encoder() for tokenizer in tokenizers]
    gap = LINE if any(tokenizer.gap is LINE for tokenizer in tokenizers) else SPACE  # where none of them sees the cut
    for group, begins in _groups(texts, gap):
        n_bytes += sum(len(utf8(piece)) for piece in group)
        for encode, counts in zip(encoders, seen, strict=True):
            for ids in encode(group, begins):
                counts.update(ids.tolist())
        words.add(group)
        if on_progress:
            on_progress(n_bytes)
    if not n_bytes:
        raise DataError("there is no text to measure: 0 characters in all; give one text that is not empty")
    n_words, costs = _by_script(words.counts, tokenizers)
    measured = [_measured(*row, n_bytes, n_words) for row in zip(tokenizers, seen, costs, strict=True)]
    scripts = [Script(name, "letter" if name in UNSPACED else "word", n) for name, n in n_words.most_common()]
    return Report(n_bytes, tuple(scripts), words.n_left_out, tuple(measured))


def _groups(texts: Iterable[str], gap: Gap) -> Iterator[tuple[list[str], list[bool]]]:
    """Pieces of the texts, so many at a time that encoders are kept busy, and whether each begins a text."""
    group: list[str] = []
    begins: list[bool] = []
    left = GROUP_CHARS
    for text in texts:
        for number, piece in enumerate(pieces(text, GROUP_CHARS, gap)):
            group.append(piece)
            begins.append(number == 0)
            left -= len(piece)
            if left <= 0:
                yield group, begins
                group, begins, left = [], [], GROUP_CHARS
    yield group, begins


def script_parts(word: str) -> Iterator[tuple[str, str]]:
    """A run of letters as parts of one script each, with the script's name.

    >>> list(script_parts("Είναι")), list(script_parts("東京タワー"))
    ([('Greek', 'Είναι')], [('Han', '東京'), ('Katakana', 'タワー')])
    """
    if word.isascii():
        yield "Latin", word
        return
    for part in _PART.finditer(word):
        assert part.lastgroup
        yield part.lastgroup, part[0]


def shown(content: bytes) -> str:
    r"""Bytes as Python writes them: text where they are UTF-8, what does not print escaped.

    >>> print(shown(" naïve".encode()), shown(b"\x1b[2J"), shown(b"\xc3"))
    ' naïve' '\x1b[2J' b'\xc3'
    """
    try:
        return repr(content.decode("utf-8"))
    except UnicodeDecodeError:
        return repr(content)


class _Words:
    """How often each word occurs; a word first met when `limit` others are known is only counted as left out."""

    def __init__(self, limit: int) -> None:
        self.counts = Counter[str]()
        self.n_left_out = 0
        self._limit = limit

    def add(self, texts: Iterable[str]) -> None:
        for text in texts:
            found: list[str] = _WORD.findall(text)
            for word, n in Counter(found).items():
                if word in self.counts or len(self.counts) < self._limit:
                    self.counts[word] += n
                else:
                    self.n_left_out += n


def _by_script(counts: Counter[str], tokenizers: Sequence[Tokenizer]) -> tuple[Counter[str], list[Counter[str]]]:
    """Words (or letters) of each script, and the tokens each tokenizer spends on them."""
    n_words = Counter[str]()
    costs = [Counter[str]() for _ in tokenizers]
    parts = ((script, part, n) for word, n in counts.items() for script, part in script_parts(word))
    while group := list(islice(parts, GROUP_WORDS)):
        for script, part, n in group:
            n_words[script] += n * sum(map(str.isalpha, part)) if script in UNSPACED else n
        texts = [part if script in UNSPACED else f" {part}" for script, part, _ in group]
        for tokenizer, cost in zip(tokenizers, costs, strict=True):
            for (script, _, n), ids in zip(group, tokenizer.encode_batch(texts), strict=True):
                cost[script] += n * len(ids)
    return n_words, costs


def _measured(
    tokenizer: Tokenizer, seen: Counter[int], cost: Counter[str], n_bytes: int, n_words: Counter[str]
) -> Measured:
    unknown = _unknown_id(tokenizer)
    special = {*tokenizer.special_tokens.values(), unknown}
    tokens = {token: tokenizer.token_bytes(token) for token in range(tokenizer.n_vocab) if token not in special}
    longest = sorted(tokens, key=lambda token: (-len(tokens[token]), token))
    unused = [token for token in tokens if not seen[token]]

    def examples(ids: Iterable[int]) -> tuple[Token, ...]:
        first = islice(ids, N_EXAMPLES)
        return tuple(Token(token, shown(tokens[token]), len(tokens[token]), seen[token]) for token in first)

    n_tokens = seen.total()
    return Measured(
        name=tokenizer.name,
        fingerprint=tokenizer.fingerprint,
        n_vocab=tokenizer.n_vocab,
        n_tokens=n_tokens,
        bytes_per_token=n_bytes / n_tokens if n_tokens else None,
        tokens_per_word={script: cost[script] / n for script, n in n_words.most_common()},
        n_unknown=None if unknown is None else seen[unknown],
        n_unused=len(unused),
        longest=examples(longest),
        longest_seen=examples(token for token in longest if seen[token]),
        most_frequent=examples(token for token, _ in seen.most_common() if token in tokens),
        unused=examples(token for token in unused if len(tokens[token]) > 1),
    )


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id of what a tokenizer cannot write; byte-level ones can write everything, and their id 0 is a byte."""
    return 0 if tokenizer.token_bytes(0).strip() == b"<unk>" else None
