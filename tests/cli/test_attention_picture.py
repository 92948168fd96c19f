"""Panels in pixels: what is pooled, what is coloured, and that the file holds it unchanged."""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from gptrilogy.cli.attention_picture import (
    Layout,
    Pixels,
    Row,
    colours,
    draw_attention,
    largest,
    share_visible,
)
from gptrilogy.errors import MissingExtraError
from gptrilogy.models.patterns import Dense, Fixed, Pattern, Strided


def mask(pattern: Pattern, T: int) -> NDArray[np.bool_]:
    position = np.arange(T)
    return pattern.sees(position[:, None], position, 0)


def panel_in(picture: Path, layout: Layout, row: int, column: int) -> Pixels:
    """The pixels of one panel of a file."""
    whole = np.rint(imread(picture)[..., :3] * 255).astype(np.uint8)
    assert whole.shape[:2] == (layout.height, layout.width)
    top, left = layout.top(row), layout.left(column)
    return whole[top : top + layout.side, left : left + layout.side]


@pytest.mark.parametrize(("T", "pooled"), [(12, 1), (12, 3), (13, 3), (5, 8)])
def test_squares_are_merged_one_by_one(T: int, pooled: int) -> None:
    seen, P = mask(Strided(3), T), np.random.default_rng(0).random((T, T), np.float32)
    shares, most = share_visible(seen, pooled), largest(P, pooled)
    assert shares.shape == most.shape == (-(-T // pooled), -(-T // pooled))
    for i, j in np.ndindex(shares.shape):
        square = slice(i * pooled, (i + 1) * pooled), slice(j * pooled, (j + 1) * pooled)
        assert shares[i, j] == pytest.approx(seen[square].mean())
        assert most[i, j] == P[square].max()


def test_a_column_one_key_wide_is_still_seen_when_a_pixel_is_many_keys() -> None:
    pattern = Fixed(128, 1, 1)
    pixels = colours(share_visible(mask(pattern, 2048), 12), None)
    blank = (pixels == 255).all(-1)
    assert blank[-1].any()
    for summary in range(127, 1900, 128):
        assert not blank[-1, summary // 12]


def test_a_probability_is_darker_than_any_smaller_one() -> None:
    P = np.array([[0, 2e-4, 1e-3, 0.01, 0.1, 0.5, 1]], np.float32)
    [shades] = colours(np.ones_like(P), P).sum(-1, dtype=int).tolist()
    assert all(one > next_one + 15 for one, next_one in pairwise(shades))


def test_the_scale_reaches_below_what_equal_keys_would_have() -> None:
    assert [Layout(T, 1, 1).least for T in (16, 32, 256, 1024, 2048)] == pytest.approx([1e-2, 1e-3, 1e-4, 1e-4, 1e-4])


@pytest.mark.parametrize("T", [2, 7, 32, 511, 1024, 2048])
@pytest.mark.parametrize(("n_rows", "n_columns"), [(1, 1), (2, 2), (12, 12), (1, 12), (96, 2), (3, 96)])
def test_panels_lie_apart_and_inside_the_picture(T: int, n_rows: int, n_columns: int) -> None:
    layout = Layout(T, n_rows, n_columns)
    assert layout.pooled == 1 or layout.cell == 1
    assert -(-T // layout.pooled) * layout.cell == layout.side
    assert 32 <= layout.side <= 1024
    assert layout.left(1) - layout.left(0) > layout.side < layout.top(1) - layout.top(0)
    assert layout.left(n_columns - 1) + layout.side < layout.width
    assert layout.top(n_rows - 1) + layout.side < layout.height


@pytest.mark.parametrize("T", [9, 750])
def test_the_file_holds_every_panel_pixel_for_pixel(T: int, tmp_path: Path) -> None:
    layout = Layout(T, 2, 3)
    generator = np.random.default_rng(0)
    rows = [
        Row(
            f"layer {layer}",
            [share_visible(mask(pattern, T), layout.pooled) for _ in range(3)],
            [largest(mask(pattern, T) * generator.random((T, T), np.float32), layout.pooled) for _ in range(3)],
        )
        for layer, pattern in enumerate((Dense(), Strided(3)))
    ]
    draw_attention(rows, tmp_path / "a.png", layout=layout, heads=[0, 4, 7], title="a", text="b")
    for index, row in enumerate(rows):
        assert row.probabilities
        for column in range(3):
            expected = colours(row.visible[column], row.probabilities[column], layout.least)
            found = panel_in(tmp_path / "a.png", layout, index, column)
            assert np.array_equal(found, np.kron(expected, np.ones((layout.cell, layout.cell, 1), np.uint8)))


def draw_any(path: Path, *, title: str = "a model") -> None:
    draw_attention(
        [Row("layer 0: dense", [np.tri(4, dtype=np.float32)], None)],
        path,
        layout=Layout(4, 1, 1),
        heads=[0],
        title=title,
        text=title,
    )


@pytest.mark.parametrize("title", ["$x^", "$a$ _b_ {c}", "中文 \x1b[2J \ud800 \n", "W" * 500, ""])
def test_any_words_can_be_drawn(title: str, tmp_path: Path) -> None:
    draw_any(tmp_path / "a.png", title=title)
    drawn = panel_in(tmp_path / "a.png", Layout(4, 1, 1), 0, 0)
    assert drawn.shape == (512, 512, 3)
    assert (drawn[0, -1] == 255).all()
    assert (drawn[-1, 0] < 255).all()


def test_what_fails_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = tmp_path / "a.png"
    draw_any(picture)
    before = picture.read_bytes()

    def fill_the_disk(_: Figure, path: Path, **_how: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        draw_any(picture)
    assert picture.read_bytes() == before
    assert list(tmp_path.iterdir()) == [picture]


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"gptrilogy\[plot\]"):
        draw_any(tmp_path / "a.png")
