"""A run that was stopped anywhere ends in the same bits as one that never was."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gptrilogy.config import Tree
from gptrilogy.data.loader import Loader
from gptrilogy.metrics import read_metrics
from gptrilogy.runs import Run
from gptrilogy.training.loop import Outcome


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Every batch that training reads from now on."""
    read: list[Tensor] = []
    batch = Loader.batch

    def noted(self: Loader, first_sample: int, batch_size: int) -> Tensor:
        read.append(batch(self, first_sample, batch_size))
        return read[-1]

    monkeypatch.setattr(Loader, "batch", noted)
    return read


@pytest.mark.parametrize(("precision", "steps"), [("fp32", 50), ("bf16", 25)])
def test_stopping_after_every_single_step_changes_no_bit(
    precision: str,
    steps: int,
    new_run: Callable[..., Run],
    train: Callable[..., Outcome],
    batches: list[Tensor],
    assert_equal_runs: Callable[[Run, Run], None],
) -> None:
    changes: Tree = {"train": {"precision": precision, "max_steps": steps}}
    whole, halting = new_run(changes), new_run(changes)
    assert train(whole).finished
    order = batches.copy()
    batches.clear()
    for step in range(1, steps + 1):
        outcome = train(halting, stop_at=step)
        assert outcome.last_row["step"] == step
        assert outcome.finished == (step == steps)
    assert len(batches) == len(order) == 2 * steps
    assert all(map(torch.equal, batches, order))
    assert_equal_runs(whole, halting)
    resumed = [row["step"] for row in read_metrics(halting.metrics_path) if row["event"] == "resume"]
    assert resumed == [*range(1, steps)]


def test_what_a_killed_process_left_beside_a_tokenizer_does_not_get_into_checkpoints(
    new_run: Callable[..., Run], train: Callable[..., Outcome]
) -> None:
    run = new_run()
    (run.tokenizer_folder / ".tokenizer.json.123.tmp").write_text("{")
    train(run, stop_at=1)
    assert [*run.folder.rglob("*.tmp")] == []


@pytest.mark.parametrize("stop_at", [0, 1, 9, 10, 29, 49, 50, 51])
def test_a_run_stopped_once_ends_like_one_that_never_was(
    stop_at: int,
    whole: Run,
    new_run: Callable[..., Run],
    train: Callable[..., Outcome],
    assert_equal_runs: Callable[[Run, Run], None],
) -> None:
    run = new_run()
    assert train(run, stop_at=stop_at).finished == (stop_at >= 50)
    assert train(run).finished
    assert_equal_runs(whole, run)
