"""What a training text shares with tests is cut out of it, as GPT-3 meant to do, in books as in short texts.

Every run of n words that a test has too goes, with a window of characters on either side, and the document is split
there. GPT-3's own removal failed on long documents such as books and left them as they were.

The paper leaves open, and it is ours, that
- the window is counted in characters from the gram's first letter or digit and from its last, and may part a word;
- windows that overlap or touch make one cut, and where a cut reaches an end of the text no piece is left there;
- pieces are counted before short ones are discarded, so that what is riddled with tests goes however it falls apart;
- a text that nothing is cut from is kept even if it is shorter than a piece may be; of one that is cut, one piece is
  enough to keep.

Needs no torch. Source: GPT3 Appendix C.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveInt

from gptrilogy.config import Config
from gptrilogy.corpus.documents import Reason
from gptrilogy.corpus.gram_search import Matches, find_matches, spans_reference
from gptrilogy.corpus.gram_set import GramSet
from gptrilogy.corpus.ngrams import Places

_SHOWN_TASKS = 3


class DecontaminationConfig(Config):
    """What counts as shared with a test, and what becomes of the text around it.

    Source: GPT3 Appendix C.
    """

    n: PositiveInt = 13  # words in a row
    window_chars: NonNegativeInt = 200  # cut on either side of them
    min_chars: NonNegativeInt = 200  # shorter pieces of a document that was cut are discarded
    max_pieces: PositiveInt = 10  # a document split into more is dropped
    max_documents: NonNegativeInt = 10  # a gram that more documents of the corpus have is a common phrase, not cut


class Cleaned(NamedTuple):
    """What stays of a text: pieces by their first character and the one after their last; and which grams cut it."""

    pieces: tuple[tuple[int, int], ...]
    removed_chars: int  # of the cuts, and of pieces too short to keep
    grams: tuple[int, ...]  # each once, in order


def found(text: str, grams: GramSet) -> Places:
    """The grams of a set that a text has, each once, in order."""
    return next(found_in_each([text], grams))


def found_in_each(texts: Iterable[str], grams: GramSet) -> Iterator[Places]:
    """The same of many texts, short ones in less time; a block of them is read ahead."""
    return (np.unique(matches.grams) for matches in find_matches(texts, grams))


def split(text: str, grams: GramSet, ignored: NDArray[np.bool_], config: DecontaminationConfig) -> Cleaned | Reason:
    """A text without what it shares with tests, or why nothing of it stays. Where `ignored[g]`, gram g is not cut.

    >>> grams = GramSet.build([("proverbs", "a stitch in time saves nine")], n=3)
    >>> config = DecontaminationConfig(n=3, window_chars=5, min_chars=10)
    >>> text = "Mending is dull. Still: a STITCH, in time! And so on and on and on."
    >>> cleaned = split(text, grams, np.zeros(len(grams), np.bool_), config)
    >>> [text[start:end] for start, end in cleaned.pieces]
    ['Mending is dull. St', ' so on and on and on.']
    """
    return next(split_each([text], grams, ignored, config))


def split_each(
    texts: Iterable[str], grams: GramSet, ignored: NDArray[np.bool_], config: DecontaminationConfig
) -> Iterator[Cleaned | Reason]:
    """The same of many texts, short ones in less time; a block of them is read ahead."""
    assert grams.n == config.n, "the set was built for another n"
    assert len(ignored) == len(grams), "counts of another set"
    return (_cut(matches, grams, ignored, config) for matches in find_matches(texts, grams))


def split_reference(text: str, tests: Iterable[str], config: DecontaminationConfig) -> list[str] | None:
    """What `split` keeps of a text beside these tests, by its definition: a character is cut or is not."""
    cut = [False] * len(text)
    for start, end in spans_reference(text, tests, config.n):
        for place in range(max(0, start - config.window_chars), min(len(text), end + config.window_chars)):
            cut[place] = True
    if not any(cut):
        return [text]
    runs = [
        (gone, "".join(char for _, char in run)) for gone, run in groupby(zip(cut, text, strict=True), itemgetter(0))
    ]
    pieces = [piece for gone, piece in runs if not gone]
    kept = [piece for piece in pieces if len(piece) >= config.min_chars]
    return kept if kept and len(pieces) <= config.max_pieces else None


def _between(spans: Places, n_chars: int, window_chars: int) -> Places:
    """What is left of a text between spans in order, widened by a window.

    Shapes: (N, 2) -> (pieces, 2).

    >>> _between(np.array([[20, 30], [26, 36], [60, 70]]), 72, window_chars=3).tolist()
    [[0, 17], [39, 57]]
    """
    lows, highs = np.maximum(spans[:, 0] - window_chars, 0), np.minimum(spans[:, 1] + window_chars, n_chars)
    starts, ends = np.append(0, highs), np.append(lows, n_chars)
    return np.stack([starts, ends], axis=1)[starts < ends]


def _cut(
    matches: Matches, grams: GramSet, ignored: NDArray[np.bool_], config: DecontaminationConfig
) -> Cleaned | Reason:
    cutting = ~ignored[matches.grams]
    if not cutting.any():
        return Cleaned(((0, matches.n_chars),), 0, ())
    spans = np.stack([matches.starts[cutting], matches.ends[cutting]], axis=1)
    pieces = _between(spans, matches.n_chars, config.window_chars)
    return _judged(pieces, matches.n_chars, np.unique(matches.grams[cutting]), grams, config)


def _judged(
    pieces: Places, n_chars: int, numbers: Places, grams: GramSet, config: DecontaminationConfig
) -> Cleaned | Reason:
    lengths = pieces[:, 1] - pieces[:, 0]
    kept = pieces[lengths >= config.min_chars]
    if len(pieces) > config.max_pieces:
        seen = f"{len(pieces)} pieces, at most {config.max_pieces}"
        return Reason("split into too many pieces", f"{seen}; shared with {_tasks(grams, numbers)}")
    if not len(kept):
        seen = f"{lengths.max(initial=0)} characters in a row, at least {config.min_chars}"
        return Reason("no piece long enough", f"{seen}; shared with {_tasks(grams, numbers)}")
    removed_chars = n_chars - int((kept[:, 1] - kept[:, 0]).sum())
    return Cleaned(tuple((start, end) for start, end in kept.tolist()), removed_chars, tuple(numbers.tolist()))


def _tasks(grams: GramSet, numbers: Places) -> str:
    """The tasks that most of some grams come from.

    >>> _tasks(GramSet.build([("a", "1 2 3"), ("b", "1 2")], 1), np.array([0, 1, 2]))
    'a (3 grams), b (2 grams)'
    """
    counts = sorted(grams.by_task(numbers).items(), key=lambda count: -count[1])
    named = [f"{name} ({count} grams)" for name, count in counts[:_SHOWN_TASKS]]
    return ", ".join(named) + (f" and {len(counts) - len(named)} more" if len(counts) > len(named) else "")
