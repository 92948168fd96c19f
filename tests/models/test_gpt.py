"""The model against the papers' sizes, against Hugging Face's classes, and against itself with a cache."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gptrilogy.models import GPT, GPTConfig, KVCache
from gptrilogy.scaling.compute import n_parameters

PARAMETERS = {
    "gpt1": 116_534_784,
    "gpt2-small": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "gpt3-small": 125_226_240,
    "gpt3-medium": 355_871_744,
    "gpt3-large": 760_300_032,
    "gpt3-xl": 1_315_723_264,
    "gpt3-2.7b": 2_651_553_280,
    "gpt3-6.7b": 6_658_404_352,
    "gpt3-13b": 12_853_386_240,
    "gpt3-175b": 174_604_259_328,
}
PARITY_SIZES = [
    {"n_vocab": 17, "n_ctx": 8, "n_embd": 6, "n_head": 1, "n_layer": 1},
    {"n_vocab": 50, "n_ctx": 20, "n_embd": 12, "n_head": 3, "n_layer": 2},
    {"n_vocab": 211, "n_ctx": 40, "n_embd": 48, "n_head": 4, "n_layer": 3},
]


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_a_preset_has_the_papers_number_of_parameters(name: str, count: int) -> None:
    config = GPTConfig.preset(name)
    with torch.device("meta"):
        model = GPT(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == count
    assert n_parameters(config) == count


# Parity: their weights under our names, then equal logits and equal gradients.


def hf_gpt2(config: GPTConfig) -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(bos_token_id=0, eos_token_id=0, **hf_sizes(config)))


def hf_gpt1(config: GPTConfig) -> nn.Module:
    from transformers import OpenAIGPTConfig, OpenAIGPTLMHeadModel

    return OpenAIGPTLMHeadModel(OpenAIGPTConfig(**hf_sizes(config)))


def hf_sizes(config: GPTConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.n_vocab,
        "n_positions": config.n_ctx,
        "n_embd": config.n_embd,
        "n_head": config.n_head,
        "n_layer": config.n_layer,
        "attn_implementation": "eager",
    }


def our_name(theirs: str) -> str:
    name = theirs.removeprefix("transformer.")
    return name.replace("tokens_embed", "wte").replace("positions_embed", "wpe")


def in_our_layout(tensors: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """Tensors by our names; their projections are stored (in, out), ours (out, in)."""
    renamed = {our_name(name): tensor for name, tensor in tensors.items() if tensor is not None}
    return {name: x.t() if ".c_" in name and x.dim() == 2 else x for name, x in renamed.items()}


@pytest.fixture(params=PARITY_SIZES, ids=lambda sizes: f"width {sizes['n_embd']}")
def sizes(request: pytest.FixtureRequest) -> dict[str, int]:
    return request.param


@pytest.mark.parametrize(
    ("reference", "layout"),
    [
        (hf_gpt2, {"norm": "pre", "final_norm": True}),
        (hf_gpt1, {"norm": "post", "final_norm": False}),
    ],
    ids=["GPT-2", "GPT-1"],
)
def test_logits_and_gradients_equal_transformers(
    reference: Callable[[GPTConfig], nn.Module], layout: dict[str, object], sizes: dict[str, int]
) -> None:
    config = GPTConfig().replace(**sizes, **layout)
    torch.manual_seed(0)
    theirs = reference(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():  # theirs begin with biases of 0, which would hide a lost one
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    ours = GPT(config).eval()
    ours.load_state_dict(in_our_layout(dict(theirs.named_parameters())))

    ids = torch.randint(config.n_vocab, (3, config.n_ctx))
    upstream = torch.randn(3, config.n_ctx, config.n_vocab)
    our_logits, their_logits = ours(ids), theirs(ids).logits
    torch.testing.assert_close(our_logits, their_logits, rtol=0, atol=1e-5)

    (our_logits * upstream).mean().backward()
    (their_logits * upstream).mean().backward()
    their_gradients = in_our_layout({name: parameter.grad for name, parameter in theirs.named_parameters()})
    our_gradients = {name: parameter.grad for name, parameter in ours.named_parameters()}
    assert our_gradients.keys() == their_gradients.keys()
    for name, gradient in our_gradients.items():
        torch.testing.assert_close(gradient, their_gradients[name], rtol=1e-4, atol=1e-4 * scale(their_gradients[name]))


def scale(gradient: Tensor) -> float:
    """The size of a gradient's largest entry, but never so small that rounding errors count."""
    return max(float(gradient.abs().max()), 1e-4)


