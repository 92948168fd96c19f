"""`gpt inspect`: the numbers it says of a model, and the picture of its attention."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

import gptrilogy
from gpt_command import Gpt
from gptrilogy.cli.attention_picture import Layout, colours
from gptrilogy.data.shards import open_shards
from gptrilogy.models import PRESETS, GPTConfig, KVCache
from gptrilogy.models.attention import visible
from gptrilogy.models.probabilities import attention_probabilities
from gptrilogy.tokenizers import BytesTokenizer
from tiny_run import write_run

SPARSE = {"n_vocab": 257, "n_ctx": 40, "n_embd": 12, "n_head": 3, "n_layer": 6} | {
    "attention": ("fixed", "banded", "strided"),
    "band_width": 5,
    "stride": 6,
    "summary_width": 2,
}


@pytest.fixture
def sparse(monkeypatch: pytest.MonkeyPatch) -> GPTConfig:
    """A preset of three sparse patterns, under the name gpt-sparse."""
    monkeypatch.setitem(PRESETS, "gpt-sparse", SPARSE)
    return GPTConfig.preset("gpt-sparse")


def test_the_numbers_of_sparse_layers_are_those_of_mask_and_cache(gpt: Gpt, sparse: GPTConfig) -> None:
    said = gpt("inspect", "gpt-sparse", "--json").json()
    cache = KVCache(sparse, 1, like=torch.zeros(1))
    assert said["cache_bytes"] == cache.size_bytes
    assert said["precision"] == "float32"
    assert [row["layers"] for row in said["layers"]] == [[0, 3], [1, 4], [2, 5]]
    for layer, (row, pattern) in enumerate(zip(said["layers"], sparse.patterns(), strict=False)):
        n_keys = visible(40, 40, pattern, 3).sum(-1).float()
        assert row["mean_keys"] == pytest.approx(n_keys.mean().item())
        assert row["most_keys"] == n_keys.max()
        assert row["cache_positions"] == cache.keys[layer].shape[2]
        assert row["cache_bytes"] == cache.keys[layer].nbytes + cache.values[layer].nbytes


def test_a_table_folds_the_layers_of_a_pattern(gpt: Gpt) -> None:
    rows = gpt("inspect", "gpt3-175b").out.splitlines()
    assert [row.split() for row in rows[-3:]] == [
        ["dense", "0,", "2,", "4,", "...,", "94", "1,024.5", "2,048", "2,048", "201", "MB"],
        ["banded,", "256", "keys", "1,", "3,", "5,", "...,", "95", "240.1", "256", "256", "25.2", "MB"],
        ["all", "0-95", "10.9", "GB"],
    ]


def test_a_trained_model_is_described(gpt: Gpt, trained: Path) -> None:
    said = gpt("inspect", trained, "--json").json()
    model = gptrilogy.load(trained).model
    checkpoint = trained / "checkpoints" / "step-00000008"
    assert said["source"] == str(checkpoint)
    assert said["config"] == model.config.model_dump(mode="json")
    assert said["parameters"] == sum(said["parameters_by_part"].values()) == sum(p.numel() for p in model.parameters())
    words = gpt("inspect", checkpoint).out
    for word in (f"{said['parameters']:,} parameters", said["tokenizer"], "2 of 8", "feed-forward", "8.5", "float32"):
        assert word in words


def test_a_folder_with_a_presets_name_is_the_folder(gpt: Gpt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(Path("gpt2-small"), BytesTokenizer())
    assert gpt("inspect", "gpt2-small", "--json").json()["config"]["n_embd"] == 24
    assert gpt("inspect", "gpt2-medium", "--json").json()["source"] is None


def test_the_picture_shows_the_held_out_text(gpt: Gpt, trained: Path, tmp_path: Path) -> None:
    said = gpt("inspect", trained, "--attention", "--out", tmp_path / "a.png", "--json").json()
    assert said["picture"] == str(tmp_path / "a.png")
    assert (said["positions"], said["text"]) == (16, "held-out text")
    ids = open_shards(trained / "data", fingerprint=None).valid.window(0, 16)
    [P] = attention_probabilities(gptrilogy.load(trained).model, torch.from_numpy(ids))
    layout, picture = Layout(16, 1, 2), np.rint(imread(tmp_path / "a.png")[..., :3] * 255)
    for head in range(2):
        expected = colours(np.tri(16, dtype=np.float32), P[head].numpy(), layout.least)
        top, left, middle = layout.top(0), layout.left(head), layout.cell // 2
        cells = picture[top + middle :: layout.cell, left + middle :: layout.cell][:16, :16]
        assert np.abs(cells - expected).max() <= 1


def test_the_picture_of_a_preset_is_named_on_stdout(
    gpt: Gpt, sparse: GPTConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert gpt("inspect", "gpt-sparse", "--attention").out == "attention.png\n"
    layout = Layout(sparse.n_ctx, 6, 3)
    picture = imread(tmp_path / "attention.png")
    assert picture.shape[:2] == (layout.height, layout.width)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--attention", "--layers", "0,1"], 2, "--layers takes numbers from 0 to 0 with commas between them, got '1'"),
        (["--attention", "--heads", "-1"], 2, "--heads takes numbers from 0 to 1 with commas between them, got '-1'"),
        (["--attention", "--heads", "one"], 2, "got 'one'"),
        (["--attention", "--heads", ""], 2, "got ''"),
        (["--attention", "--prompt", ""], 1, "at least 2 tokens, got 1 of the prompt"),
        (["--attention", "--out", "a.jpg"], 2, "--out must end in .png, got a.jpg"),
        (["--attention", "--out", "no/such/a.png"], 1, "cannot write no/such/a.png"),
        (["--heads", "1"], 2, "--heads is of the picture, so it needs --attention"),
    ],
)
def test_what_cannot_be_drawn_gets_one_line(gpt: Gpt, trained: Path, words: list[str], code: int, says: str) -> None:
    said = gpt("inspect", trained, *words)
    assert (said.code, said.out) == (code, "")
    [line] = said.err.splitlines()
    assert says in line


def test_without_a_run_a_prompt_is_asked_for(gpt: Gpt, tmp_path: Path) -> None:
    write_run(tmp_path / "run", BytesTokenizer())
    said = gpt("inspect", tmp_path / "run", "--attention", "--out", tmp_path / "a.png")
    assert said.code == 2
    assert "--prompt" in said.err
    assert not (tmp_path / "a.png").exists()
    assert gpt("inspect", tmp_path / "run", "--attention", "--prompt", "some", "--out", tmp_path / "a.png").code == 0
    assert (tmp_path / "a.png").exists()


def test_a_preset_reads_no_prompt_and_an_unknown_name_gets_the_nearest(gpt: Gpt) -> None:
    assert "gpt1 is a preset, without weights" in gpt("inspect", "gpt1", "--attention", "--prompt", "some words").err
    said = gpt("inspect", "gpt2-smal")
    assert said.code == 2
    assert said.err == "gpt: gpt2-smal is neither a folder with a model nor a preset: did you mean gpt2-small?\n"
