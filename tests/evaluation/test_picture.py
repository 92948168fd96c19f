"""Pictures of an evaluation: there, readable as PNG, not blank, and different for different scores."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gptrilogy.evaluation.picture import draw_by_shots, draw_by_size
from gptrilogy.evaluation.summary import Row


def rows(**about: object) -> list[Row]:
    return [
        {
            "model": model,
            "parameters": parameters,
            "precision": "fp32",
            "task": "toy",
            "shots": shots,
            "rule": rule,
            "metric": metric,
            "value": 0.3 + 0.05 * shots,
            "stderr_items": 0.02,
            "stderr_draws": math.nan if shots == 0 else 0.05,
            "draws": 3,
            "n": 100,
            **about,
        }
        for model, parameters in (("small", 10_000), ("large", 1_000_000))
        for shots in (0, 1, 8)
        for rule in ("sum", "token")
        for metric in ("acc", "ppl")
    ]


@pytest.mark.parametrize("draw", [draw_by_shots, draw_by_size])
def test_a_picture_shows_something(draw: Callable[[list[Row], Path], None], tmp_path: Path) -> None:
    draw(rows(), tmp_path / "one.png")
    draw(rows(value=0.9), tmp_path / "other.png")
    with Image.open(tmp_path / "one.png") as image:
        assert image.format == "PNG"
        assert image.width >= 1000
        colours = image.convert("RGB").getcolors(image.width * image.height) or []
    assert len(colours) > 50
    assert max(count for count, _ in colours) < 0.98 * image.width * image.height
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "other.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "other.png"]


@pytest.mark.parametrize(
    "about",
    [
        {"value": math.inf, "stderr_items": math.nan},
        {"stderr_items": math.nan, "stderr_draws": math.nan},
        {"value": 1e300, "metric": "ppl", "stderr_items": 1e299},
        {"shots": 0},
        {"shots": 2000},
        {"value": 0.0, "stderr_items": 0.0, "stderr_draws": 0.0},
        {"task": "a task with $ _ { and a very long name", "model": "runs/$x_{"},
    ],
    ids=str,
)
def test_odd_numbers_and_names_are_drawn_too(about: dict[str, object], tmp_path: Path) -> None:
    few = [row for row in rows(**about) if row["rule"] == "sum" and row["metric"] == about.get("metric", "acc")]
    for draw in (draw_by_shots, draw_by_size):
        draw(few, tmp_path / "odd.png")
        with Image.open(tmp_path / "odd.png") as image:
            assert image.width > 500


def test_every_task_has_a_panel(tmp_path: Path) -> None:
    draw_by_shots(rows()[:2], tmp_path / "two.png")
    draw_by_shots([row for name in "abcd" for row in rows(task=name)[:2]], tmp_path / "eight.png")
    with Image.open(tmp_path / "two.png") as two, Image.open(tmp_path / "eight.png") as eight:
        assert eight.height == 3 * two.height


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such folder"):
        draw_by_shots(rows(), tmp_path / "no such folder" / "shots.png")
