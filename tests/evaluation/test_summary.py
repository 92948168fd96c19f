"""Draws put together: means, and two standard errors that are worked out by hand here."""

import math

import pytest

from gptrilogy.evaluation.summary import CONDITION, over_draws, scale_of, table

ABOUT = {"model": "m", "parameters": 1000, "precision": "fp32", "task": "t", "shots": 1, "rule": "sum", "metric": "acc"}


def row(value: float, stderr: float = 0.1, **about: object) -> dict[str, object]:
    return {**ABOUT, "draw": 0, "value": value, "stderr": stderr, "n": 100, "demonstrations": 1.0, **about}


def test_the_errors_of_items_and_of_draws_are_told_apart() -> None:
    rows = [row(value, stderr, draw=draw) for draw, (value, stderr) in enumerate([(0.5, 0.1), (0.7, 0.2), (0.9, 0.2)])]
    [found] = over_draws(rows)
    assert found == {
        **ABOUT,
        "value": pytest.approx(0.7),
        "stderr_items": pytest.approx(math.sqrt((0.01 + 0.04 + 0.04) / 3)),
        "stderr_draws": pytest.approx(0.2 / math.sqrt(3)),  # deviations -0.2, 0, 0.2: variance 0.08 / 2
        "draws": 3,
        "n": 100,
        "demonstrations": 1.0,
    }


def test_draws_that_agree_leave_the_error_of_items_alone() -> None:
    [found] = over_draws([row(0.5, draw=draw) for draw in range(5)])
    assert (found["stderr_items"], found["stderr_draws"]) == (pytest.approx(0.1), 0.0)


def test_one_draw_says_nothing_of_draws() -> None:
    [found] = over_draws([row(0.5)])
    assert (found["value"], found["stderr_items"], found["draws"]) == (0.5, pytest.approx(0.1), 1)
    assert math.isnan(found["stderr_draws"])
    assert math.isnan(over_draws([row(0.5, math.nan)])[0]["stderr_items"])


@pytest.mark.parametrize("name", CONDITION)
def test_each_condition_has_a_mean_of_its_own(name: str) -> None:
    rows = [row(0.2), {**row(0.8), name: "other"}]
    assert [found["value"] for found in over_draws(rows)] == [0.2, 0.8]


def test_nothing_comes_to_nothing() -> None:
    assert over_draws([]) == []


def test_the_table_for_people() -> None:
    rows = [row(0.5, draw=0), row(0.75, draw=1), row(12.3456, 0.5, metric="ppl", n=12_345)]
    assert table(over_draws(rows)) == [
        ("task", "K", "rule", "metric", "value", "± items", "± draws", "n"),
        ("t", "1", "sum", "acc", "62.5", "10.0", "12.5", "100"),
        ("t", "1", "sum", "ppl", "12.346", "0.500", "", "12,345"),
    ]
    assert table(over_draws([row(0.5, shots=4, demonstrations=1.25)]))[1][1] == "4 (1.2)"  # not all had room
    header, one, other = table(over_draws([row(0.5), row(0.5, model="n")]))
    assert header[:2] == ("task", "model")
    assert (one[1], other[1]) == ("m", "n")
    header, one, other = table(over_draws([row(0.5), row(0.5, precision="bf16")]))
    assert [line[1] for line in (header, one, other)] == ["precision", "fp32", "bf16"]


def test_only_perplexities_and_bits_are_no_shares() -> None:
    assert [scale_of(name)[0] for name in ("acc", "f1", "bleu_sb", "ppl", "bits")] == [100, 100, 100, 1, 1]
