"""Small GPTs of both layouts, with weights large enough that every path through them shows."""

from collections.abc import Callable

import pytest
import torch

from gptrilogy.models import GPT, GPTConfig


@pytest.fixture(params=["pre", "post"])
def small_config(request: pytest.FixtureRequest) -> GPTConfig:
    """Two layers, once as GPT-2 lays them out and once as GPT-1 does."""
    pre = request.param == "pre"
    sizes = GPTConfig(n_vocab=13, n_ctx=12, n_embd=12, n_head=3, n_layer=2)
    return sizes.replace(norm=request.param, final_norm=pre, scale_residual_init=pre)


@pytest.fixture
def scrambled() -> Callable[[GPTConfig], GPT]:
    """Make a model in which no weight is small and no bias 0, ready for evaluation."""

    def make(config: GPTConfig) -> GPT:
        generator = torch.Generator().manual_seed(1)
        model = GPT(config, generator).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.2)
        return model

    return make
