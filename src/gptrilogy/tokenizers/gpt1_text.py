r"""The words that GPT-1 cuts a text into: ftfy's repairs, a little standardising, spaCy's English rules, lower case.

Source: openai/finetune-transformer-lm `text_utils.py`.
"""

import re
from collections.abc import Collection, Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from gptrilogy.errors import TokenizerError
from gptrilogy.extras import needs
from gptrilogy.tokenizers.gpt1_repair import repaired

NEWLINE = "\n"  # one word for a whole run of white space that holds a line break

# The released pattern is no raw string, so that its \\+ means one plus sign: "++" comes apart, a backslash stays.
_PUNCTUATION = re.compile(r'-+|~+|!+|"+|;+|\?+|\+|,+|\)+|\(+|/+|\*+|\[+|\]+|\}+|\{+|\|+|_+')
_REPLACED = str.maketrans({"—": "-", "–": "-", "―": "-", "…": "...", "´": "'"})

CACHED_RUNS = 1 << 17  # some 40 MB
CACHED_CHARS = 64
MAX_STRINGS = 1 << 18  # some 60 MB; spaCy keeps every string it has met

# A step is one character looked at once, for which spaCy takes up to 0.4 us: see `steps`.
LIGHT_STEPS = 10  # for each character of a run; prose has 1
HEAVY_STEPS = 2_000_000  # under a second for all heavier runs of a text: one of 1,400 apostrophes, 300 rulers of ====
HEAVY_STEPS_PER_CHAR = 2  # and a second more for each megabyte
_PEELED = re.compile(r"(?:[sS](?=['’])|(?:US|[CA])(?=\$)|[^\w-]|_)*")  # spaCy leaves hyphens where they are
_DOTS = re.compile(r"\.+")  # and takes a row of dots at once


def words(text: str) -> Iterator[str]:
    r"""The words of a text, lower-cased, and `NEWLINE` where it has one.

    Raises: TokenizerError for a text that would take spaCy or ftfy minutes; MissingExtraError without them.

    >>> " ".join(words("Dr. Who can't—won't!!\n\n\n  “GO”"))
    'dr. who ca n\'t - wo n\'t ! ! \n " go "'
    """
    return Words().read(text)


class Words:
    """`words` of a text that comes in pieces, of which all but the first begin with a line break."""

    def __init__(self) -> None:
        self._has_words = False
        self._has_tag = False

    def read(self, piece: str) -> Iterator[str]:
        """The words of the next piece, and before them the line break that parts them from the last one's."""
        lines = standardized(repaired(piece, entities=not self._has_tag)).split(f" {NEWLINE} ")
        self._has_tag = self._has_tag or "<" in piece
        english, patience = _english(), Patience(len(piece))
        for line in filter(None, lines):
            if self._has_words:
                yield NEWLINE
            self._has_words = True
            for runs in english.independent(line):
                patience.spend(runs)
                yield from english.words(runs)


def standardized(text: str) -> str:
    r"""Spaces round punctuation, dashes and ellipses in ASCII, and only single spaces, or a line break between two.

    >>> standardized(" Wait… C++\\C#\t(1–2) \n\n ok ")
    'Wait... C + + \\C# ( 1 - 2 ) \n ok'
    """
    spaced = _PUNCTUATION.sub(r" \g<0> ", text.translate(_REPLACED))
    lines = (" ".join(line.split()) for line in spaced.split("\n"))
    return f" {NEWLINE} ".join(filter(None, lines))


