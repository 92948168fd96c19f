import hashlib
from collections import Counter
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gptrilogy.data.index import Index
from gptrilogy.data.interleaving import Interleaving
from gptrilogy.data.loader import Loader, MixedLoader, training_windows, valid_windows
from gptrilogy.data.shards import PackedData, PackedSet
from gptrilogy.data.tokens import Tokens
from gptrilogy.errors import ConfigError, DataError

EOT = 10_000


def counting(n: int) -> Tokens:
    """A text whose tokens are their own places, in shards of seven."""
    ids = np.arange(n, dtype=np.uint16)
    return Tokens([ids[start : start + 7] for start in range(0, n, 7)], eot_id=EOT)


def numbers(first: int, count: int) -> NDArray[np.uint64]:
    return np.arange(first, first + count, dtype=np.uint64)


def test_a_batch_holds_windows_of_the_ring() -> None:
    batch = Loader(counting(100), n_ctx=8, seed=0).batch(5, 4)
    assert batch.dtype == torch.int64
    assert batch.shape == (4, 9)
    assert torch.equal(batch, (batch[:, :1] + torch.arange(9)) % 100)


@settings(max_examples=30, deadline=None)
@given(first=st.integers(0, 10**12), size=st.integers(1, 20), seed=st.integers())
def test_a_sample_depends_on_the_seed_and_its_number_alone(first: int, size: int, seed: int) -> None:
    tokens = counting(100)
    loader = Loader(tokens, n_ctx=8, seed=seed)
    alone = [Loader(tokens, n_ctx=8, seed=seed).batch(sample, 1) for sample in range(first, first + size)]
    assert torch.equal(loader.batch(first, size), torch.cat(alone))


@settings(deadline=None)
@given(n=st.integers(2, 300), n_ctx=st.integers(1, 40), epoch=st.integers(0, 1000), seed=st.integers(0, 5))
def test_an_epoch_predicts_every_token_once_but_for_a_remainder(n: int, n_ctx: int, epoch: int, seed: int) -> None:
    if n < n_ctx + 1:
        return
    loader = Loader(counting(n), n_ctx=n_ctx, seed=seed)
    targets = Counter(loader.batch(epoch * loader.epoch_samples, loader.epoch_samples)[:, 1:].flatten().tolist())
    assert set(targets.values()) == {1}
    assert n - len(targets) < n_ctx


