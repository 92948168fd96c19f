import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.evaluation.scores.drop import drop_f1, drop_match, normalise_span

WORDS = ["the", "lions", "3", "3.0", "1,000", "-", "ten-yard", "U.S.", "a", "nan", ".5", "$5", "May"]
SPANS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)


def published_script() -> Any:
    """The script's functions as lm-evaluation-harness carries them, without the rest of that package."""
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    found = importlib.util.spec_from_file_location(
        "drop_script", Path(spec.submodule_search_locations[0], "tasks/drop/utils.py")
    )
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


SCRIPT = published_script()


@pytest.mark.parametrize(
    ("text", "answer", "match", "f1"),
    [
        ("3", "3.0", 1, 1),
        ("three", "3", 0, 0),
        ("1,000 yards", "1000 yards", 1, 1),
        ("5 yards", "4 yards", 0, 0),  # a number is wrong, so the rest counts nothing
        ("4", "4 yards", 0, 0.67),
        ("yards", "the yards", 1, 1),
        ("Tom Brady", "Brady", 0, 0.67),
        ("Brady Tom", "Tom Brady", 0, 1),  # F1 has no order
        ("Brady", "Brady\nMoss", 0, 0.5),  # one of two spans
        ("Brady, Moss", "Brady\nMoss", 0, 0.33),  # taken as one span: the best fits with 2/3, the other gets 0
        ("ten-yard", "ten yard", 1, 1),
        ("", "Brady", 0, 0),
    ],
)
def test_scores_by_hand(text: str, answer: str, match: float, f1: float) -> None:
    assert drop_match(text, (answer,)) == match
    assert drop_f1(text, (answer,)) == f1


def test_the_nearest_of_several_answers_counts() -> None:
    assert drop_f1("Moss", ("Brady\nMoss", "Moss", "Brady")) == drop_match("Moss", ("Brady\nMoss", "Moss")) == 1.0


@given(SPANS, st.lists(SPANS, min_size=1, max_size=3))
def test_scores_agree_with_the_published_script(text: str, spans: list[str]) -> None:
    match, f1 = SCRIPT.get_metrics([text], tuple(spans))
    assert normalise_span(text) == SCRIPT._normalize(text)
    assert drop_match(text, ("\n".join(spans),)) == match
    assert drop_f1(text, ("\n".join(spans),)) == pytest.approx(f1, abs=1e-12)
