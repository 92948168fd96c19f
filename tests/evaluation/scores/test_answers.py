import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.evaluation.items import Free, Outcome
from gptrilogy.evaluation.scores.answers import (
    COQA_F1,
    EXACT_MATCH,
    QUAC_F1,
    QUAC_F1_ALL,
    SQUAD2_F1,
    exact_match,
    left_out_f1,
    normalise,
    over_answers,
    quac_answers,
    quac_f1,
    squad2_f1,
    squad2_match,
    token_f1,
    trivia_match,
)

WORDS = st.lists(st.sampled_from(["the", "a", "An", "ice", "Sea,", "sea", "3", "-", "co-op", "U.S."]), max_size=6)
TEXTS = WORDS.map(" ".join)


def lm_eval_file(relative: str) -> Any:
    """A file of lm-evaluation-harness by itself, without the rest, which takes seconds to import."""
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0], relative)
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


SQUAD_SCRIPT = lm_eval_file("tasks/qasper/metrics.py")


def answered(text: str, *answers: str, record: int = 0) -> Outcome:
    return Outcome(Free("Q:", answers), record=record, text=text)


@pytest.mark.parametrize(
    ("text", "answers", "right"),
    [
        (" The Eagles\t", ["eagles"], 1.0),
        ("Hawaii.", ["Oahu", "hawaii"], 1.0),
        ("an apple a day", ["apple day"], 1.0),
        ("theatre", ["atre"], 0.0),  # an article is a whole word
        ("well-known", ["wellknown"], 1.0),  # punctuation goes, and leaves no space
        ("well known", ["well-known"], 0.0),
        ("caf\u00e9", ["cafe"], 0.0),  # accents stay
        ("", ["the"], 1.0),  # nothing is left of either
        ("2 January", ["January 2"], 0.0),
    ],
)
def test_exact_match_is_over_lower_case_without_punctuation_articles_and_surplus_space(
    text: str, answers: list[str], right: float
) -> None:
    assert exact_match(text, answers) == right


@pytest.mark.parametrize(
    ("text", "answer", "f1"),
    [
        ("in the deep cold sea", "cold sea", 2 * (2 / 4) * 1 / (2 / 4 + 1)),
        ("cold cold sea", "cold sea sea", 2 / 3),  # a word counts as often as it is on both sides
        ("ice", "fire", 0.0),
        ("", "fire", 0.0),
        ("the", "", 1.0),  # both without a word
    ],
)
def test_f1_is_over_words_with_their_number(text: str, answer: str, f1: float) -> None:
    assert token_f1(text, answer) == pytest.approx(f1, abs=1e-12)


@given(TEXTS, TEXTS)
def test_normalisation_and_f1_agree_with_another_copy_of_the_script(text: str, answer: str) -> None:
    assert normalise(text) == SQUAD_SCRIPT.normalize_answer(text)
    if normalise(text) or normalise(answer):  # the copy is of SQuAD v1's, which has no answers without words
        assert token_f1(text, answer) == pytest.approx(SQUAD_SCRIPT.f1_abstractive([text], [answer]), abs=1e-12)


def test_saying_that_there_is_no_answer_and_saying_nothing_are_right_where_there_is_none_only() -> None:
    for text in ("unanswerable", " Unanswerable.", "", "the"):
        assert squad2_match(text, ("unanswerable",)) == squad2_f1(text, ("unanswerable",)) == 1.0
        assert squad2_match(text, ("in 1066",)) == squad2_f1(text, ("in 1066",)) == 0.0
    assert squad2_match("in 1066", ("unanswerable",)) == squad2_f1("in 1066", ("unanswerable",)) == 0.0
    assert squad2_f1("unanswerable riddle", ("a riddle",)) == pytest.approx(2 / 3)  # a word as any other


def test_coqa_leaves_each_answer_out_in_turn() -> None:
    answers = ("a white kitten", "white", "white")
    assert left_out_f1("white", answers) == pytest.approx((1 + 1 + 1) / 3)
    assert left_out_f1("kitten", answers) == pytest.approx((0 + 2 / 3 + 2 / 3) / 3)
    assert left_out_f1("kitten", answers[:1]) == pytest.approx(2 / 3)


def test_quac_takes_the_majoritys_answers() -> None:
    none = "CANNOTANSWER"
    assert quac_answers(("in May", none, "May")) == ("in May", "May")
    assert quac_answers(("in May", none)) == (none,)
    assert quac_f1(none, ("in May", none)) == 1.0
    assert quac_f1("in May", ("in May", none)) == 0.0


def test_quac_leaves_out_questions_on_which_annotators_disagree() -> None:
    disagreeing = ("a b c d", "a x y z")  # without the article, 0 of 3 words are shared
    assert quac_f1("b c d", disagreeing) is None
    assert quac_f1("x", ("x 1 2 3", "x 4 5 6")) is None  # F1 1/4
    assert quac_f1("x y", ("x y 2 3", "x y 5 6")) == pytest.approx(2 / 3)  # F1 1/2
    outcomes = [answered("x y", "x y", record=0), answered("nothing", *disagreeing, record=1)]
    assert QUAC_F1(outcomes).value == 1.0
    assert QUAC_F1_ALL(outcomes).value == 0.5
    assert math.isnan(QUAC_F1(outcomes[1:]).value)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Campbell\u2010Bannerman", 0.0),  # a hyphen that the script does not know
        ("campbell bannerman", 1.0),
        ("The Campbell_Bannerman!", 1.0),
        ("\u2018Campbell\u2019 Bannerman", 1.0),
        ("Bannerman", 0.0),
        ("", 0.0),
    ],
)
def test_triviaqa_matches_any_alias_and_parts_words_at_punctuation(text: str, right: float) -> None:
    assert trivia_match(text, ("Sir Henry Campbell-Bannerman", "Campbell-Bannerman", "?!")) == right


def test_a_mean_is_over_answers_and_its_error_over_records() -> None:
    one = [answered("ice", "ice", record=0), answered("sea", "ice", record=0), answered("ice", "ice", record=0)]
    other = [answered("sea", "ice", record=1)]
    value = EXACT_MATCH([*one, *other])
    assert value.value == 2 / 4
    assert value.n == 2
    # deviations of the records' sums from mean times answers: 2 - 3/2 and 0 - 1/2
    assert value.stderr == pytest.approx(math.sqrt(2 * (0.25 + 0.25)) / 4)
    assert math.isnan(EXACT_MATCH(one).stderr)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_with_one_answer_a_record_the_error_is_the_usual_one(scores: list[float]) -> None:
    measure = over_answers("score", lambda text, _: float(text))
    value = measure([answered(str(score), "x", record=record) for record, score in enumerate(scores)])
    usual = float(np.std(scores, ddof=1)) / math.sqrt(len(scores))
    assert value.value == pytest.approx(float(np.mean(scores)))
    assert value.stderr == pytest.approx(usual, abs=1e-9)


def test_measures_have_the_names_they_are_published_under() -> None:
    assert [measure.name for measure in (EXACT_MATCH, COQA_F1, QUAC_F1, SQUAD2_F1)] == ["em", "f1", "f1", "f1"]
