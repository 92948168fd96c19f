import pytest
import torch

from gptrilogy.models import GPT, GPTConfig


@pytest.fixture(scope="session")
def model() -> GPT:
    """A model of odd sizes that knows 257 tokens, those of `BytesTokenizer`, and is sure of nothing."""
    config = GPTConfig(n_vocab=257, n_ctx=37, n_embd=30, n_head=3, n_layer=2, init_std=0.3)
    return GPT(config, torch.Generator().manual_seed(0)).eval()
