"""Ctrl-C and SIGTERM: the step at hand is finished or dropped, then everything is saved."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gptrilogy.checkpoints import checkpoint_folders, manifest
from gptrilogy.data.loader import Loader
from gptrilogy.metrics import read_metrics
from gptrilogy.runs import Run
from gptrilogy.training.loop import Outcome
from gptrilogy.training.signals import StopRequest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_moment_ends_the_run_at_most_one_step_later(
    number: signal.Signals,
    whole: Run,
    new_run: Callable[..., Run],
    spawn: Callable[[Run], int],
    reap: Callable[[], int],
    assert_equal_runs: Callable[[Run, Run], None],
) -> None:
    run, moments = new_run(), random.Random(int(number))
    for step in range(1, 46, 9):
        process = spawn(run)
        wait_for(run, step + moments.randrange(4))
        time.sleep(moments.uniform(0, 0.02))
        seen = freeze(process, run)
        os.kill(process, number)
        os.kill(process, signal.SIGCONT)
        assert reap() == 128 + number
        saved = manifest(checkpoint_folders(run.checkpoints_folder)[-1])["step"]
        assert saved == steps(run)
        assert seen <= saved <= seen + 1
    spawn(run)
    assert reap() == 0
    assert_equal_runs(whole, run)


def test_a_second_signal_does_not_wait(
    new_run: Callable[..., Run], spawn: Callable[[Run], int], reap: Callable[[], int]
) -> None:
    run = new_run()
    process = spawn(run)
    wait_for(run, 2)
    freeze(process, run)
    os.kill(process, signal.SIGTERM)
    os.kill(process, signal.SIGINT)
    os.kill(process, signal.SIGCONT)
    assert reap() in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    assert checkpoint_folders(run.checkpoints_folder) == []


@pytest.mark.parametrize("step", [0, 1, 10, 23])
def test_a_stop_between_micro_batches_leaves_the_step_unmade(
    step: int,
    whole: Run,
    new_run: Callable[..., Run],
    train: Callable[..., Outcome],
    last_state: Callable[[Run], dict[str, Tensor]],
    assert_equal_runs: Callable[[Run, Run], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, batch = StopRequest(), Loader.batch

    def batch_then_signal(self: Loader, first_sample: int, batch_size: int) -> Tensor:
        if first_sample == 3 * step:
            stop.number = signal.SIGTERM
        return batch(self, first_sample, batch_size)

    interrupted, stopped = new_run(), new_run()
    with monkeypatch.context() as loader:
        loader.setattr(Loader, "batch", batch_then_signal)
        outcome = train(interrupted, stop=stop)
        assert torch.equal(torch.get_rng_state(), last_state(interrupted)["generator.cpu"])
    train(stopped, stop_at=step)
    assert not outcome.finished
    assert steps(interrupted) == step
    assert_equal_runs(stopped, interrupted)  # the random generator too
    train(interrupted)
    assert_equal_runs(whole, interrupted)


def test_a_request_has_the_name_and_the_exit_code_of_its_signal() -> None:
    before = [signal.getsignal(number) for number in StopRequest.SIGNALS]
    with StopRequest() as stop:
        assert not stop
        assert (stop.name, stop.exit_code) == ("nothing", 0)
        signal.raise_signal(signal.SIGINT)
        assert stop
        assert (stop.name, stop.exit_code) == ("SIGINT", 130)
    assert [signal.getsignal(number) for number in StopRequest.SIGNALS] == before
    stop.number = signal.SIGTERM
    assert (stop.name, stop.exit_code) == ("SIGTERM", 143)


def steps(run: Run) -> int:
    """Finished steps, by the log."""
    return max((row["step"] for row in read_metrics(run.metrics_path) if row["event"] == "train"), default=0)


def wait_for(run: Run, step: int) -> None:
    while steps(run) < step:
        time.sleep(0.001)


def freeze(process: int, run: Run) -> int:
    """Stop a process in its tracks, so that nothing moves between this look and a signal; -> finished steps."""
    os.kill(process, signal.SIGSTOP)
    while Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)
    return steps(run)
