"""Chance by a document's id: fixed for ever, uniform, and independent between purposes and seeds."""

import numpy as np

from gptrilogy.corpus.draws import draw


def test_a_draw_never_changes() -> None:
    assert draw("quality: keep", "emma.txt", seed=0) == 0x4D1F64CCED71AAD7
    assert draw("quality: keep", "日本\udcff", seed=(1 << 63) - 1) == 0x6EA6E55AD6185528


def test_draws_are_uniform() -> None:
    draws = np.array([draw("quality: keep", f"crawl/{i}", seed=0) for i in range(20_000)], np.uint64)
    counts = np.bincount((draws >> np.uint64(59)).astype(np.int64), minlength=32)
    chi_square = ((counts - 625) ** 2 / 625).sum()
    assert chi_square < 61.1  # p = 0.001 at 31 degrees of freedom


def test_purposes_and_seeds_draw_independently() -> None:
    ids = [f"crawl/{i}" for i in range(10_000)]
    first = np.array([draw("quality: keep", document_id, seed=0) for document_id in ids], np.float64)
    for purpose, seed in [("quality: sample", 0), ("quality: keep", 1)]:
        other = np.array([draw(purpose, document_id, seed=seed) for document_id in ids], np.float64)
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.033  # p = 0.001
