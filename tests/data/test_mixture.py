"""Shares, epochs, and what GPT-3's own table makes of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.data.mixture import exact, mixture_table, shares_of, total_weight
from gptrilogy.papers.tables import find_table

BILLION = 10**9


def printed(column: str) -> dict[str, float]:
    return {row["data set"]: float(row[column]) for row in find_table("gpt3-2.2").rows}


def test_gpt3s_table_follows_from_its_weights_but_for_two_sets() -> None:
    tokens = {name: round(billions * BILLION) for name, billions in printed("tokens (B)").items()}
    rows = mixture_table(tokens, printed("weight (%)"), 300 * BILLION)
    assert [row.set for row in rows] == list(tokens)
    assert [round(row.epochs, 2) for row in rows] == [0.43, 3.44, 1.98, 0.43, 2.97]
    of_printed_weights = {row.set: round(3 * BILLION * row.weight / row.tokens, 2) for row in rows}
    assert of_printed_weights == {
        "Common Crawl (filtered)": 0.44,
        "WebText2": 3.47,
        "Books1": 2.0,
        "Books2": 0.44,
        "Wikipedia": 3.0,
    }
    epochs = printed("epochs of 300B")
    off = [row.set for row in rows if abs(row.epochs / epochs[row.set] - 1) > 0.05]
    assert off == ["WebText2", "Wikipedia"]


def test_what_is_read_of_all_sets_is_the_training() -> None:
    tokens = {"web": 4100, "books": 120, "wikipedia": 30}
    rows = mixture_table(tokens, {"web": 60, "books": 8, "wikipedia": 3}, 3000)
    assert sum(row.epochs * row.tokens for row in rows) == pytest.approx(3000, rel=1e-12)
    assert sum(row.share for row in rows) == pytest.approx(1, rel=1e-12)


@given(weights=st.lists(st.integers(1, 1000), min_size=1, max_size=9), scale=st.integers(1, 9))
def test_only_the_proportions_of_weights_matter(weights: list[int], scale: int) -> None:
    some = {str(place): weight / 10 for place, weight in enumerate(weights)}
    more = {str(place): float(weight * scale) for place, weight in enumerate(weights)}
    assert shares_of(some) == shares_of(more)


def test_a_sum_of_decimals_has_no_noise() -> None:
    assert total_weight(dict.fromkeys("abcdefghij", 0.1)) == 1
    assert sum([0.1] * 10) != 1
    assert total_weight(printed("weight (%)")) == 101
    assert (exact(1e-07) * 10**7, exact(3)) == (1, 3)
