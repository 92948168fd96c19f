"""Models of every kind, small enough for thousands of texts, over so few tokens that beginnings are shared."""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from gptrilogy.models import GPT, GPTConfig

DENSE = GPTConfig(n_vocab=5, n_ctx=12, n_embd=12, n_head=3, n_layer=2, init_std=0.4)
SPARSE = DENSE.replace(n_layer=3, band_width=3, stride=3, summary_width=1, sub_blocks=2)
KINDS = {
    "gpt2": DENSE,
    "gpt1": DENSE.replace(norm="post", final_norm=False),
    "gpt3": SPARSE.replace(attention="dense,banded"),
    "strided": SPARSE.replace(attention="strided"),
    "fixed": SPARSE.replace(attention="fixed"),
    "mixed": SPARSE.replace(attention="fixed,banded,strided"),
}


@cache
def model_of(kind: str) -> GPT:
    return GPT(KINDS[kind], torch.Generator().manual_seed(0)).eval()


@cache
@torch.inference_mode()
def hidden_of(kind: str, text: tuple[int, ...]) -> Tensor:
    """The last state of a text that is read by itself. Shapes: -> (C,)."""
    return model_of(kind).hidden(torch.tensor([text]))[0, -1]


def beginnings(texts: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Every beginning of any of the texts, in the order of a depth-first walk."""
    return sorted({text[:end] for text in texts for end in range(1, len(text) + 1)})
