import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.tokenizers.piece_counts import ENTRY_BYTES, Counted, PieceCounts

ROOM = 500  # entries of 8 bytes


def counted(pieces: Sequence[bytes]) -> Counted:
    counts = Counter(pieces)
    return Counted(list(counts), np.array([*counts.values()], np.int64))


def filled(pieces: Sequence[bytes], room: int = ROOM, group: int = 250) -> PieceCounts:
    table = PieceCounts(max_bytes=room * (ENTRY_BYTES + 8))
    for start in range(0, len(pieces), group):
        table.add(counted(pieces[start : start + group]))
        assert len(table) <= room
    return table


def estimates(table: PieceCounts) -> dict[bytes, int]:
    found = table.estimate()
    return dict(zip(found.pieces, found.counts.tolist(), strict=True))


@given(pieces=st.lists(st.binary(min_size=1, max_size=2)), group=st.integers(1, 9))
def test_counts_are_exact_while_there_is_room(pieces: list[bytes], group: int):
    assert estimates(filled(pieces, group=group)) == Counter(pieces)


def test_what_is_frequent_is_known_to_a_few_occurrences():
    rng = random.Random(0)
    frequent = [f"often{i:03}".encode() for i in range(20)] * 400
    rare = [f"{i:08}".encode() for i in range(20_000)]
    pieces = frequent + rare
    rng.shuffle(pieces)
    table = filled(pieces)
    found = estimates(table)
    assert table.one_in >= 16
    # What is missed is geometric; twelve times its mean is passed once in some 10^5 for each of the 20.
    assert all(abs(found[piece] - 400) <= 12 * table.one_in for piece in set(frequent))


@pytest.mark.parametrize("n_rare", [2_000, 20_000])
def test_a_sample_of_the_rare_stands_for_all_of_them(n_rare: int):
    table = filled([f"{i:08}".encode() for i in range(n_rare)])
    total = sum(estimates(table).values())
    # A binomial count times one_in: 5 standard deviations are passed once in 10^6.
    assert abs(total - n_rare) <= 5 * (n_rare * table.one_in) ** 0.5
    assert table.one_in > 1


def test_equal_texts_in_equal_order_have_equal_estimates():
    pieces = [f"{i * i % 7919:08}".encode() for i in range(5000)]
    assert estimates(filled(pieces)) == estimates(filled(pieces))


def test_one_group_larger_than_the_table_is_cut_down_at_once():
    table = filled([f"{i:08}".encode() for i in range(10 * ROOM)], group=10 * ROOM)
    assert 0 < len(table) <= ROOM