class English:
    """spaCy's English tokenizer on the parts of a line that do not depend on each other, so that they can be cached.

    spaCy applies its rules to what stands between two spaces, with one exception: a special case, `:D` for one, is
    looked for among the tokens of the whole text, across spaces too. Where one might reach, a line is not cut.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}
        self._tokenizer: Any = _blank()
        self._joints = _joints(self._tokenizer)

    def independent(self, line: str) -> Iterator[str]:
        """Cut a standardised line at the spaces that no special case can reach across."""
        runs = line.split(" ")
        begin = 0
        for end, (left, right) in enumerate(pairwise(runs), start=1):
            if not self._reach_across(left, right):
                yield " ".join(runs[begin:end])
                begin = end
        if line:
            yield " ".join(runs[begin:])

    def words(self, runs: str) -> tuple[str, ...]:
        """What spaCy makes of one part of a line, in lower case."""
        if (known := self._known.get(runs)) is not None:
            return known
        if len(self._tokenizer.vocab.strings) > MAX_STRINGS:
            self._tokenizer = _blank()
        found = tuple(token.text.lower() for token in self._tokenizer(runs))
        if len(runs) <= CACHED_CHARS:
            if len(self._known) >= CACHED_RUNS:
                self._known.clear()
            self._known[runs] = found
        return found

    def _reach_across(self, left: str, right: str) -> bool:
        joints = self._joints.get(left[-1] + right[0], ())
        return any(left.endswith(token) and right.startswith(other) for token, other in joints)


@cache
def _english() -> English:
    return English()


def _blank() -> Any:
    with needs("gpt1", purpose="GPT-1's tokenizer"):
        import spacy
    return spacy.blank("en").tokenizer


def _joints(tokenizer: Any) -> dict[str, Collection[tuple[str, str]]]:
    """Neighbouring tokens inside a special case, by the two characters that meet there."""
    plain = type(tokenizer)(
        tokenizer.vocab,
        prefix_search=tokenizer.prefix_search,
        suffix_search=tokenizer.suffix_search,
        infix_finditer=tokenizer.infix_finditer,
        token_match=tokenizer.token_match,
        url_match=tokenizer.url_match,
    )
    joints: dict[str, set[tuple[str, str]]] = {}
    for case in tokenizer.rules:
        for left, right in pairwise(token.text for token in plain(case)):
            joints.setdefault(left[-1] + right[0], set()).add((left, right))
    return dict(joints)


class Patience:
    """How much more work a text may make spaCy, whose time is quadratic in the punctuation at the ends of a run.

    >>> Patience(n_chars=1500).spend("'" * 1500)
    Traceback (most recent call last):
    ...
    gptrilogy.errors.TokenizerError: spaCy would take too long over punctuation without spaces: ...
    """

    def __init__(self, n_chars: int) -> None:
        self._limit = HEAVY_STEPS + HEAVY_STEPS_PER_CHAR * n_chars
        self._spent = 0
        self._seen: set[str] = set()

    def spend(self, runs: str) -> None:
        """Count one part of a line, the first time that the text has it.

        Raises: TokenizerError when too much has been spent.
        """
        if len(runs) < LIGHT_STEPS or runs in self._seen:
            return
        n_steps = steps(runs)
        if n_steps <= LIGHT_STEPS * len(runs):
            return
        self._seen.add(runs)
        self._spent += n_steps
        if self._spent > self._limit:
            longest = max(runs.split(" "), key=len)
            raise TokenizerError(
                f"spaCy would take too long over punctuation without spaces: the {len(longest)} characters "
                f"{longest[:20]!r}... take the text to {self._spent:,} steps; the limit is {self._limit:,}; "
                "put spaces into such runs"
            )


def steps(runs: str) -> int:
    """About how many characters spaCy looks at: all of a run, and again for each mark that it peels off an end.

    A colon counts as well: the pattern of a URL is tried from each of them.

    >>> steps("word"), steps("===="), steps("word ==== a:b")
    (4, 20, 30)
    """
    return sum(len(run) * (1 + _marks(run)) for run in runs.split(" "))


def _marks(run: str) -> int:
    ends = sum(len(_DOTS.sub(".", found[0])) for side in (run, run[::-1]) if (found := _PEELED.match(side)))
    return min(len(run), ends + run.count(":"))
