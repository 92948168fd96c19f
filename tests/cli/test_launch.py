"""How `auto` spends the time it was given, before training begins."""

import io
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gptrilogy.cli import launch
from gptrilogy.config import parse
from gptrilogy.data.shards import PackedData
from gptrilogy.recipes.auto import SHAPES, with_shape
from gptrilogy.training.config import RunConfig
from gptrilogy.training.progress import ConsoleReporter
from gptrilogy.training.timing import Timing


class Text:
    """Three million tokens, as far as `auto` looks at them."""

    text_bytes = 9_000_000

    def __len__(self) -> int:
        return 3_000_000


DATA = cast("PackedData", SimpleNamespace(train=Text(), valid=Text()))
CANDIDATES = [with_shape(RunConfig(), shape, 1000) for shape in SHAPES[:3]]


def as_it_is(config: RunConfig, data: PackedData) -> tuple[RunConfig, list[str]]:
    del data
    return config, []


def timed(monkeypatch: pytest.MonkeyPatch, seconds_each: float) -> tuple[RunConfig, list[str]]:
    """What is chosen for a budget of 120 s where timing one candidate takes so long, and the notes of it."""
    now = 0.0

    def time_steps(config: RunConfig, data: PackedData) -> Timing:
        nonlocal now
        now += seconds_each
        return Timing(step_s=0.1, window_s=0.001)

    def likely(*what: Any, **how: Any) -> list[RunConfig]:
        return CANDIDATES

    def compiled(name: str) -> None: ...

    monkeypatch.setattr(launch, "compiled", compiled)
    monkeypatch.setattr(launch, "candidates", likely)
    monkeypatch.setattr(launch, "resolve", as_it_is)
    monkeypatch.setattr(launch, "time_steps", time_steps)
    monkeypatch.setattr(launch, "time", SimpleNamespace(monotonic=lambda: now))
    said = io.StringIO()
    config, _ = launch.fit_to_budget(parse(RunConfig, {}), DATA, ConsoleReporter(stream=said), 4e11, 120)
    return config, said.getvalue().splitlines()


def test_every_likely_candidate_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    config, said = timed(monkeypatch, seconds_each=1)
    assert sum(line.startswith("timed ") for line in said) == 3
    assert 1000 < (config.train.max_steps or 0) < 1170  # of 0.1 s, in the 117 s that are left


def test_where_one_candidate_takes_long_no_other_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    config, said = timed(monkeypatch, seconds_each=30)
    assert [line for line in said if line.startswith("timed ")] == said[:1]
    assert config.model == CANDIDATES[0].model
    assert 750 < (config.train.max_steps or 0) < 900


def test_an_optimizer_that_is_not_the_papers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "optimizer muon for the matrices of the blocks, AdamW, the papers', for the rest" in timed(monkeypatch, 1)[1]
