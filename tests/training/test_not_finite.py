"""Losses and gradients that are infinite or no number: nothing is learnt from them, and three in a row are the end."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gptrilogy.checkpoints import checkpoint_folders
from gptrilogy.errors import DivergedError
from gptrilogy.metrics import Row, read_metrics
from gptrilogy.models.gpt import GPT
from gptrilogy.runs import Run
from gptrilogy.training import loop, pretrain
from gptrilogy.training.loop import Outcome
from gptrilogy.training.state import TrainState

Spoil = Callable[[str, set[int]], None]


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Spoil:
    """Make the loss or the gradient of some steps infinite or no number."""

    def spoil(how: str, steps: set[int]) -> None:
        accumulate, update = pretrain.accumulate_gradients, loop.update
        loss = GPT.loss
        spoilt = False

        def accumulated(state: TrainState[GPT], *others: Any) -> float | None:
            nonlocal spoilt
            spoilt = how == "loss" and state.step + 1 in steps
            return accumulate(state, *others)

        def lost(self: GPT, ids: Tensor) -> Tensor:
            return loss(self, ids) * math.nan if spoilt else loss(self, ids)

        def updated(state: TrainState[GPT], *others: Any) -> tuple[bool, float]:
            if how == "gradient" and state.step + 1 in steps:
                for weight in state.model.ln_f.parameters():
                    assert weight.grad is not None
                    weight.grad.mul_(math.inf)
            return update(state, *others)

        monkeypatch.setattr(pretrain, "accumulate_gradients", accumulated)
        monkeypatch.setattr(loop, "update", updated)
        monkeypatch.setattr(GPT, "loss", lost)

    return spoil


@pytest.mark.parametrize("how", ["loss", "gradient"])
@pytest.mark.parametrize("step", [1, 7])
def test_a_step_that_is_not_finite_changes_no_weight_and_no_moment(
    how: str,
    step: int,
    new_run: Callable[..., Run],
    train: Callable[..., Outcome],
    last_state: Callable[[Run], dict[str, Tensor]],
    spoil: Spoil,
) -> None:
    spoil(how, {step})
    run, warnings = new_run(), list[str]()
    train(run, stop_at=step - 1)
    before = last_state(run)
    train(run, stop_at=step, warnings=warnings)
    after = last_state(run)
    assert before.keys() == after.keys()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == ["generator.cpu"]  # dropout was drawn, and the data is behind us
    assert len(warnings) == 1
    assert warnings[0].startswith(f"step {step}: loss ")
    assert warnings[0].endswith("not finite, so the step was skipped and no weight changed")
    row = read_metrics(run.metrics_path)[-2]
    assert (row["event"], row["step"], row["skipped"]) == ("train", step, True)
    assert (row["loss_nats"] is None) == (how == "loss")
    assert row["grad_norm"] is None
    assert row["lr"] > 0
    assert train(run).finished
    after = last_state(run)
    assert not torch.equal(before["wte.weight"], after["wte.weight"])
    assert all(tensor.isfinite().all() for tensor in after.values())


def test_every_line_of_the_log_is_strict_json(
    new_run: Callable[..., Run], train: Callable[..., Outcome], spoil: Spoil
) -> None:
    spoil("loss", {3, 9, 10})
    spoil("gradient", {5})
    run = new_run()
    train(run)
    rows: list[Row] = [
        json.loads(line, parse_constant=pytest.fail) for line in run.metrics_path.read_text("ascii").splitlines()
    ]
    assert [row["step"] for row in rows if "skipped" in row] == [3, 5, 9, 10]
    assert [row["step"] for row in rows if row["event"] == "train"] == [*range(1, 51)]
    assert rows == read_metrics(run.metrics_path)


@pytest.mark.parametrize("how", ["loss", "gradient"])
def test_two_spoilt_steps_in_a_row_are_survived_and_three_are_not(
    how: str, new_run: Callable[..., Run], train: Callable[..., Outcome], spoil: Spoil
) -> None:
    spoil(how, {2, 3, 5, 6, 8, 9, 10})
    run = new_run({"train": {"checkpoint_every": 1}})
    with pytest.raises(
        DivergedError, match=r"^3 steps in a row were not finite \(step 10: loss .*\); begin another run"
    ):
        train(run)
    names = [folder.name for folder in checkpoint_folders(run.checkpoints_folder)]
    assert names[-2:] == ["step-00000004", "step-00000007"]  # none from among steps that taught nothing
    assert read_metrics(run.metrics_path)[-1]["step"] == 10


def test_spoilt_steps_are_counted_across_a_stop(
    new_run: Callable[..., Run], train: Callable[..., Outcome], spoil: Spoil
) -> None:
    spoil("loss", {4, 5, 6})
    run = new_run()
    train(run, stop_at=5)
    with pytest.raises(DivergedError, match="step 6"):
        train(run)
