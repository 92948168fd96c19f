"""What a state may take of the machine."""

import pytest
import torch

from gptrilogy.config import parse
from gptrilogy.errors import ConfigError
from gptrilogy.training import state
from gptrilogy.training.config import RunConfig
from gptrilogy.training.state import fresh_state

MODEL = {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_ctx": 16, "n_vocab": 257}


@pytest.mark.parametrize(("optimizer", "bytes_a_weight"), [("adamw", 16), ("muon", 12)])
def test_a_model_too_large_for_the_machine_is_refused_before_it_is_made(
    optimizer: str, bytes_a_weight: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parse(RunConfig, {"model": MODEL, "train": {"optimizer": optimizer}})
    made = fresh_state(config, torch.device("cpu"))
    needed = bytes_a_weight * sum(weight.numel() for weight in made.model.parameters())
    monkeypatch.setattr(state, "memory_bytes", lambda: needed)
    fresh_state(config, torch.device("cpu"))
    monkeypatch.setattr(state, "memory_bytes", lambda: needed - 1)
    with pytest.raises(ConfigError, match=r"a model of [\d,]+ weights takes 0\.0 GB to train .*: choose a smaller one"):
        fresh_state(config, torch.device("cpu"))


def test_a_model_of_any_size_is_refused_at_once() -> None:
    config = parse(RunConfig, {"model": {**MODEL, "n_layer": 10_000, "n_embd": 16_384, "n_head": 16}})
    with pytest.raises(ConfigError, match=r"takes .* GB to train with its gradients and moments, and this machine has"):
        fresh_state(config, torch.device("cpu"))
