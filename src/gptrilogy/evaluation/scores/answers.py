"""Scores of answers in the model's own words, each by the rules of its data set's published script. Needs no torch.

A score says of a written text and the answers that count as right a number from 0 to 1. DROP's are in `drop`.
"""

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from gptrilogy.evaluation.items import Free, Outcome, Outcomes
from gptrilogy.evaluation.measures import Measure

NO_ANSWER = "unanswerable"  # what is written, and shown in demonstrations, where SQuAD v2 has no answer
CANNOT_ANSWER = "CANNOTANSWER"  # the same in QuAC, where it is published
HUMAN_F1 = 0.4  # QuAC leaves out the questions on which its annotators agree less
PUNCTUATION = frozenset(string.punctuation)
TRIVIA_PUNCTUATION = PUNCTUATION | frozenset("\u2018\u2019\u00b4`")
ARTICLES = re.compile(r"\b(a|an|the)\b")


@dataclass(frozen=True, slots=True)
class AnswerMean(Measure):
    """A mean over answers rather than records, of which some have more questions than others.

    Answers that `each` gives no score are left out. The standard error takes the answers of a record as dependent.
    Source: Cochran 1977, chapter 9A, clusters of unequal size; with one answer a record it is the usual formula.
    """

    each: Callable[[Outcome], float | None] = lambda _: None

    def _stderr(self, records: Sequence[Outcomes]) -> float:
        scores = [kept for record in records if (kept := _scores(self.each, record))]
        if len(scores) < 2:
            return math.nan
        n_answers = sum(map(len, scores))
        mean = math.fsum(map(math.fsum, scores)) / n_answers
        squares = math.fsum((math.fsum(record) - mean * len(record)) ** 2 for record in scores)
        return math.sqrt(squares * len(scores) / (len(scores) - 1)) / n_answers


def over_answers(name: str, score: Callable[[str, tuple[str, ...]], float | None]) -> AnswerMean:
    """The mean over all answers of a score; nan where none has one.

    >>> right = over_answers("right", lambda text, answers: float(text in answers))
    >>> right([Outcome(Free("Q:", ("ice",)), record=0, text="ice"), Outcome(Free("Q:", ("fire",)), record=1)])
    Value(value=0.5, stderr=0.5, n=2)
    """

    def each(outcome: Outcome) -> float | None:
        assert isinstance(outcome.item, Free)
        return score(outcome.text, outcome.item.answers)

    return AnswerMean(name, lambda outcomes: fmean(_scores(each, outcomes) or [math.nan]), each=each)


def normalise(text: str) -> str:
    """Lower case, without punctuation, articles and surplus white space, as SQuAD's script compares texts.

    >>> normalise("The Battle of  Hastings, 1066.")
    'battle of hastings 1066'
    """
    kept = "".join(letter for letter in text.lower() if letter not in PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", kept).split())


def normalise_trivia(text: str) -> str:
    """As `normalise`, but punctuation, with typographic quotes, parts words; this is how TriviaQA's aliases were made.

    >>> normalise_trivia("Henry Campbell-Bannerman")
    'henry campbell bannerman'
    """
    spaced = "".join(" " if letter in TRIVIA_PUNCTUATION else letter for letter in text.lower())
    return " ".join(ARTICLES.sub(" ", spaced).split())


def exact_match(text: str, answers: Sequence[str]) -> float:
    """1.0 where the text is one of the answers once both are normalised: SQuAD's and NQ-open's exact match."""
    return float(normalise(text) in {normalise(answer) for answer in answers})


def trivia_match(text: str, answers: Sequence[str]) -> float:
    """1.0 where the text is one of TriviaQA's aliases; an alias of which normalisation leaves nothing matches none."""
    written = normalise_trivia(text)
    return float(bool(written) and written in {normalise_trivia(answer) for answer in answers})


def token_f1(text: str, answer: str) -> float:
    """The harmonic mean of precision and recall over words; two texts without a word agree.

    Source: Rajpurkar et al. 2018, the script of SQuAD v2, which CoQA's follows.

    >>> token_f1("in the cold northern sea", "the northern sea")
    0.6666666666666666
    """
    written, right = Counter(normalise(text).split()), Counter(normalise(answer).split())
    if not written or not right:
        return float(written == right)
    return 2 * (written & right).total() / (written.total() + right.total())


def best_f1(text: str, answers: Sequence[str]) -> float:
    """The F1 with the nearest answer."""
    return max(token_f1(text, answer) for answer in answers)


def squad2_match(text: str, answers: Sequence[str]) -> float:
    """`exact_match`, where writing nothing and writing that there is no answer are the same."""
    return exact_match(*_without_no_answer(text, answers))


def squad2_f1(text: str, answers: Sequence[str]) -> float:
    """`best_f1`, where writing nothing and writing that there is no answer are the same."""
    return best_f1(*_without_no_answer(text, answers))


def left_out_f1(text: str, answers: Sequence[str]) -> float:
    """The F1 with the nearest answer, as a mean over leaving each answer out in turn.

    So a model meets one answer fewer, as an annotator does who is compared with the others.
    Source: Reddy et al. 2019 (CoQA); Choi et al. 2018 (QuAC); their scripts.
    """
    return fmean(best_f1(text, others) for others in _leaving_one_out(answers))


def quac_answers(answers: Sequence[str]) -> tuple[str, ...]:
    """The majority's answers: that there is none where at least half say so, else those of the others."""
    found = tuple(answer for answer in answers if answer != CANNOT_ANSWER)
    return found if len(found) > len(answers) / 2 else (CANNOT_ANSWER,)


def quac_f1(text: str, answers: Sequence[str]) -> float | None:
    """`left_out_f1` with the majority's answers; None where annotators reach less than 0.4 against each other."""
    majority = quac_answers(answers)
    return left_out_f1(text, majority) if _agreement(majority) >= HUMAN_F1 else None


def _agreement(answers: Sequence[str]) -> float:
    """The mean F1 of each answer with the nearest of the others; 1.0 for one alone."""
    if len(answers) == 1:
        return 1.0
    return fmean(best_f1(answer, others) for answer, others in zip(answers, _leaving_one_out(answers), strict=True))


def _leaving_one_out(answers: Sequence[str]) -> list[Sequence[str]]:
    if len(answers) == 1:
        return [answers]
    return [[*answers[:place], *answers[place + 1 :]] for place in range(len(answers))]


def _without_no_answer(text: str, answers: Sequence[str]) -> tuple[str, list[str]]:
    return _answer_or_nothing(text), list(map(_answer_or_nothing, answers))


def _answer_or_nothing(text: str) -> str:
    return "" if normalise(text) == NO_ANSWER else text


def _scores(each: Callable[[Outcome], float | None], outcomes: Outcomes) -> list[float]:
    return [score for outcome in outcomes if (score := each(outcome)) is not None]


EXACT_MATCH = over_answers("em", exact_match)
TRIVIA_MATCH = over_answers("em", trivia_match)
SQUAD2_MATCH = over_answers("em", squad2_match)
SQUAD2_F1 = over_answers("f1", squad2_f1)
COQA_F1 = over_answers("f1", left_out_f1)
QUAC_F1 = over_answers("f1", quac_f1)
QUAC_F1_ALL = over_answers("f1_all", lambda text, answers: left_out_f1(text, quac_answers(answers)))
