import subprocess
import sys

import pytest

import gptrilogy.models

CONFIG_MODULES = [
    "gptrilogy.models",
    "gptrilogy.models.config",
    "gptrilogy.scaling",
    "gptrilogy.scaling.compute",
    "gptrilogy.scaling.plan",
    "gptrilogy.generation.config",
    "gptrilogy.recipes",
    "gptrilogy.training.config",
    "gptrilogy.devices",
]


def test_configs_and_arithmetic_load_no_torch() -> None:
    code = f"import sys, {', '.join(CONFIG_MODULES)}; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.split() == ["False"]


def test_the_classes_are_found_when_they_are_asked_for() -> None:
    names = {getattr(gptrilogy.models, name).__name__ for name in ("GPT", "GPTConfig", "KVCache")}
    assert names == {"GPT", "GPTConfig", "KVCache"}
    with pytest.raises(AttributeError, match=r"gptrilogy\.models has no attribute GPT5"):
        _ = gptrilogy.models.GPT5  # pyright: ignore[reportAttributeAccessIssue]
