import sys

import pytest

from gptrilogy.errors import MissingExtraError
from gptrilogy.evaluation.items import Free, Outcome
from gptrilogy.evaluation.scores.summaries import ROUGE_1, ROUGE_2, ROUGE_L, ROUGE_MEAN, rouge

HIGHLIGHTS = "The bridge was closed on Monday .\nEngineers found a crack ."


def summarised(text: str) -> list[Outcome]:
    return [Outcome(Free("TL;DR:", (HIGHLIGHTS,)), record=0, text=text)]


def test_scores_by_hand() -> None:
    scores = rouge("a crack closed the bridge", HIGHLIGHTS)  # 5 words against 10, all of them there
    assert scores.rouge1 == pytest.approx(2 * 5 / (5 + 10))
    assert scores.rouge2 == pytest.approx(2 * 2 / (4 + 9))  # "a crack" and "the bridge"
    assert scores.rouge_l == pytest.approx(2 * 4 / (5 + 10))  # "the bridge" of one line, "a crack" of the other


def test_words_are_stemmed() -> None:
    assert rouge("bridges closing", HIGHLIGHTS).rouge1 == pytest.approx(2 * 2 / (2 + 10))


def test_the_first_three_sentences_are_scored_and_averaged() -> None:
    three = " The bridge was closed on Monday. Engineers found a crack. It is old."
    measures = (ROUGE_1, ROUGE_2, ROUGE_L)
    values = [measure(summarised(three)).value for measure in measures]
    assert values == [measure(summarised(f"{three} And more of it.")).value for measure in measures]
    assert values[0] == pytest.approx(2 * 10 / (13 + 10))
    assert ROUGE_MEAN(summarised(three)).value == pytest.approx(sum(values) / 3)
    assert [measure.name for measure in (*measures, ROUGE_MEAN)] == ["rouge1", "rouge2", "rouge_l", "rouge"]


def test_a_summary_without_a_word_scores_nothing() -> None:
    assert ROUGE_MEAN(summarised(" \n ")).value == 0.0


def test_without_rouge_score_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(MissingExtraError, match=r"ROUGE needs rouge_score.*gptrilogy\[scores\]"):
        rouge("never asked before", HIGHLIGHTS)
