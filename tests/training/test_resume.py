"""A run that was stopped anywhere, in any way, ends in the same bits as one that never was."""

import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gptrilogy.checkpoints import checkpoint_folders
from gptrilogy.data.loader import Loader
from gptrilogy.runs import Run, read_metrics
from gptrilogy.training.pretrain import Outcome
from gptrilogy.training.signals import StopRequest

STEPS = 50


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Every batch that training reads, in order."""
    read: list[Tensor] = []
    batch = Loader.batch

    def noted(self: Loader, first_sample: int, batch_size: int) -> Tensor:
        read.append(batch(self, first_sample, batch_size))
        return read[-1]

    monkeypatch.setattr(Loader, "batch", noted)
    return read


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_stopping_after_every_single_step_changes_no_bit(
    precision: str,
    new_run: Callable[..., Run],
    train: Callable[..., Outcome],
    batches: list[Tensor],
    assert_equal_runs: Callable[[Run, Run], None],
) -> None:
    changes = {"train": {"precision": precision}}
    whole, halting = new_run("whole", changes), new_run("halting", changes)
    assert train(whole).finished
    order = batches.copy()
    batches.clear()
    for step in range(1, STEPS + 1):
        outcome = train(halting, stop_at=step)
        assert outcome.last_row["step"] == step
        assert outcome.finished == (step == STEPS)
    assert len(batches) == len(order) == 3 * STEPS
    assert all(map(torch.equal, batches, order))
    assert_equal_runs(whole, halting)
    assert [row["step"] for row in read_metrics(halting.metrics_path) if row["event"] == "resume"] == [*range(1, STEPS)]


@pytest.mark.parametrize("stop_at", [1, 4, 9, 10, 11, 29, 49])
def test_a_run_stopped_once_ends_like_one_that_never_was(
    stop_at: int,
    new_run: Callable[..., Run],
    train: Callable[..., Outcome],
    assert_equal_runs: Callable[[Run, Run], None],
) -> None:
    whole, stopped = new_run("whole"), new_run("stopped")
    train(whole)
    train(stopped, stop_at=stop_at)
    assert train(stopped).finished
    assert_equal_runs(whole, stopped)
