"""What each head makes of each key: attention probabilities, which the fast kernels never write out."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from gptrilogy.models.attention import CausalSelfAttention, visible
from gptrilogy.models.gpt import GPT


def attention_probabilities(model: GPT, ids: Tensor) -> list[Tensor]:
    """The probabilities of every layer for one text; a model with dropout must be in `eval` mode.

    Shapes: ids (T,) or (1, T) -> n_layer x (H, T, T), fp32.
    Raises: PromptError where T is more than n_ctx.
    """
    return list(probabilities_by_layer(model, ids, range(model.config.n_layer)))


def probabilities_by_layer(model: GPT, ids: Tensor, layers: Sequence[int]) -> Iterator[Tensor]:
    """`attention_probabilities` of some layers, of which only one need be in memory at a time."""
    modules = [_attention(model, layer) for layer in layers]
    return (_probabilities(module, x) for module, x in zip(modules, _inputs(model, modules, ids), strict=True))


@torch.no_grad()
def _inputs(model: GPT, modules: Sequence[nn.Module], ids: Tensor) -> list[Tensor]:
    """What each module is given when the model reads a text. Shapes: -> len(modules) x (T, C)."""
    given: dict[nn.Module, Tensor] = {}

    def note(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        given[module] = arguments[0][0]

    hooks = [module.register_forward_pre_hook(note) for module in {*modules}]
    try:
        model.hidden(ids.view(1, -1))
    finally:
        for hook in hooks:
            hook.remove()
    return [given[module] for module in modules]


@torch.no_grad()
def _probabilities(attention: CausalSelfAttention, x: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(D)) over the visible keys. Shapes: x (T, C) -> (H, T, T)."""
    T, H = len(x), attention.n_head
    q, k, _ = attention.c_attn(x).float().view(T, 3, H, -1).permute(1, 2, 0, 3)  # 3 x (H, T, D)
    scores = q @ k.mT / math.sqrt(q.shape[-1])  # (H, T, T)
    return scores.masked_fill_(~visible(T, T, attention.pattern, H, x.device), -math.inf).softmax(-1)


def _attention(model: GPT, layer: int) -> CausalSelfAttention:
    module = model.get_submodule(f"h.{layer}.attn")
    assert isinstance(module, CausalSelfAttention)
    return module
