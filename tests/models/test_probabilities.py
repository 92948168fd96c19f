"""Attention probabilities against what the layers themselves compute from them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gptrilogy.errors import PromptError
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.models.attention import CausalSelfAttention, visible
from gptrilogy.models.probabilities import attention_probabilities, probabilities_by_layer

PATTERNS = ("dense", "banded", "strided", "fixed")
SPARSE = GPTConfig(n_vocab=13, n_ctx=40, n_embd=12, n_head=3, n_layer=4).replace(
    attention=PATTERNS, band_width=5, stride=6, summary_width=2
)
IDS = torch.randint(13, (40,), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model(scrambled: Callable[[GPTConfig], GPT]) -> GPT:
    return scrambled(SPARSE)


@torch.no_grad()
def given_and_made(model: GPT, ids: Tensor) -> list[tuple[Tensor, Tensor]]:
    """What each layer's attention was given, and what it made of it."""
    seen: list[tuple[Tensor, Tensor]] = []

    def note(_: nn.Module, arguments: tuple[Tensor], y: Tensor) -> None:
        seen.append((arguments[0], y))

    hooks = [module.register_forward_hook(note) for module in attentions(model)]
    model(ids[None])
    for hook in hooks:
        hook.remove()
    return seen


def attentions(model: GPT) -> list[CausalSelfAttention]:
    return [module for module in model.modules() if isinstance(module, CausalSelfAttention)]


@pytest.mark.parametrize("layer", range(4), ids=PATTERNS)
@pytest.mark.parametrize("T", [1, 4, 29, 40])
@torch.no_grad()
def test_the_values_they_weigh_are_the_layers_output(model: GPT, layer: int, T: int) -> None:
    P = attention_probabilities(model, IDS[:T])[layer]
    x, y = given_and_made(model, IDS[:T])[layer]
    module = attentions(model)[layer]
    v = module.c_attn(x)[0, :, 24:].view(T, 3, 4).transpose(0, 1)  # (H, T, D)
    made = module.c_proj((P @ v).transpose(0, 1).reshape(T, 12))
    torch.testing.assert_close(made, y[0], rtol=0, atol=1e-5)


def test_rows_sum_to_one_over_the_visible_keys_alone(model: GPT) -> None:
    for P, pattern in zip(attention_probabilities(model, IDS), SPARSE.patterns(), strict=True):
        assert P.shape == (3, 40, 40)
        assert P.dtype == torch.float32
        torch.testing.assert_close(P.sum(-1), torch.ones(3, 40), rtol=0, atol=1e-6)
        assert torch.equal(P > 0, visible(40, 40, pattern, 3))


def test_both_layouts_of_norms_are_read(small_config: GPTConfig, scrambled: Callable[[GPTConfig], GPT]) -> None:
    model, ids = scrambled(small_config), torch.arange(12)
    for P, (x, _), module in zip(
        attention_probabilities(model, ids), given_and_made(model, ids), attentions(model), strict=True
    ):
        q, k, _ = module.c_attn(x)[0].view(12, 3, 3, 4).permute(1, 2, 0, 3)
        first = (q[:, 1] * k[:, :2].transpose(0, 1)).sum(-1).T / 2  # query 1 of each head, keys 0 and 1
        torch.testing.assert_close(P[:, 1, :2], first.softmax(-1), rtol=0, atol=1e-6)


def test_some_layers_in_any_order_and_a_row_of_ids_or_a_batch_of_one(model: GPT) -> None:
    every = attention_probabilities(model, IDS)
    third, first, again = probabilities_by_layer(model, IDS[None], [2, 0, 2])
    assert torch.equal(third, every[2])
    assert torch.equal(again, every[2])
    assert torch.equal(first, every[0])


def test_the_model_keeps_no_hook(model: GPT) -> None:
    attention_probabilities(model, IDS)
    with pytest.raises(PromptError, match="41 tokens are more"):
        attention_probabilities(model, torch.zeros(41, dtype=torch.long))
    hooks = [module._forward_pre_hooks for module in model.modules()]  # pyright: ignore[reportPrivateUsage] - no other way
    assert not any(hooks)
