import math

import pytest

from gptrilogy.models.config import PRESETS, GPTConfig
from gptrilogy.scaling.compute import (
    PF_DAY_FLOPS,
    forward_flops_per_token,
    n_non_embedding,
    n_parameters,
    parameters_by_part,
    training_flops_per_token,
)

GPT2_SMALL = GPTConfig.preset("gpt2-small")


def test_gpt2_small_adds_up_by_hand() -> None:
    assert parameters_by_part(GPT2_SMALL) == {
        "token embedding (tied output)": 38_597_376,  # 50,257 x 768
        "position embedding": 786_432,  # 1,024 x 768
        "attention": 28_348_416,  # 12 x (1,771,776 + 590,592)
        "feed-forward": 56_669_184,  # 12 x (2,362,368 + 2,360,064)
        "layer norms": 38_400,  # 25 x 1,536
    }
    assert n_non_embedding(GPT2_SMALL) == 84_934_656  # 12 x 12 x 768^2


def test_gpt1_has_no_last_norm() -> None:
    assert parameters_by_part(GPTConfig.preset("gpt1"))["layer norms"] == 24 * 1_536


def test_the_operations_of_gpt2_small_are_as_by_hand() -> None:
    # 2 x 84,934,656 of the matrices, 2 x 12 x 1,024 x 768 of attention
    assert forward_flops_per_token(GPT2_SMALL) == 188_743_680
    # and 2 x 50,257 x 768 of the output layer, all of it three times
    assert training_flops_per_token(GPT2_SMALL) == 3 * (188_743_680 + 77_194_752)


@pytest.mark.parametrize("name", ["gpt3-13b", "gpt3-175b"])
def test_training_is_about_6_n_d_where_the_width_outgrows_the_context(name: str) -> None:
    """Kaplan 2020 §2.1: the context's term is negligible where n_embd >> n_ctx / 12."""
    config = GPTConfig.preset(name)
    assert math.isclose(3 * forward_flops_per_token(config), 6 * n_non_embedding(config), rel_tol=0.04)
    assert math.isclose(training_flops_per_token(config), 6 * n_parameters(config), rel_tol=0.04)


@pytest.mark.parametrize("name", PRESETS)
def test_the_context_of_a_dense_model_adds_n_ctx_over_6_widths_and_nothing_else(name: str) -> None:
    config = GPTConfig.preset(name).replace(attention="dense")
    share = forward_flops_per_token(config) / (2 * n_non_embedding(config)) - 1
    assert math.isclose(share, config.n_ctx / (12 * config.n_embd), rel_tol=1e-9)


def test_every_second_layer_of_gpt3_adds_its_band_only() -> None:
    config = GPTConfig.preset("gpt3-small")
    banded = sum(min(i + 1, 256) for i in range(2048)) / 2048 - 0.5  # the query's own key counts half, as when dense
    by_hand = 2 * 84_934_656 + 6 * 4 * 768 * 1024 + 6 * 4 * 768 * banded
    assert forward_flops_per_token(config) == round(by_hand)


def test_gpt3_took_the_petaflop_days_of_table_d_1() -> None:
    """GPT-3 Table D.1: 3.64e3 PF-days for 175B parameters and 300B tokens, by 6 N D; ours counts attention too."""
    days = training_flops_per_token(GPTConfig.preset("gpt3-175b")) * 300e9 / PF_DAY_FLOPS
    assert math.isclose(days, 3640, rel_tol=0.04)
