import pytest

from gptrilogy.corpus.card.forms import Histogram


@pytest.mark.parametrize(
    ("edges", "n_counts", "closed"),
    [
        ([0, 10, 100], 2, [0, 10, 100]),
        ([0, 10, 100], 3, [0, 10, 100, 1000]),
        ([0, 10], 2, [0, 10, 20]),
        ([0], 1, [0, 1]),
        ([5], 1, [5, 10]),
    ],
)
def test_an_open_last_bin_is_given_an_end(edges: list[float], n_counts: int, closed: list[float]) -> None:
    assert Histogram(edges=edges, counts=[1] * n_counts).closed_edges == closed


def test_other_numbers_of_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="1 counts need 2 edges, not 3"):
        Histogram(edges=[0, 10, 100], counts=[1])