def test_epochs_differ_in_order_and_in_where_they_cut() -> None:
    loader = Loader(counting(1000), n_ctx=10, seed=0)
    starts = [loader.starts(numbers(epoch * 100, 100)).astype(int) for epoch in range(20)]
    assert len({tuple(epoch) for epoch in starts}) == 20
    assert len({epoch[0] % 10 for epoch in starts}) > 5
    orders = {tuple(np.argsort((epoch - epoch.min()) // 10)) for epoch in starts}
    assert len(orders) == 20


def test_seeds_differ() -> None:
    loaders = [Loader(counting(1000), n_ctx=10, seed=seed) for seed in range(-5, 5)]
    batches = [tuple(loader.starts(numbers(0, 5)).tolist()) for loader in loaders]
    assert len(set(batches)) == 10


def test_the_order_is_the_same_for_ever() -> None:
    assert Loader(counting(1000), n_ctx=10, seed=1337).starts(numbers(97, 6)).tolist() == [441, 211, 31, 368, 978, 998]


def test_the_batches_of_one_text_are_the_same_for_ever() -> None:
    ids = np.arange(5000, dtype="<u2")
    text = Tokens([ids[start : start + 700] for start in range(0, 5000, 700)], eot_id=None)
    data = PackedData(cast("Index", None), text, text)
    for windows in (Loader(text, n_ctx=32, seed=7), training_windows(data, n_ctx=32, seed=7)):
        read = hashlib.sha256()
        for first, size in ((0, 7), (120, 32), (10**9, 5)):
            read.update(windows.batch(first, size).numpy().astype("<i8").tobytes())
        assert read.hexdigest() == "94a9fe31dc3bc98a3bedd230ecf0e747c338ecff1c24e4a9801346b04dbb0b1d"


def test_over_many_epochs_windows_begin_everywhere_alike() -> None:
    loader = Loader(counting(60), n_ctx=20, seed=3)
    counts = np.bincount(loader.starts(numbers(0, 30_000)).astype(int), minlength=60)
    # Three starts of an epoch share one draw, so the offsets modulo 20 are the independent draws, ten thousand of them.
    offsets = counts.reshape(3, 20).sum(0) / 3
    # 19 degrees of freedom: a fair draw goes past 43.8 with p = 0.001.
    assert ((offsets - 500) ** 2).sum() / 500 < 43.8


def test_epochs_are_counted_in_fractions() -> None:
    loader = Loader(counting(100), n_ctx=10, seed=0)
    assert [loader.epoch_of(sample) for sample in (0, 5, 10, 25)] == [0, 0.5, 1, 2.5]


@pytest.mark.parametrize("n", [0, 1, 8])
def test_text_shorter_than_a_window_is_refused(n: int) -> None:
    with pytest.raises(
        DataError, match=rf"has {n} tokens, .* n_ctx \+ 1 = 9: give more text, or a smaller --model.n-ctx"
    ):
        Loader(counting(n), n_ctx=8, seed=0)
    assert Loader(counting(9), n_ctx=8, seed=0).batch(0, 3).shape == (3, 9)


@given(n=st.integers(1, 120), n_ctx=st.integers(1, 30), data=st.data())
def test_validation_scores_every_token_once_and_in_order(n: int, n_ctx: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, n_ctx) | st.none())
    scored: list[int] = []
    for ids, n_skip in valid_windows(counting(n), n_ctx, stride=stride):
        assert ids.dtype == torch.int64
        assert 2 <= len(ids) <= n_ctx + 1
        assert ids[0] == (EOT if ids[1] == 0 else ids[1] - 1)
        assert n_skip < len(ids) - 1
        scored += ids[1:].tolist()[n_skip:]
    assert scored == list(range(n))


def test_context_before_a_scored_token_is_at_least_what_the_stride_leaves() -> None:
    skips = [n_skip for _, n_skip in valid_windows(counting(100), 20, stride=10)]
    assert skips == [0, *[10] * (len(skips) - 1)]


@given(n=st.integers(1, 200), max_windows=st.integers(1, 30))
def test_a_part_of_the_windows_is_even_and_fixed(n: int, max_windows: int) -> None:
    whole = [ids.tolist() for ids, _ in valid_windows(counting(n), 8)]
    part = [ids.tolist() for ids, _ in valid_windows(counting(n), 8, max_windows=max_windows)]
    assert len(part) == min(max_windows, len(whole))
    places = [whole.index(ids) for ids in part]
    gaps = np.diff([*places, len(whole)])
    assert places[0] == 0
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


def test_validation_that_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(DataError, match="no validation text: give more text, or a file of its own with --valid"):
        valid_windows(counting(0), 8)
    for stride in (0, 9):
        with pytest.raises(ConfigError, match=rf"1\.\.n_ctx = 8, got {stride}"):
            valid_windows(counting(9), 8, stride=stride)
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        valid_windows(counting(9), 8, max_windows=0)


# Mixtures


def one_set(name: str, weight: float, first: int, n: int) -> PackedSet:
    """A set whose tokens are first, first + 1 and so on."""
    tokens = Tokens([np.arange(first, first + n, dtype=np.uint16)], eot_id=None)
    return PackedSet(name, weight, tokens, tokens)


WEB, BOOKS, NOTES = one_set("web", 0.6, 0, 4000), one_set("books", 0.3, 10_000, 200), one_set("notes", 0.1, 20_000, 45)


@pytest.fixture
def mixed() -> MixedLoader:
    return MixedLoader([WEB, BOOKS, NOTES], n_ctx=10, seed=5)


def test_no_window_of_a_mixture_holds_two_sets(mixed: MixedLoader) -> None:
    batch = mixed.batch(0, 500)
    assert batch.dtype == torch.int64
    assert batch.shape == (500, 11)
    assert torch.equal(batch // 10_000, (batch[:, :1] // 10_000).expand(-1, 11))


@settings(max_examples=20)
@given(first=st.integers(0, 10**12), size=st.integers(1, 20), seed=st.integers())
def test_a_sample_of_a_mixture_depends_on_the_seed_and_its_number_alone(first: int, size: int, seed: int) -> None:
    def loader() -> MixedLoader:
        return MixedLoader([WEB, BOOKS, NOTES], n_ctx=8, seed=seed)

    alone = [loader().batch(sample, 1) for sample in range(first, first + size)]
    assert torch.equal(loader().batch(first, size), torch.cat(alone))


def test_small_sets_go_through_epochs_in_new_orders_while_a_large_one_is_not_finished(mixed: MixedLoader) -> None:
    batch = mixed.batch(0, 600)
    targets = {which: batch[batch[:, 0] // 10_000 == which][:, 1:] for which in range(3)}
    assert [len(rows) for rows in targets.values()] == [360, 180, 60]
    counts = [np.unique(rows, return_counts=True)[1] for rows in targets.values()]
    assert (len(counts[0]), set(counts[0].tolist())) == (3600, {1})  # nine tenths of an epoch, nothing twice
    assert (len(counts[1]), set(counts[1].tolist())) == (200, {9})  # 180 windows are nine epochs of 20
    assert len(counts[2]) == 45
    orders = {tuple(epoch[:, 0].tolist()) for epoch in targets[1].split(20)}
    assert len(orders) == 9


def test_each_set_of_a_mixture_is_read_as_it_would_be_alone(mixed: MixedLoader) -> None:
    batch = mixed.batch(0, 100)
    sets, _ = Interleaving([0.6, 0.3, 0.1], seed=5).places(0, 100)
    for which, one in enumerate((WEB, BOOKS, NOTES)):
        alone = MixedLoader([one], n_ctx=10, seed=5).batch(0, int((sets == which).sum()))
        assert torch.equal(batch[torch.from_numpy(sets == which)], alone)


def test_the_order_of_a_mixture_is_the_same_for_ever(mixed: MixedLoader) -> None:
    assert mixed.batch(10**6, 6)[:, 0].tolist() == [2957, 3337, 10170, 10060, 3807, 3777]


def test_what_is_one_text_and_what_a_mixture(mixed: MixedLoader) -> None:
    data = PackedData(cast("Index", None), WEB.train, WEB.valid, (WEB, BOOKS, NOTES))
    assert torch.equal(training_windows(data, n_ctx=10, seed=5).batch(7, 9), mixed.batch(7, 9))


@pytest.mark.parametrize("n", [500, 501, 502, 503])
def test_what_was_seen_is_told_for_each_set(mixed: MixedLoader, n: int) -> None:
    sets, _ = Interleaving([one.weight for one in (WEB, BOOKS, NOTES)], seed=5).places(0, n)
    counts = np.bincount(sets).tolist()
    seen = mixed.seen(n)
    assert seen["tokens_by_set"] == {"web": counts[0] * 10, "books": counts[1] * 10, "notes": counts[2] * 10}
    sizes = [len(one.train) // 10 for one in (WEB, BOOKS, NOTES)]
    expected = [round(count / size, 4) for count, size in zip(counts, sizes, strict=True)]
    assert list(seen["epochs_by_set"].values()) == expected
    assert Loader(WEB.train, n_ctx=10, seed=5).seen(3 * (len(WEB.train) // 10)) == {"epochs": 3.0}


def test_a_set_shorter_than_a_window_is_named() -> None:
    with pytest.raises(DataError, match=r"^of the set notes, the training text has 45 tokens, .* n_ctx \+ 1 = 101"):
        MixedLoader([WEB, NOTES], n_ctx=100, seed=0)
