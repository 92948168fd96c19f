"""A checkpoint of a few thousand random weights, as a run would have left it, made in a moment."""

from pathlib import Path

import torch

from gptrilogy.checkpoints import Checkpoint, write_checkpoint
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.tokenizers import Tokenizer, save_tokenizer
from gptrilogy.training.config import RunConfig


def write_run(folder: Path, tokenizer: Tokenizer, *, n_ctx: int = 32) -> GPT:
    """Make `folder` a run of one checkpoint, and return its model: weights large enough to be sure of something."""
    config = GPTConfig(n_vocab=tokenizer.n_vocab, n_ctx=n_ctx, n_embd=24, n_head=3, n_layer=2, init_std=0.3)
    model = GPT(config, torch.Generator().manual_seed(0)).eval()
    run = RunConfig(model=config).model_dump(mode="json")
    saved = save_tokenizer(tokenizer, folder / "tokenizer").parent
    write_checkpoint(
        folder / "checkpoints" / "step-00000001",
        Checkpoint(run, model.state_dict()),
        tokenizer=saved,
        summary={"step": 1, "valid_loss_nats": None},
    )
    return model
