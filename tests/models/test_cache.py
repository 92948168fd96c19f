from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gptrilogy.models import GPT, GPTConfig, KVCache

CONFIG = GPTConfig(n_vocab=13, n_ctx=12, n_embd=12, n_head=3, n_layer=2)
SPARSE = CONFIG.replace(n_ctx=34, band_width=5, stride=6, summary_width=2, n_layer=3)
ATTENTION = ["dense", "banded", "strided", "fixed", "dense,banded", "strided,fixed,banded"]


@pytest.fixture
def model(scrambled: Callable[[GPTConfig], GPT]) -> GPT:
    return scrambled(CONFIG)


@torch.no_grad()
def continued(model: GPT, cache: KVCache, *tokens: int) -> Tensor:
    """Logits after one more token in each row."""
    return model.logits(model.hidden(torch.tensor(tokens)[:, None], cache))[:, 0]


def test_a_cache_has_the_room_and_the_precision_asked_for() -> None:
    cache = KVCache(CONFIG, 5, like=torch.zeros(1, dtype=torch.float64), capacity=7)
    assert [keys.shape for keys in cache.keys] == [values.shape for values in cache.values] == 2 * [(5, 3, 7, 4)]
    assert {keys.dtype for keys in cache.keys} == {torch.float64}
    assert KVCache(CONFIG, 1, like=torch.zeros(1)).capacity == CONFIG.n_ctx


def test_a_branch_grows_without_changing_its_root(model: GPT) -> None:
    cache = KVCache(CONFIG, 2, like=model.wte.weight)
    cache.n_active = 1
    for token in (1, 2, 3):
        continued(model, cache, token, 0)
    before = [layer[0].clone() for layer in (*cache.keys, *cache.values)]

    branch = KVCache(CONFIG, 1, like=model.wte.weight)
    branch.put(0, cache, 0)
    after_branching = continued(model, branch, 4)
    after = [layer[0] for layer in (*cache.keys, *cache.values)]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert (cache.lengths, branch.lengths) == ([3, 0], [4])
    torch.testing.assert_close(after_branching, model(torch.tensor([[1, 2, 3, 4]]))[:, -1], rtol=0, atol=1e-5)


def test_a_row_may_be_branched_inside_its_own_cache(model: GPT) -> None:
    cache = KVCache(CONFIG, 2, like=model.wte.weight)
    cache.n_active = 1
    continued(model, cache, 1, 0)
    cache.put(1, cache, 0)
    cache.n_active = 2
    found = continued(model, cache, 2, 3)
    torch.testing.assert_close(found, model(torch.tensor([[1, 2], [1, 3]]))[:, -1], rtol=0, atol=1e-5)


def test_idle_rows_stay_empty(model: GPT) -> None:
    cache = KVCache(CONFIG, 4, like=model.wte.weight)
    cache.n_active = 2
    continued(model, cache, 1, 2, 3, 4)
    assert cache.lengths == [1, 1, 0, 0]
    assert not any(layer[2:].any() for layer in (*cache.keys, *cache.values))


def test_rows_that_fall_idle_hold_nothing_however_long_they_were(model: GPT) -> None:
    cache = KVCache(CONFIG, 2, like=model.wte.weight)
    full = KVCache(CONFIG, 1, like=model.wte.weight)
    model.hidden(torch.zeros(1, CONFIG.n_ctx, dtype=torch.long), full)
    cache.put(1, full)
    cache.keep_first(1)
    assert cache.lengths == [0, 0]
    found = continued(model, cache, 5, 0)  # the full row would have no position left
    torch.testing.assert_close(found[0], model(torch.tensor([[5]]))[0, -1], rtol=0, atol=1e-5)


# Layers that hold only what their pattern reads again.


@pytest.fixture(scope="module")
def sparse_models() -> dict[str, GPT]:
    """A model for each of `ATTENTION`, with weights large enough that every key shows."""
    models: dict[str, GPT] = {}
    for attention in ATTENTION:
        config = SPARSE.replace(attention=attention, init_std=0.3)
        models[attention] = GPT(config, torch.Generator().manual_seed(2)).eval()
    return models


