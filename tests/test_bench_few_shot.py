"""The bench of few-shot scoring asks everyone the same questions, and says what it took and how far they agree."""

import bz2
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bench.few_shot import measure
from bench.few_shot_cases import FIXED, FRESH, SHOTS, contenders, questions
from bench.few_shot_report import Found

from gptrilogy.errors import DataError
from gptrilogy.models import GPTConfig

TINY = GPTConfig(n_layer=1, n_embd=16, n_head=2)
FEW = 2  # demonstrations


@pytest.fixture(scope="module")
def data(shared_data: Callable[[str], Path]) -> Path:
    return shared_data("eval/hellaswag").parent.parent


@pytest.fixture(scope="module")
def found(data: Path) -> Found:
    asked = questions(data, {FRESH: 1, FIXED: 2}, shots=FEW)
    return measure(TINY, data / "vocab" / "gpt2", asked, contenders("fp32")[:2], 1, 2, print)


def test_questions_share_their_demonstrations_where_one_draw_serves_all(data: Path) -> None:
    asked = questions(data, {FRESH: 2, FIXED: 3})
    assert {draw: len(every) for draw, every in asked.items()} == {FRESH: 2, FIXED: 3}
    assert [len({question.prefix for question in asked[draw]}) for draw in (FRESH, FIXED)] == [2, 1]
    for question in (*asked[FRESH], *asked[FIXED]):
        assert question.prefix.count("\n\n") == SHOTS
        assert question.prefix.endswith("\n\n")
        assert question.context not in question.prefix
        assert 780 < question.prefix_tokens < 880
        assert len(question.answers) == 4
        assert all(answer.startswith(" ") for answer in question.answers)


def test_more_questions_than_have_the_length_are_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "vocab").symlink_to(data / "vocab")
    lines = ["Sailing: A boat lies in a harbour.", "0", "It sails.", "It sinks.", "It sings.", "It sits.", ""]
    (tmp_path / "hellaswag_val_full.txt.bz2").write_bytes(bz2.compress("\n".join(lines).encode()))
    with pytest.raises(DataError, match="has 0 questions and 0 demonstrations of the lengths looked for, wanted 1 and"):
        questions(tmp_path, {FRESH: 1})


@pytest.mark.slow  # three processes start
def test_each_contender_is_timed_on_each_draw(found: Found) -> None:
    done = [(result.contender.name, result.draw, result.questions, list(result.nats)) for result in found.results]
    assert done == [
        ("ours fp32", FRESH, 1, [0]),
        ("ours fp32", FIXED, 2, [0, 1]),
        ("lm-eval fp32, batch 1", FRESH, 1, [0]),
        ("lm-eval fp32, batch 1", FIXED, 1, [0, 1]),  # in each sample another
    ]
    assert all(len(result.seconds) == 2 and min(result.seconds) > 0 for result in found.results)


@pytest.mark.slow
def test_scores_agree_and_the_page_says_so(found: Found) -> None:
    rows = [row for row in found.rows() if row.what.endswith("scores")]
    assert [(row.what, row.ours, row.met) for row in rows] == [
        ("few-shot, fresh demonstrations, fp32, scores", "same answer to 1 of 1", "first"),
        ("few-shot, fixed demonstrations, fp32, scores", "same answer to 2 of 2", "first"),
    ]
    assert all(row.what in found.findings().page() for row in rows)


@pytest.mark.slow
def test_scores_that_are_apart_are_a_missed_target(found: Found) -> None:
    bent = [
        replace(r, nats={number: [nats - 0.01 for nats in answers] for number, answers in r.nats.items()})
        for r in found.results[2:]
    ]
    rows = [row for row in replace(found, results=[*found.results[:2], *bent]).rows() if row.what.endswith("scores")]
    assert [row.met for row in rows] == ["MISSED", "MISSED"]
