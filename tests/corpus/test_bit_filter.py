import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.bit_filter import BitFilter

NUMBERS = st.lists(st.integers(0, 2**64 - 1)).map(lambda numbers: np.array(numbers, np.uint64))


@given(members=NUMBERS, strangers=NUMBERS)
def test_every_member_passes(members: np.ndarray, strangers: np.ndarray) -> None:
    made = BitFilter.of(members)
    asked = np.concatenate([strangers, members])
    assert set(range(len(strangers), len(asked))) <= set(made.passing(asked).tolist())


def test_one_stranger_in_thirty_two_passes_at_most() -> None:
    rng = np.random.default_rng(0)
    members, strangers = rng.integers(0, 2**64, (2, 100_000), dtype=np.uint64)
    passed = len(BitFilter.of(members).passing(strangers))
    assert 0 < passed < len(strangers) / 32 * 1.1  # 3,125 expected at most, 55 the standard deviation


def test_nothing_passes_the_filter_of_nothing() -> None:
    made = BitFilter.of(np.zeros(0, np.uint64))
    assert made.passing(np.arange(1 << 10, dtype=np.uint64) << np.uint64(54)).tolist() == []
