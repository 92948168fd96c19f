"""Runs in processes of their own, killed without warning, started under odd circumstances."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from gptrilogy.metrics import read_metrics
from gptrilogy.runs import Run

KILLS = 15


def test_a_run_killed_over_and_over_ends_like_one_that_never_was(
    whole: Run,
    new_run: Callable[..., Run],
    spawn: Callable[[Run], int],
    reap: Callable[[], int],
    assert_equal_runs: Callable[[Run, Run], None],
) -> None:
    run, moments = new_run({"train": {"checkpoint_every": 2}}), random.Random(0)
    for _ in range(KILLS):
        process = spawn(run)
        known, patience = len(read_metrics(run.metrics_path)), moments.randrange(6)
        while len(read_metrics(run.metrics_path)) < known + patience and not finished(run):
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.03))
        with suppress(ProcessLookupError):  # it has finished
            os.kill(process, signal.SIGKILL)
        assert reap() in (-signal.SIGKILL, 0)
    spawn(run)
    assert reap() == 0
    assert finished(run)
    assert_equal_runs(whole, run)
    assert [*run.folder.rglob("*.tmp")] == []


def test_two_processes_with_one_seed_reach_the_same_bits_and_another_seed_others(
    whole: Run,
    new_run: Callable[..., Run],
    spawn: Callable[[Run], int],
    reap: Callable[[], int],
    last_state: Callable[[Run], dict[str, Tensor]],
    assert_equal_runs: Callable[[Run, Run], None],
) -> None:
    again, other = new_run(), new_run({"seed": 1})
    for run in (again, other):
        spawn(run)
        assert reap() == 0
    assert_equal_runs(whole, again)
    assert not torch.equal(last_state(whole)["wte.weight"], last_state(other)["wte.weight"])


def test_odd_machines_train_to_the_same_bits(
    whole: Run, new_run: Callable[..., Run], tmp_path: Path, assert_equal_runs: Callable[[Run, Run], None]
) -> None:
    here = tmp_path / "read-only"
    here.mkdir(mode=0o500)
    kept = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(Path.home() / ".cache")}  # what compiled kernels need
    odd = {"TZ": "Pacific/Chatham", "LC_ALL": "C", "PYTHONHASHSEED": "7", **kept}
    run = new_run()
    script = Path(__file__).with_name("trainer.py")
    found = subprocess.run(
        [sys.executable, "-X", "dev", script],
        input=json.dumps(str(run.folder)),
        env=odd,
        cwd=here,
        text=True,
        capture_output=True,
        check=True,
    )
    assert found.stdout.splitlines()[1:] == ["0"]
    assert found.stderr == ""
    assert_equal_runs(whole, run)
    assert [*here.iterdir()] == []


def finished(run: Run) -> bool:
    rows = read_metrics(run.metrics_path)
    return bool(rows) and rows[-1]["event"] == "end"
