import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.data.tokens import Ids, Tokens
from gptrilogy.errors import DataError


def window_reference(shards: list[list[int]], start: int, length: int) -> Ids:
    """`Tokens.window`, written as what it means: the shards put together, and taken round and round."""
    return np.concatenate([np.array(shard, np.int64) for shard in shards]).take(
        np.arange(start, start + length), mode="wrap"
    )


@given(
    shards=st.lists(st.lists(st.integers(0, 65535), min_size=1, max_size=9), min_size=1, max_size=6),
    start=st.integers(0, 200),
    length=st.integers(0, 100),
    dtype=st.sampled_from(["<u2", "<u4"]),
)
def test_a_window_is_a_stretch_of_the_ring(shards: list[list[int]], start: int, length: int, dtype: str) -> None:
    tokens = Tokens([np.array(shard, dtype) for shard in shards], eot_id=0)
    window = tokens.window(start, length)
    assert window.dtype == np.int64
    assert window.tolist() == window_reference(shards, start, length).tolist()
    assert len(tokens) == sum(map(len, shards))


def test_no_tokens_have_no_windows() -> None:
    with pytest.raises(DataError, match="the text is empty; give more text"):
        Tokens([], eot_id=0).window(0, 1)
