"""The loop itself: what it writes down, what it keeps, what it goes back to."""

import errno
import itertools
import math
from collections.abc import Callable

import pytest
import safetensors.torch
import torch

from gptrilogy.checkpoints import best, checkpoint_folders, manifest, read_checkpoint
from gptrilogy.config import Tree, merge
from gptrilogy.errors import CheckpointError
from gptrilogy.metrics import Row, read_metrics
from gptrilogy.models.gpt import GPT
from gptrilogy.runs import Run
from gptrilogy.training import loop
from gptrilogy.training import pretrain as pretraining
from gptrilogy.training.loop import Outcome
from gptrilogy.training.state import load_model
from validations import cut_short, finding

SHORT: Tree = {"train": {"max_steps": 10, "valid_every": 2, "checkpoint_every": 2}}


def test_a_row_of_each_event_holds_what_the_contract_names(whole: Run) -> None:
    rows = read_metrics(whole.metrics_path)
    fields = {row["event"]: set(row) for row in rows}
    place = {"event", "step", "tokens", "elapsed_s"}
    assert fields["train"] == place | {"loss_nats", "lr", "grad_norm", "tokens_per_s"}
    assert fields["valid"] == place | {"loss_nats", "bits_per_byte"}
    assert fields["checkpoint"] == place | {"path"}
    assert fields["end"] == place | {"loss_nats", "bits_per_byte", "epochs", "state_sha256"}
    assert rows[-1]["event"] == "end"
    assert [row["step"] for row in rows if row["event"] == "valid"] == [10, 20, 30, 40, 50]
    assert all(row["tokens"] == row["step"] * 3 * 16 for row in rows)
    assert [row["elapsed_s"] for row in rows] == sorted(row["elapsed_s"] for row in rows)


def test_a_model_learns(whole: Run) -> None:
    losses = [row["loss_nats"] for row in read_metrics(whole.metrics_path) if row["event"] == "valid"]
    assert losses[0] > losses[-1] < math.log(257) / 1.5


def test_the_best_checkpoint_and_the_last_two_are_kept(
    new_run: Callable[..., Run], train: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining, "validate", finding(5.0, 3.0, 4.0, 4.5, 4.2, 4.3))
    run = new_run(SHORT)
    outcome = train(run)
    folders = checkpoint_folders(run.checkpoints_folder)
    assert [manifest(folder)["step"] for folder in folders] == [4, 8, 10]
    assert [manifest(folder)["valid_loss_nats"] for folder in folders] == [3.0, 4.5, 4.2]
    assert outcome.best_checkpoint == folders[0] == best(run.checkpoints_folder)
    assert outcome.last_row["loss_nats"] == 4.3  # of the last validation, on more text


def test_a_validation_that_is_not_finite_is_written_as_null_and_never_the_best(
    new_run: Callable[..., Run], train: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining, "validate", finding(5.0, math.nan, math.inf, 6.0, math.nan, math.nan))
    run = new_run(SHORT)
    outcome = train(run)
    assert outcome.best_checkpoint == run.checkpoint_folder(2)
    written = [row["loss_nats"] for row in read_metrics(run.metrics_path) if row["event"] == "valid"]
    assert written == [5.0, None, None, 6.0, None]


def test_an_hour_between_checkpoints_is_not_risked(
    new_run: Callable[..., Run], train: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, 100)
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))
    run = new_run({"train": {"checkpoint_every": 50, "checkpoint_every_s": 1200}})
    train(run)
    saved = [row["step"] for row in read_metrics(run.metrics_path) if row["event"] == "checkpoint"]
    assert len(saved) > 3
    assert saved[-1] == 50


def test_a_full_disk_stops_the_run_and_leaves_the_checkpoints_there_are(
    whole: Run,
    new_run: Callable[..., Run],
    train: Callable[..., Outcome],
    assert_equal_runs: Callable[[Run, Run], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = new_run()
    train(run, stop_at=10)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(safetensors.torch, "save_file", full)
        with pytest.raises(CheckpointError, match=r"step-00000020: No space left on device"):
            train(run)
    assert [*run.checkpoints_folder.iterdir()] == [run.checkpoint_folder(10)]
    train(run)
    assert_equal_runs(whole, run)


def test_more_steps_go_on_at_the_last_rate_of_the_stored_schedule(
    whole: Run, new_run: Callable[..., Run], train: Callable[..., Outcome], numbers: Callable[[Run], list[Row]]
) -> None:
    run = new_run()
    train(run)
    run.write_config(merge(run.config(), {"train": {"max_steps": 60}}))
    assert train(run).finished
    assert numbers(run)[: len(numbers(whole))] == numbers(whole)
    rates = [row["lr"] for row in numbers(run) if row["event"] == "train"]
    assert rates[49:] == [pytest.approx(1e-3)] * 11


def test_a_finished_run_that_is_resumed_does_nothing_more(
    new_run: Callable[..., Run], train: Callable[..., Outcome]
) -> None:
    run = new_run({"train": {"max_steps": 3}})
    first = train(run)
    rows = read_metrics(run.metrics_path)
    assert train(run) == first
    assert read_metrics(run.metrics_path) == rows


def test_a_last_validation_that_was_cut_short_is_made_up_for(
    new_run: Callable[..., Run], train: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run({"train": {"max_steps": 3}})
    with monkeypatch.context() as stopped:
        stopped.setattr(pretraining, "validate", cut_short)
        assert not train(run).finished
    assert train(run).finished
    assert read_metrics(run.metrics_path)[-1]["loss_nats"] > 0


@pytest.mark.parametrize(("every", "expected"), [(None, [2, 20, 50]), (20, [20, 40])])
def test_samples_come_early_on_the_way_and_at_the_end_and_change_nothing(
    every: int | None,
    expected: list[int],
    whole: Run,
    new_run: Callable[..., Run],
    train: Callable[..., Outcome],
    assert_equal_runs: Callable[[Run, Run], None],
) -> None:
    run, seen = new_run({"train": {"sample_every": every}}), list[int]()

    def sample(model: GPT) -> str:
        seen.append(len(read_metrics(run.metrics_path)))
        return "text"

    train(run, sample=sample)
    steps = [row["step"] for row in read_metrics(run.metrics_path)]
    assert [steps[count - 1] for count in seen] == expected
    assert_equal_runs(whole, run)


def test_a_foreign_checkpoint_is_refused(new_run: Callable[..., Run], train: Callable[..., Outcome]) -> None:
    run, wide = new_run({"train": {"max_steps": 1}}), new_run({"model": {"n_embd": 32}, "train": {"max_steps": 1}})
    for each in (run, wide):
        train(each)
    checkpoint = read_checkpoint(run.checkpoint_folder(1))
    checkpoint.config = read_checkpoint(wide.checkpoint_folder(1)).config
    with pytest.raises(
        CheckpointError, match=r"do not fit the config: h\.0\.attn\.c_attn\.bias has shape \(48,\), expected"
    ):
        load_model(checkpoint, torch.device("cpu"))


def test_a_precision_that_is_slow_here_is_said_where_there_are_steps_to_make(
    new_run: Callable[..., Run], train: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(precision: str, device: torch.device) -> str:
        return f"{precision} is slow on a {device.type}"

    monkeypatch.setattr(loop, "why_slow", slow)
    run, said, later = new_run(SHORT), list[str](), list[str]()
    train(run, warnings=said)
    assert said == ["fp32 is slow on a cpu"]
    train(run, warnings=later)  # nothing is left to do
    assert not later
