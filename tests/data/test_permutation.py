"""The order of training data must never change: what is golden here stays."""

from collections import Counter

import numpy as np
import pytest

from gptrilogy.data.permutation import U64, draw, permute


def keys(count: int, seed: int = 0) -> U64:
    return draw(seed, np.arange(count, dtype=np.uint64))


def permutation(n: int, key: int) -> list[int]:
    return permute(np.arange(n, dtype=np.uint64), n, np.full(n, key, dtype=np.uint64)).tolist()


def draw_reference(*words: int) -> int:
    """`draw`, in whole numbers."""
    mask, state = 2**64 - 1, 0
    for word in words:
        x = ((state ^ (word & mask)) + 0x9E3779B97F4A7C15) & mask
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        state = x ^ (x >> 31)
    return state


def test_a_single_draw_is_splitmix64s_first_output() -> None:
    # Seed 1234567, as in the test vectors of the published generator.
    assert draw(1234567).tolist() == [6457827717110365317]


@pytest.mark.parametrize("words", [(0,), (-1,), (2**70 + 3, 5), (1, 2, 3)])
def test_draws_agree_with_whole_number_arithmetic(words: tuple[int, ...]) -> None:
    assert draw(*words).tolist() == [draw_reference(*words)]


def test_draws_and_permutations_are_the_same_for_ever() -> None:
    assert keys(3, seed=42).tolist() == [6332618229526065668, 17532488217563185893, 8238092213399105094]
    assert permutation(10, key=0) == [8, 5, 1, 3, 7, 0, 9, 4, 6, 2]
    assert permutation(1000, key=2**64 - 1)[:8] == [673, 50, 74, 375, 329, 847, 601, 565]
    assert permutation(256, key=7)[:8] == [148, 150, 0, 141, 185, 89, 38, 213]  # a power of four: none is outside
    large = permute(np.arange(3, dtype=np.uint64), 2**40 + 1, keys(3))
    assert large.tolist() == [665936122108, 286811021667, 791951523023]


@pytest.mark.parametrize("n", [*range(1, 70), 255, 256, 257, 1000, 4096, 65537])
def test_every_index_is_hit_exactly_once(n: int) -> None:
    for key in (0, 1, 2**64 - 1):
        assert sorted(permutation(n, key)) == list(range(n))


def test_elements_are_permuted_alike_alone_and_in_company() -> None:
    index, key = np.arange(300, dtype=np.uint64), keys(300)
    alone = [permute(index[i : i + 1], 300, key[i : i + 1]).item() for i in range(300)]
    assert permute(index, 300, key).tolist() == alone
    assert index.tolist() == list(range(300))


def chi_square(observed: Counter[tuple[int, ...]], cells: int) -> float:
    expected = observed.total() / cells
    return sum((count - expected) ** 2 for count in observed.values()) / expected + expected * (cells - len(observed))


def test_all_orders_of_four_are_equally_likely() -> None:
    orders = [permute(np.full(24_000, i, dtype=np.uint64), 4, keys(24_000)).tolist() for i in range(4)]
    # 23 degrees of freedom: a fair draw goes past 49.7 with p = 0.001.
    assert chi_square(Counter(zip(*orders, strict=True)), 24) < 49.7


@pytest.mark.parametrize("n", [10, 300])
def test_neighbours_land_independently_of_each_other(n: int) -> None:
    """Where two neighbours land, in tenths: each pair of tenths as often as the other."""
    first, second = (
        permute(np.full(40_000, i, dtype=np.uint64), n, keys(40_000, seed=1)) for i in (n // 2, n // 2 + 1)
    )
    pairs = Counter(
        zip(
            (first * np.uint64(10) // np.uint64(n)).tolist(),
            (second * np.uint64(10) // np.uint64(n)).tolist(),
            strict=True,
        )
    )
    per_tenth = n // 10
    weight = {
        True: per_tenth * (per_tenth - 1),
        False: per_tenth**2,
    }  # of the pairs that are possible, in one tenth or two
    total = n * (n - 1)
    expected = {(a, b): 40_000 * weight[a == b] / total for a in range(10) for b in range(10)}
    statistic = sum((pairs[pair] - mean) ** 2 / mean for pair, mean in expected.items() if mean)
    assert all(mean or not pairs[pair] for pair, mean in expected.items())
    # At most 99 degrees of freedom: a fair draw goes past 148.2 with p = 0.001.
    assert statistic < 148.2
