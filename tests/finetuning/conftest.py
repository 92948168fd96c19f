"""What every test of fine-tuning shares: one thread, no waiting for the disk, and folders for runs."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tiny_tuning import ignore, prepared, write_page

from gptrilogy.config import Tree
from gptrilogy.runs import Run


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


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("text") / "page")


@pytest.fixture
def new_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Make a run in a folder of its own."""

    def new_run(changes: Tree | None = None, *, pretraining: Path | None = None) -> Run:
        return prepared(tmp_path_factory.mktemp("run"), changes, pretraining=pretraining)

    return new_run
