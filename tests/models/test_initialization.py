"""Initial weights against the papers; of 10,000 draws and more, a fair deviation is off by 5 percent with p < 1e-11."""

import math

import pytest
import torch

from gptrilogy.models import GPT, GPTConfig

MID = {"n_vocab": 500, "n_ctx": 160, "band_width": 40, "n_embd": 96, "n_head": 4, "n_layer": 3}


@pytest.fixture(params=["gpt1", "gpt2-small", "gpt3-small"])
def config(request: pytest.FixtureRequest) -> GPTConfig:
    return GPTConfig.preset(request.param).replace(**MID)


@pytest.fixture
def model(config: GPTConfig) -> GPT:
    return GPT(config, torch.Generator().manual_seed(0))


def expected_std(name: str, config: GPTConfig) -> float:
    is_gpt1 = config.norm == "post"
    if name == "wpe.weight":
        return 0.02 if is_gpt1 else 0.01
    if name.endswith("c_proj.weight") and not is_gpt1:
        return 0.02 / math.sqrt(6)  # two sums in each of three blocks
    return 0.02


def test_every_weight_is_drawn_as_wide_as_its_paper_says(model: GPT, config: GPTConfig) -> None:
    matrices = {name: x for name, x in model.named_parameters() if x.dim() == 2}
    assert len(matrices) == 2 + 3 * 4
    for name, x in matrices.items():
        std, n = expected_std(name, config), x.numel()
        assert math.isclose(x.std().item(), std, rel_tol=0.05), name
        assert abs(x.mean().item()) < 6 * std / math.sqrt(n), name  # p < 1e-8


def test_weights_are_normal_not_uniform(model: GPT) -> None:
    x = model.wte.weight.flatten()
    kurtosis = (x / x.std()).pow(4).mean().item()
    assert abs(kurtosis - 3) < 5 * math.sqrt(24 / x.numel())  # p < 1e-6; a uniform law has 1.8


def test_biases_begin_at_0_and_gains_at_1(model: GPT) -> None:
    vectors = {name: x for name, x in model.named_parameters() if x.dim() == 1}
    assert {name: set(x.tolist()) for name, x in vectors.items()} == {
        name: {0.0} if name.endswith("bias") else {1.0} for name in vectors
    }


def test_the_residual_scale_of_gpt2_is_as_computed_from_its_depth() -> None:
    """0.02 / sqrt(2 L) for the 12, 24, 36 and 48 layers of GPT-2."""
    depths = (GPTConfig.preset(f"gpt2-{size}").n_layer for size in ("small", "medium", "large", "xl"))
    for n_layer, std in zip(depths, (0.00408, 0.00289, 0.00236, 0.00204), strict=True):
        thin = GPTConfig(n_vocab=2, n_ctx=1, n_embd=32, n_head=1, n_layer=n_layer)
        blocks = GPT(thin, torch.Generator().manual_seed(0)).h
        drawn = torch.cat([block.get_parameter("mlp.c_proj.weight").flatten() for block in blocks])
        assert math.isclose(drawn.std().item(), std, rel_tol=0.05)


def test_the_same_seed_gives_the_same_bits(config: GPTConfig, model: GPT) -> None:
    again, other = (GPT(config, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    same = [torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(model.wte.weight, other.wte.weight)


def test_a_model_with_its_own_generator_leaves_the_global_one_alone(config: GPTConfig) -> None:
    """Layers draw their own default weights first; those must not decide ours."""
    torch.manual_seed(1)
    first = GPT(config, torch.Generator().manual_seed(5))
    torch.manual_seed(2)
    second = GPT(config, torch.Generator().manual_seed(5))
    assert torch.equal(first.wte.weight, second.wte.weight)
    assert torch.equal(first.h[2].get_parameter("mlp.c_proj.weight"), second.h[2].get_parameter("mlp.c_proj.weight"))
