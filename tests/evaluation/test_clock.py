"""Progress in words: what was answered before says nothing of how fast the rest will be."""

from types import SimpleNamespace

import pytest

from gptrilogy.evaluation import clock
from gptrilogy.evaluation.clock import Clock


def test_only_fresh_questions_make_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: now.s))
    progress = Clock("toy", 2000, heard.append)
    for seconds, done, fresh in [(10, 1000, 0), (20, 500, 500), (30, 500, 400)]:
        now.s = seconds
        progress.count(done, fresh=fresh)
    assert heard == [
        "toy: 1,000/2,000 questions",
        "toy: 1,500/2,000 questions, 25.0 questions/s, 20 s left",
        "toy: 2,000/2,000 questions, 30.0 questions/s, 0 s left",
    ]
