"""A model of a few thousand weights on a page of text: whole runs, begun, stopped and resumed, in a second."""

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gptrilogy.checkpoints import checkpoint_folders, read_checkpoint
from gptrilogy.config import Tree, merge, parse
from gptrilogy.data.shards import PackedData, open_shards
from gptrilogy.metrics import Row, read_metrics
from gptrilogy.models.gpt import GPT
from gptrilogy.runs import Run
from gptrilogy.training.config import RunConfig
from gptrilogy.training.loop import Outcome
from gptrilogy.training.preparation import prepare, survey
from gptrilogy.training.pretrain import pretrain
from gptrilogy.training.progress import ConsoleReporter
from gptrilogy.training.resolve import resolve
from gptrilogy.training.signals import StopRequest

WORDS = ["a", "truth", "universally", "acknowledged", "single", "man", "in", "possession", "of", "good", "fortune"]
TINY: Tree = {
    "tokenizer": "bytes",
    "model": {"n_layer": 2, "n_embd": 16, "n_head": 2, "n_ctx": 16, "dropout": 0.1},
    "train": {
        "max_steps": 50,
        "batch_size": 3,
        "micro_batch_size": 2,  # uneven portions
        "learning_rate": 1e-2,
        "warmup_steps": 5,
        "precision": "fp32",
        "valid_every": 10,
        "valid_windows": 4,
        "checkpoint_every": 10,
    },
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As the trainers in other processes have: bits are promised for equal thread counts alone."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def no_power_cut() -> Iterator[None]:
    """Nothing here tests what a power cut leaves, so nothing waits for the disk."""
    with pytest.MonkeyPatch.context() as disk:
        disk.setattr(os, "fsync", ignore)
        yield


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text file of about one kilobyte, which fifty steps of `TINY` read more than twice."""
    path = tmp_path_factory.mktemp("text") / "page.txt"
    path.write_text(" ".join(random.Random(0).choices(WORDS, k=180)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def new_run(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Make a run that is ready to train: `TINY` with some fields changed, resolved, its text packed."""

    def new_run(changes: Tree | None = None) -> Run:
        config = parse(RunConfig, merge(merge(TINY, {"data": {"sources": (str(page),)}}), changes or {}))
        run = Run.create(tmp_path_factory.mktemp("run"), config.model_dump(mode="json"), {})
        _, data = prepare(config, survey(config.data, config.seed, ignore), run, ignore, ignore)
        run.write_config(resolve(config, data)[0].model_dump(mode="json"))
        return run

    return new_run


@pytest.fixture(scope="session")
def train() -> Callable[..., Outcome]:
    """Train a run, from its newest checkpoint if it has one; warnings are gathered in a list."""

    def train(
        run: Run,
        *,
        stop_at: int | None = None,
        stop: StopRequest | None = None,
        warnings: list[str] | None = None,
        sample: Callable[[GPT], str] | None = None,
    ) -> Outcome:
        listener = Listener([] if warnings is None else warnings)
        config, data = parse(RunConfig, run.config()), packed(run)
        stop = StopRequest() if stop is None else stop  # a request not yet made is false
        torch.seed()  # nothing is left of the random numbers before, as in a process of its own
        return pretrain(config, run, data, listener, stop, stop_at=stop_at, sample=sample)

    return train


@pytest.fixture(scope="module")
def whole(new_run: Callable[..., Run], train: Callable[..., Outcome]) -> Run:
    """A run of fifty steps that nothing interrupted."""
    run = new_run()
    assert train(run).finished
    return run


@pytest.fixture(scope="session")
def last_state() -> Callable[[Run], dict[str, Tensor]]:
    """Everything the last checkpoint holds in tensors: weights, optimizer moments and random generators."""

    def last_state(run: Run) -> dict[str, Tensor]:
        checkpoint = read_checkpoint(checkpoint_folders(run.checkpoints_folder)[-1])
        return {**checkpoint.model, **checkpoint.train_tensors}

    return last_state


@pytest.fixture(scope="session")
def numbers() -> Callable[[Run], list[Row]]:
    """The rows of training and validation without what the clock decides."""

    def numbers(run: Run) -> list[Row]:
        rows = [row for row in read_metrics(run.metrics_path) if row["event"] in ("train", "valid")]
        return [{key: row[key] for key in row if key not in ("elapsed_s", "tokens_per_s")} for row in rows]

    return numbers


@pytest.fixture(scope="session")
def assert_equal_runs(
    last_state: Callable[[Run], dict[str, Tensor]], numbers: Callable[[Run], list[Row]]
) -> Callable[[Run, Run], None]:
    """Two runs logged the same numbers and ended in the same state, to the bit."""

    def assert_equal_runs(one: Run, other: Run) -> None:
        assert numbers(one) == numbers(other)
        left, right = last_state(one), last_state(other)
        assert left.keys() == right.keys()
        assert [name for name in left if not torch.equal(left[name], right[name])] == []

    return assert_equal_runs


@pytest.fixture(scope="session")
def trainer() -> Iterator["subprocess.Popen[str]"]:
    """The process of `trainer.py`, which has imported torch and waits for runs to train."""
    script = Path(__file__).with_name("trainer.py")
    with subprocess.Popen(
        [sys.executable, script], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()


@pytest.fixture(scope="session")
def spawn(trainer: "subprocess.Popen[str]") -> Callable[[Run], int]:
    """Begin or resume a run in a process of its own; -> its process id."""

    def spawn(run: Run) -> int:
        assert trainer.stdin
        assert trainer.stdout
        print(json.dumps(str(run.folder)), file=trainer.stdin, flush=True)
        return int(trainer.stdout.readline())

    return spawn


@pytest.fixture(scope="session")
def reap(trainer: "subprocess.Popen[str]") -> Callable[[], int]:
    """Wait for the spawned process to end; -> its exit code, negative for the signal that killed it."""

    def reap() -> int:
        assert trainer.stdout
        return int(trainer.stdout.readline())

    return reap


class Listener(ConsoleReporter):
    """A reporter to nobody, which keeps the warnings."""

    def __init__(self, warnings: list[str]) -> None:
        super().__init__(stream=io.StringIO())
        self.warnings = warnings

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def packed(run: Run) -> PackedData:
    return open_shards(run.data_folder, fingerprint=None)


def ignore(what: object) -> None: ...
