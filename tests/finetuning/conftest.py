"""What every test of fine-tuning shares: one thread, no waiting for the disk, and folders for runs."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from gptrilogy.config import Tree
from gptrilogy.evaluation.metrics import bootstrap
from gptrilogy.finetuning import judging
from gptrilogy.runs import Run
from tiny_tuning import ignore, prepared, write_page


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Bits are promised for equal thread counts alone."""
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


@pytest.fixture(scope="module", autouse=True)
def rough_intervals() -> Iterator[None]:
    """Intervals are tested where they are made; here a few resamples do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "bootstrap", partial(bootstrap, resamples=20))
        yield


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("text") / "page")


@pytest.fixture
def new_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Make a run in a folder of its own."""

    def new_run(changes: Tree | None = None, *, pretraining: Path | None = None) -> Run:
        return prepared(tmp_path_factory.mktemp("run"), changes, pretraining=pretraining)

    return new_run