# GPT-Neo alternates as GPT-3 does: global layers, and local ones whose queries see `window_size` keys.


def hf_gpt_neo(config: GPTConfig) -> nn.Module:
    from transformers import GPTNeoConfig, GPTNeoForCausalLM

    sizes: dict[str, Any] = {
        "vocab_size": config.n_vocab,
        "max_position_embeddings": config.n_ctx,
        "hidden_size": config.n_embd,
        "num_heads": config.n_head,
        "num_layers": config.n_layer,
        "attention_types": [[["global", "local"], config.n_layer // 2]],
        "window_size": config.band_width,
        "attn_implementation": "eager",
    }
    return GPTNeoForCausalLM(GPTNeoConfig(bos_token_id=0, eos_token_id=0, **sizes))


def of_gpt_neo(tensors: Mapping[str, Tensor | None], n_layer: int, query_scale: float) -> dict[str, Tensor]:
    """Tensors by our names; its q, k and v are three projections without biases, and its q is not scaled."""
    named = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items() if tensor is not None}
    ours = {name.replace("attn.attention.out_proj", "attn.c_proj"): x for name, x in named.items()}
    for layer in range(n_layer):
        prefix = f"h.{layer}.attn."
        q, k, v = (ours.pop(f"{prefix}attention.{which}_proj.weight") for which in "qkv")
        ours[f"{prefix}c_attn.weight"] = torch.cat([q * query_scale, k, v])
        ours[f"{prefix}c_attn.bias"] = torch.zeros(3 * len(q))
    return ours


@pytest.mark.parametrize(
    ("n_head", "n_layer", "n_ctx", "window"), [(3, 2, 20, 5), (3, 4, 40, 7), (1, 2, 30, 1), (3, 2, 20, 19)]
)
def test_alternating_dense_and_banded_layers_equal_gpt_neo(n_head: int, n_layer: int, n_ctx: int, window: int) -> None:
    config = GPTConfig(n_vocab=50, n_ctx=n_ctx, n_embd=12, n_head=n_head, n_layer=n_layer).replace(
        attention="dense,banded", band_width=window
    )
    torch.manual_seed(0)
    theirs = hf_gpt_neo(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    root_d = (config.n_embd // n_head) ** 0.5
    ours = GPT(config).eval()
    ours.load_state_dict(of_gpt_neo(dict(theirs.named_parameters()), n_layer, root_d))

    ids = torch.randint(config.n_vocab, (3, n_ctx))
    upstream = torch.randn(3, n_ctx, config.n_vocab)
    our_logits, their_logits = ours(ids), theirs(ids).logits
    torch.testing.assert_close(our_logits, their_logits, rtol=0, atol=1e-5)

    (our_logits * upstream).mean().backward()
    (their_logits * upstream).mean().backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    their_gradients = of_gpt_neo(gradients, n_layer, 1 / root_d)  # of a weight root_d as large
    for name, parameter in ours.named_parameters():
        if not name.endswith("c_attn.bias"):  # which theirs lacks
            expected = their_gradients[name]
            torch.testing.assert_close(parameter.grad, expected, rtol=1e-4, atol=1e-4 * scale(expected))

    one_key_more = GPT(config.replace(band_width=window + 1)).eval()
    one_key_more.load_state_dict(ours.state_dict())
    assert (one_key_more(ids) - their_logits).abs().max() > 1e-3  # the comparison would show a window off by one


# Structure.


def test_a_token_sees_nothing_that_comes_after_it(
    scrambled: Callable[[GPTConfig], GPT], small_config: GPTConfig
) -> None:
    model = scrambled(small_config)
    ids = torch.randint(13, (1, 12), generator=torch.Generator().manual_seed(2))
    changed = torch.cat([ids[:, :7], (ids[:, 7:] + 1) % 13], 1)
    before, after = model(ids), model(changed)
    torch.testing.assert_close(after[:, :7], before[:, :7], rtol=0, atol=1e-6)
    assert (after[:, 7:] - before[:, 7:]).abs().amax(-1).min() > 1e-3


def test_dropout_works_in_training_and_rests_in_evaluation() -> None:
    model = GPT(GPTConfig(n_vocab=13, n_ctx=12, n_embd=12, n_head=3, n_layer=2, dropout=0.5))
    ids = torch.arange(12)[None]
    assert not torch.equal(model(ids), model(ids))
    model.eval()
    assert torch.equal(model(ids), model(ids))


def test_the_loss_is_the_mean_of_the_tokens_nats(
    scrambled: Callable[[GPTConfig], GPT], small_config: GPTConfig
) -> None:
    model = scrambled(small_config)
    ids = torch.randint(13, (3, 13), generator=torch.Generator().manual_seed(3))
    nats = model.token_nats(ids)
    whole = -model(ids[:, :-1]).log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    torch.testing.assert_close(nats, whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(model.loss(ids), nats.mean())
    first_half = (torch.arange(12) < 6).expand(3, 12)
    torch.testing.assert_close(model.loss(ids, first_half), nats[:, :6].mean())


# The cache.


def test_cached_decoding_gives_the_same_logits(scrambled: Callable[[GPTConfig], GPT], small_config: GPTConfig) -> None:
    model = scrambled(small_config)
    ids = torch.randint(13, (4, 12), generator=torch.Generator().manual_seed(4))
    cache = KVCache(small_config, 4, like=model.wte.weight)
    with torch.no_grad():
        one_by_one = torch.cat([model.logits(model.hidden(ids[:, t : t + 1], cache)) for t in range(12)], 1)
        torch.testing.assert_close(one_by_one, model(ids), rtol=0, atol=1e-5)
    assert cache.lengths == [12] * 4


def test_a_cache_may_be_filled_in_portions_of_any_size(
    scrambled: Callable[[GPTConfig], GPT], small_config: GPTConfig
) -> None:
    model = scrambled(small_config)
    ids = torch.randint(13, (2, 12), generator=torch.Generator().manual_seed(5))
    cache = KVCache(small_config, 2, like=model.wte.weight)
    with torch.no_grad():
        portions = torch.cat([model.logits(model.hidden(part, cache)) for part in ids.split([5, 1, 4, 2], 1)], 1)
        torch.testing.assert_close(portions, model(ids), rtol=0, atol=1e-5)


def test_rows_of_different_lengths_each_continue_their_own_text(
    scrambled: Callable[[GPTConfig], GPT], small_config: GPTConfig
) -> None:
    model = scrambled(small_config)
    generator = torch.Generator().manual_seed(6)
    texts = [torch.randint(13, (1, length), generator=generator) for length in (1, 11, 4)]
    cache = KVCache(small_config, 3, like=model.wte.weight)
    with torch.no_grad():
        for row, text in enumerate(texts):
            alone = KVCache(small_config, 1, like=model.wte.weight, capacity=11)
            model.hidden(text, alone)
            cache.put(row, alone)
        newest = torch.tensor([[3], [5], [7]])
        continued = model.logits(model.hidden(newest, cache))[:, 0]
        for row, text in enumerate(texts):
            whole = model(torch.cat([text, newest[row : row + 1]], 1))[0, -1]
            torch.testing.assert_close(continued[row], whole, rtol=0, atol=1e-5)
    assert cache.lengths == [2, 12, 5]
