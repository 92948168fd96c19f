"""DROP's scores: exact match and F1 over the words of spans, in which numbers must agree. Needs no torch.

A right answer is one or several spans, here the lines of one text. What a model writes is taken as one span, as
lm-evaluation-harness does: commas within spans forbid to part it.

Source: Dua et al. 2019, and the script published with the data.
"""

import re
from collections.abc import Sequence

from gptrilogy.evaluation.scores.answers import ARTICLES, PUNCTUATION, over_answers

SPAN_END = "\n"  # between the spans of a right answer


def normalise_span(text: str) -> str:
    """Words in lower case, parted at hyphens too, without punctuation and articles; numbers as floats.

    >>> normalise_span("The 3-point lead of 1,000 yards")
    '3.0 point lead of 1000.0 yards'
    """
    words = (_normalise_word(word) for word in re.split(" |-", text.lower()))
    return " ".join(word for word in words if word)


def drop_match(text: str, answers: Sequence[str]) -> float:
    """1.0 where the text is the whole of an answer, one that is a single span."""
    return float([normalise_span(text)] in [[normalise_span(span) for span in _spans(answer)] for answer in answers])


def drop_f1(text: str, answers: Sequence[str]) -> float:
    """The F1 with the nearest answer, to two decimals as the script rounds it."""
    return max(_answer_f1(text, _spans(answer)) for answer in answers)


def _answer_f1(text: str, spans: Sequence[str]) -> float:
    """The mean F1 of an answer's spans, where the one written is matched with the best and the rest get 0."""
    written = set(normalise_span(text).split())
    return round(max(_span_f1(written, set(normalise_span(span).split())) for span in spans) / len(spans), 2)


def _span_f1(written: set[str], right: set[str]) -> float:
    """F1 over the different words; 0.0 where the right ones hold numbers and none of them was written."""
    numbers = {word for word in right if _is_number(word)}
    if numbers and not numbers & written:
        return 0.0
    shared = len(written & right)
    precision = shared / len(written) if written else 1.0
    recall = shared / len(right) if right else 1.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _spans(answer: str) -> list[str]:
    return answer.split(SPAN_END)


def _normalise_word(word: str) -> str:
    bare = word if _is_number(word) else "".join(letter for letter in word if letter not in PUNCTUATION)
    number = str(float(bare)) if _is_number(bare) else bare
    return " ".join(ARTICLES.sub(" ", number).split())


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


DROP_MATCH = over_answers("em", drop_match)
DROP_F1 = over_answers("f1", drop_f1)
