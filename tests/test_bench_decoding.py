"""The bench of decoding measures what it says of each pattern."""

import pytest
import torch
from bench.decoding import PATTERNS, full_cache, measure, models_of, token_s

from gptrilogy.models import GPTConfig

TINY = GPTConfig(
    n_layer=2, n_embd=16, n_head=2, n_ctx=64, n_vocab=11, band_width=8, stride=8, summary_width=2, sub_blocks=2
)


def test_each_pattern_has_its_times_and_its_cache() -> None:
    said: list[str] = []
    found = measure(TINY, (32, 64), 3, 2, said.append)
    assert [(r.attention, r.context) for r in found.results] == [(name, n) for n in (32, 64) for name in PATTERNS]
    assert all(len(result.seconds) == 3 and min(result.seconds) > 0 for result in found.results)
    kept = {result.attention: result.positions for result in found.results if result.context == 64}
    assert kept == {
        "dense": [64, 64],
        "dense, banded": [64, 8],
        "banded": [8, 8],
        "strided": [64, 64],
        "fixed": [8 + 8 * 2] * 2,  # a block, and two keys of each of eight
    }
    for result in found.results:
        assert result.cache_bytes == sum(result.positions) * 2 * 2 * 16 * 4  # keys and values, two rows, fp32
    assert len(said) == 10


def test_all_patterns_share_one_set_of_weights() -> None:
    models = models_of(TINY)
    pointers = {tuple(p.data_ptr() for p in model.parameters()) for model in models.values()}
    assert len(pointers) == 1
    assert [model.config.attention for model in models.values()] == list(PATTERNS.values())


@pytest.mark.parametrize("name", PATTERNS)
def test_a_token_finds_a_full_cache_and_leaves_its_length(name: str) -> None:
    model = models_of(TINY)[name]
    cache = full_cache(model, 2, 32)
    assert cache.lengths == [31, 31]
    assert all(torch.count_nonzero(tensor) == tensor.numel() for tensor in (*cache.keys, *cache.values))
    assert token_s(model, cache) > 0
    assert cache.lengths == [31, 31]


def test_contexts_whose_caches_do_not_fit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.decoding.available_bytes", lambda: 1 << 20)
    found = measure(TINY, (32,), 1, 1, print)
    assert found.results == []
    [reason] = found.left_out
    assert reason.startswith("context 32: the caches need about 1.1 GB, and 0.0 are free")


def test_the_page_and_the_picture_show_every_pattern() -> None:
    found = measure(TINY, (32,), 1, 1, print)
    page = found.page()
    assert all(f"| {name} " in page for name in PATTERNS)
    assert "32 and 8" in page
    assert [list(panel.curves) for panel in found.panels()] == [list(PATTERNS)] * 2
