"""Folders as OpenAI released its models, copies that a test may add to or damage."""

import shutil
from pathlib import Path

import pytest

from openai_folders import GPT2, write_gpt1


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GPT2, tmp_path / "gpt2"))


@pytest.fixture
def gpt1(tmp_path: Path) -> Path:
    return write_gpt1(tmp_path / "gpt1")