def random_text(length: int, seed: int = 0) -> Tensor:
    """Shapes: (1, length)."""
    return torch.randint(SPARSE.n_vocab, (1, length), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def in_portions(model: GPT, cache: KVCache, ids: Tensor, lengths: Sequence[int]) -> Tensor:
    return torch.cat([model.logits(model.hidden(part, cache)) for part in ids.split(list(lengths), 1)], 1)


@torch.no_grad()
def filled(model: GPT, ids: Tensor, capacity: int | None = None) -> KVCache:
    """A cache of one row that holds a text, and room for no more unless asked for."""
    cache = KVCache(model.config, 1, like=model.wte.weight, capacity=capacity or ids.shape[1])
    model.hidden(ids, cache)
    return cache


def assert_same_logits(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("attention", ATTENTION)
@settings(max_examples=25)
@given(lengths=st.lists(st.integers(1, 16), min_size=1, max_size=8).filter(lambda lengths: sum(lengths) <= 34))
def test_portions_of_any_size_give_the_logits_of_one_pass(
    sparse_models: dict[str, GPT], attention: str, lengths: list[int]
) -> None:
    model, ids = sparse_models[attention], random_text(sum(lengths)).expand(2, -1)
    cache = KVCache(model.config, 2, like=model.wte.weight, capacity=sum(lengths))
    with torch.no_grad():
        assert_same_logits(in_portions(model, cache, ids, lengths), model(ids))


@pytest.mark.parametrize("attention", ATTENTION)
def test_a_token_at_a_time_gives_the_logits_of_one_pass_in_bf16_too(
    sparse_models: dict[str, GPT], attention: str
) -> None:
    ids = random_text(34)
    model = GPT(SPARSE.replace(attention=attention), torch.Generator().manual_seed(2)).eval()
    with torch.no_grad():
        expected = model(ids)
    model = model.to(torch.bfloat16)
    cache = KVCache(model.config, 1, like=model.wte.weight)
    found = in_portions(model, cache, ids, [1] * 34)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("attention", ATTENTION)
def test_a_branch_of_every_length_goes_on_in_a_cache_of_any_size(sparse_models: dict[str, GPT], attention: str) -> None:
    """From a cache that is full and one that is not, into one that has room for five tokens more, and the largest."""
    model = sparse_models[attention]
    whole = random_text(34)
    with torch.no_grad():
        expected = model(whole)
    for length in range(1, 30):
        for root_capacity, capacity in [(length, 34), (length, length + 5), (34, length + 5)]:
            root = filled(model, whole[:, :length], root_capacity)
            branch = KVCache(model.config, 2, like=model.wte.weight, capacity=capacity)
            branch.put(1, root)
            branch.put(0, branch, 1)
            found = in_portions(model, branch, whole[:, length : length + 5].expand(2, -1), [1, 1, 3])
            assert_same_logits(found, expected[:, length : length + 5].expand(2, -1, -1))


@pytest.mark.parametrize("attention", ATTENTION)
def test_a_short_text_in_a_row_that_held_a_long_one_sees_nothing_of_it(
    sparse_models: dict[str, GPT], attention: str
) -> None:
    model, short = sparse_models[attention], random_text(20, seed=1)
    for length in (1, 5, 6, 7, 12):
        cache = filled(model, random_text(34))
        cache.put(0, filled(model, short[:, :length]))
        with torch.no_grad():
            assert_same_logits(
                in_portions(model, cache, short[:, length:], [1] * (20 - length)), model(short)[:, length:]
            )


@pytest.mark.parametrize("attention", ATTENTION)
def test_rows_of_many_lengths_are_each_as_if_alone_to_the_bit(sparse_models: dict[str, GPT], attention: str) -> None:
    """Idle rows, filled before, come along as padding; products of one row count give a row the same bits."""
    model, n_rows = sparse_models[attention], 8
    lengths = [1, 4, 5, 6, 12, 13, 29]
    texts = [random_text(length + 5, seed=length) for length in lengths]

    def next_logits(rows: Sequence[int], row: int) -> Tensor:
        """Of the texts in `rows`, those of a row's five next tokens."""
        cache = KVCache(model.config, n_rows, like=model.wte.weight)
        for place in range(n_rows):
            cache.put(place, filled(model, random_text(34)))
        for place, index in enumerate(rows):
            cache.put(place, filled(model, texts[index][:, : lengths[index]]))
        cache.keep_first(len(rows))
        newest = torch.zeros(n_rows, 5, dtype=torch.long)
        for place, index in enumerate(rows):
            newest[place] = texts[index][0, lengths[index] :]
        return in_portions(model, cache, newest, [1, 3, 1])[row]

    for index, text in enumerate(texts):
        alone = next_logits([index], 0)
        assert torch.equal(next_logits(range(len(texts)), index), alone)
        with torch.no_grad():
            assert_same_logits(alone, model(text)[0, -5:])


def test_a_cache_holds_a_band_s_window_and_a_fixed_layer_s_block_and_summaries() -> None:
    config = SPARSE.replace(n_layer=4, attention="dense,banded,strided,fixed")
    cache = KVCache(config, 2, like=torch.zeros(1))
    slots = [34, 5, 34, 6 + 6 * 2]
    assert [keys.shape for keys in cache.keys] == [values.shape for values in cache.values]
    assert [keys.shape for keys in cache.keys] == [(2, 3, n, 4) for n in slots]
    assert cache.size_bytes == sum(slots) * 2 * 2 * 3 * 4 * 4  # rows, keys and values, heads, D, bytes


@pytest.mark.parametrize("attention", ATTENTION)
def test_a_text_too_long_for_its_cache_is_our_own_bug(sparse_models: dict[str, GPT], attention: str) -> None:
    """A ring would forget, and one token past the end be dropped, both without a word."""
    model = sparse_models[attention]
    cache = filled(model, random_text(3))
    with torch.no_grad(), pytest.raises(AssertionError, match="overwritten"):
        model.hidden(random_text(1), cache)
