import pytest
import torch

from gptrilogy.models import GPT, GPTConfig


@pytest.fixture(scope="session")
def model() -> GPT:
    """A model of odd sizes that knows 257 tokens, those of `BytesTokenizer`, and is sure of nothing."""
    config = GPTConfig(n_vocab=257, n_ctx=37, n_embd=30, n_head=3, n_layer=2, init_std=0.3)
    return GPT(config, torch.Generator().manual_seed(0)).eval()


SPARSE = ["dense,banded", "banded", "strided", "fixed", "fixed,banded,strided"]


@pytest.fixture(params=SPARSE)
def sparse_model(request: pytest.FixtureRequest) -> GPT:
    """A model as sure of nothing, whose layers see a part of their past; its context is no multiple of their sizes."""
    config = GPTConfig(n_vocab=257, n_ctx=37, n_embd=30, n_head=3, n_layer=3, init_std=0.3).replace(
        attention=request.param, band_width=6, stride=5, summary_width=2, sub_blocks=2
    )
    return GPT(config, torch.Generator().manual_seed(0)).eval()
