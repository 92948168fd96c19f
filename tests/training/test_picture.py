import json
import struct
import sys
from pathlib import Path

import pytest

from gptrilogy.metrics import Row
from gptrilogy.runs import Run
from gptrilogy.training.picture import draw_loss


def log(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def train_row(step: int, loss: float | None) -> Row:
    return {"event": "train", "step": step, "tokens": 48 * step, "loss_nats": loss}


def assert_is_a_picture(path: Path) -> None:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", content[16:24]) == (1200, 675)
    assert 10_000 < len(content) < 1_000_000


def test_a_run_leaves_a_picture(whole: Run, tmp_path: Path) -> None:
    assert draw_loss(whole.metrics_path, tmp_path / "loss.png", title="a run")
    assert_is_a_picture(tmp_path / "loss.png")


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [train_row(1, 5.0)],
        [train_row(1, None)],
        [train_row(step, None if step == 2 else 5.0 / step) for step in range(1, 9)],
        [train_row(1, 5.0), {"event": "valid", "step": 1, "tokens": 48, "loss_nats": None, "bits_per_byte": None}],
    ],
    ids=["nothing", "one step", "one skipped", "some", "a validation that failed"],
)
def test_any_log_can_be_drawn(rows: list[Row], tmp_path: Path) -> None:
    assert draw_loss(log(tmp_path / "metrics.jsonl", rows), tmp_path / "loss.png", title="$ odd _title_")
    assert_is_a_picture(tmp_path / "loss.png")


def test_without_matplotlib_there_is_no_picture_and_no_failure(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert not draw_loss(whole.metrics_path, tmp_path / "loss.png", title="a run")
    assert not (tmp_path / "loss.png").exists()
