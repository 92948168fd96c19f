"""`gpt demo`: its text, its yardstick, and the whole show on a part of the text."""

import json
import os
from pathlib import Path

import pytest

from gptrilogy import demo
from gptrilogy.corpus.sotu import find_speeches
from gptrilogy.metrics import read_metrics


@pytest.fixture(scope="module")
def few_speeches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speeches")
    for speech in sorted(find_speeches().glob("*.txt"))[::10]:
        (folder / speech.name).symlink_to(speech)
    return folder


def test_xz_does_better_after_it_has_seen_the_training_text(few_speeches: Path) -> None:
    alone, after = demo.xz_bits_per_byte(few_speeches)
    assert 1.5 < after < alone < 3.0


@pytest.mark.slow
def test_the_show_stops_resumes_and_ends_with_a_picture(
    few_speeches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    monkeypatch.setattr(demo, "find_speeches", lambda: few_speeches)
    monkeypatch.setattr(demo, "BUDGET_S", 40)  # enough on a busy machine too
    assert os.environ["OMP_NUM_THREADS"] == "1"
    demo.demo(out=out)
    events = [row["event"] for row in read_metrics(out / "metrics.jsonl")]
    assert events.count("resume") == 1
    assert events[-1] == "end"
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((out / "config.json").read_text())["recipe"] == "auto"
    shown = capsys.readouterr().out
    for words in ("that was SIGTERM", "xz -9, alone", "this model", "gpt generate"):
        assert words in shown
