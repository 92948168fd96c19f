import pytest
from pydantic import ValidationError

from gptrilogy.config import parse
from gptrilogy.errors import ConfigError
from gptrilogy.models import PRESETS, GPTConfig


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match=r"^n_embd must be a multiple of n_head, got 10 and 3$"):
        parse(GPTConfig, {"n_embd": 10, "n_head": 3})


def test_a_replaced_size_is_checked_like_a_new_one() -> None:
    with pytest.raises(ConfigError, match="n_embd must be a multiple of n_head, got 768 and 7"):
        GPTConfig.preset("gpt2-small").replace(n_head=7)


@pytest.mark.parametrize(
    ("field", "value"),
    [("n_vocab", 1), ("n_ctx", 0), ("n_embd", -4), ("n_head", 0), ("n_layer", 0), ("dropout", 1.0), ("init_std", 0.0)],
)
def test_a_value_out_of_range_is_named_with_its_field(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^{field}: .*, got {value}$"):
        parse(GPTConfig, {field: value})


def test_an_unknown_field_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"^unknown field n_layr: did you mean n_layer\?$"):
        parse(GPTConfig, {"n_layr": 2})


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"^unknown preset gpt2-smal: did you mean gpt2-small\?$"):
        GPTConfig.preset("gpt2-smal")


def test_several_bad_fields_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"n_ctx: .*; n_layer: "):
        parse(GPTConfig, {"n_ctx": 0, "n_layer": 0})


def test_a_config_cannot_be_changed_in_place() -> None:
    config = GPTConfig()
    with pytest.raises(ValidationError, match="frozen"):
        config.n_layer = 3  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_what_its_paper_says(name: str) -> None:
    config, family = GPTConfig.preset(name), name.split("-", maxsplit=1)[0]
    assert config.n_ctx == {"gpt1": 512, "gpt2": 1024, "gpt3": 2048}[family]
    assert config.n_vocab == (40_478 if family == "gpt1" else 50_257)
    assert config.norm == ("post" if family == "gpt1" else "pre")
    assert config.final_norm == config.scale_residual_init == (family != "gpt1")
    assert config.dropout == (0.1 if family == "gpt1" else 0.0)
    assert config.position_init_std == (0.02 if family == "gpt1" else 0.01)


def test_the_heads_of_gpt3_are_as_wide_as_table_2_1_prints_them() -> None:
    printed = {
        "gpt3-small": 64,
        "gpt3-medium": 64,
        "gpt3-large": 96,
        "gpt3-xl": 128,
        "gpt3-2.7b": 80,
        "gpt3-6.7b": 128,
        "gpt3-13b": 128,
        "gpt3-175b": 128,
    }
    configs = {name: GPTConfig.preset(name) for name in printed}
    assert {name: config.n_embd // config.n_head for name, config in configs.items()} == printed
