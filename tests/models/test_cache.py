from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gptrilogy.models import GPT, GPTConfig, KVCache

CONFIG = GPTConfig(n_vocab=13, n_ctx=12, n_embd=12, n_head=3, n_layer=2)


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
