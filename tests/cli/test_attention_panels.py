"""What is handed to the drawing, against the definition of the patterns and the probabilities of the model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gptrilogy.cli import attention_panels
from gptrilogy.cli.attention_panels import Inspected, draw, visible_panels
from gptrilogy.cli.attention_picture import Layout, Row
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.models.attention import visible
from gptrilogy.models.patterns import Banded, Dense, Fixed, Pattern, Strided
from gptrilogy.models.probabilities import attention_probabilities
from gptrilogy.tokenizers import BytesTokenizer

SPARSE = GPTConfig(n_vocab=257, n_ctx=40, n_embd=12, n_head=3, n_layer=4, init_std=0.3).replace(
    attention=("dense", "banded", "strided", "fixed"), band_width=5, stride=6, summary_width=2
)
PROMPT = "To be, or not to be"


@pytest.fixture
def sparse() -> Inspected:
    model = GPT(SPARSE, torch.Generator().manual_seed(0))
    return Inspected("sparse", SPARSE, LanguageModel(model, BytesTokenizer()))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was handed to the drawing, which is left out."""
    handed: list[dict[str, Any]] = []

    def note(rows: Sequence[Row], path: Path, **words: Any) -> None:
        handed.append({"rows": rows, "path": path, **words})

    monkeypatch.setattr(attention_panels, "draw_attention", note)
    return handed


@pytest.mark.parametrize("pattern", [Dense(), Banded(7), Strided(6), Fixed(6, 2, 3)], ids=str)
@pytest.mark.parametrize("T", [5, 41])
def test_panels_are_the_masks_that_attention_uses(pattern: Pattern, T: int) -> None:
    panels = visible_panels(pattern, [2, 0, 1], Layout(T, 1, 3))
    masks = visible(T, T, pattern, 3)[[2, 0, 1]]
    assert np.array_equal(np.stack(panels), masks.float().numpy())


def test_each_panel_has_its_own_layers_and_heads_numbers(sparse: Inspected, drawn: list[dict[str, Any]]) -> None:
    said = draw(sparse, Path("a.png"), prompt=PROMPT, layers="3,1", heads="2,0")
    assert sparse.loaded
    [handed] = drawn
    every = attention_probabilities(sparse.loaded.model, torch.tensor([*PROMPT.encode()]))
    assert handed["heads"] == [2, 0]
    assert handed["layout"] == Layout(19, 2, 2)
    for row, layer in zip(handed["rows"], (3, 1), strict=True):
        mask = visible(19, 19, SPARSE.patterns()[layer], 3)
        for column, head in enumerate((2, 0)):
            assert np.array_equal(row.visible[column], mask[head].float().numpy())
            assert np.array_equal(row.probabilities[column], every[layer][head].numpy())
    assert [row.label for row in handed["rows"]] == [
        "layer 3: fixed, blocks of 6, 2 keys of each (3 sets)",
        "layer 1: banded, 5 keys",
    ]
    assert handed["title"].startswith("sparse")
    assert handed["text"] == f'prompt, 19 tokens: "{PROMPT}"'
    assert said == {
        "picture": "a.png",
        "model": "sparse",
        "layers": [
            {"layer": 3, "pattern": "fixed, blocks of 6, 2 keys of each (3 sets)"},
            {"layer": 1, "pattern": "banded, 5 keys"},
        ],
        "heads": [2, 0],
        "positions": 19,
        "text": "prompt",
    }


def test_a_long_prompt_is_cut_to_the_context(
    sparse: Inspected, drawn: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    draw(sparse, Path("a.png"), prompt="x" * 41, layers=None, heads=None)
    assert drawn[0]["layout"] == Layout(40, 4, 3)
    assert capsys.readouterr().err == "note: the prompt has 41 tokens; the first 40 are drawn\n"


def test_a_preset_shows_what_may_be_seen_alone(drawn: list[dict[str, Any]]) -> None:
    said = draw(Inspected("small", SPARSE, None), Path("a.png"), prompt=None, layers=None, heads="1")
    [handed] = drawn
    assert said["text"] is None
    for row, pattern in zip(handed["rows"], SPARSE.patterns(), strict=True):
        assert row.probabilities is None
        assert np.array_equal(row.visible[0], visible(40, 40, pattern, 3)[1].float().numpy())


def test_many_panels_and_positions_are_cut_and_said(
    drawn: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    large = GPTConfig(n_ctx=3000, n_embd=28, n_head=14, n_layer=13, attention=("banded",))
    said = draw(Inspected("large", large, None), Path("a.png"), prompt=None, layers=None, heads=None)
    assert [row["layer"] for row in said["layers"]] == said["heads"] == list(range(12))
    assert said["positions"] == drawn[0]["layout"].n_tokens == 2048
    assert capsys.readouterr().err.splitlines() == [
        "note: the first 12 of 13 layers are drawn; --layers chooses others",
        "note: the first 12 of 14 heads are drawn; --heads chooses others",
        "note: at most the first 2048 of 3000 positions are drawn",
    ]
    chosen = draw(Inspected("large", large, None), Path("a.png"), prompt=None, layers="12", heads="13,13")
    assert ([row["layer"] for row in chosen["layers"]], chosen["heads"]) == ([12], [13])
