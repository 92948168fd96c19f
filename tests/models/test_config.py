import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from gptrilogy.config import parse, read_toml
from gptrilogy.errors import ConfigError
from gptrilogy.models import PRESETS, GPTConfig
from gptrilogy.models.patterns import Banded, Dense, Fixed, Strided


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


# Attention.


@pytest.mark.parametrize(
    "said", [("dense", "banded"), ["dense", "banded"], "dense,banded", "dense, banded", ["dense,banded"]], ids=str
)
def test_patterns_may_be_given_as_names_or_in_one_word(said: object) -> None:
    assert parse(GPTConfig, {"attention": said}).attention == ("dense", "banded")


@pytest.mark.parametrize("line", ['attention = "dense,banded"', 'attention = ["dense", "banded"]'])
def test_a_file_gives_patterns_in_either_form(line: str, tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(f"{line}\nn_layer = 3\n")
    config = parse(GPTConfig, read_toml(tmp_path / "model.toml"))
    assert config.patterns() == [Dense(), Banded(256), Dense()]


FEWER = "fewer or narrower ones, or a longer stride"
BAD_ATTENTION: list[tuple[dict[str, object], str]] = [
    (
        {"attention": "banded", "band_width": 1025},
        "band_width must be at most n_ctx, got 1025 and 1024; a narrower band, or attention = dense",
    ),
    (
        {"attention": "strided", "stride": 1025},
        "stride must be at most n_ctx, got 1025 and 1024; near the square root of n_ctx the work is least",
    ),
    (
        {"attention": ["dense", "fixed"], "stride": 2000},
        "stride must be at most n_ctx, got 2000 and 1024; near the square root of n_ctx the work is least",
    ),
    (
        {"attention": "fixed", "sub_blocks": 13},
        "sub_blocks must be at most n_head, got 13 and 12; a head reads one, so the others would never be read",
    ),
    (
        {"attention": "fixed", "stride": 32, "sub_blocks": 5},
        f"sub_blocks x summary_width must be at most stride, got 5 x 8 and 32; {FEWER}",
    ),
    (
        {"attention": "fixed", "stride": 4},
        f"sub_blocks x summary_width must be at most stride, got 1 x 8 and 4; {FEWER}",
    ),
    ({"attention": "dense,bandd"}, "unknown attention pattern bandd: did you mean banded?"),
    ({"attention": "sliding"}, "unknown attention pattern sliding: known: dense, banded, strided, fixed"),
]


@pytest.mark.parametrize(("values", "message"), BAD_ATTENTION, ids=lambda x: str(x)[:40])
def test_attention_that_does_not_fit_is_refused_in_one_line(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(GPTConfig, values)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("field", "value"),
    [("band_width", 0), ("stride", 0), ("summary_width", -1), ("sub_blocks", 0), ("attention", 3), ("attention", [])],
)
def test_an_impossible_size_of_attention_is_named_with_its_field(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^{field}: [^\n]*, got [^\n]*$"):
        parse(GPTConfig, {field: value})


def test_a_size_matters_only_where_a_pattern_uses_it() -> None:
    config = GPTConfig(n_ctx=16)  # shorter than the default band and stride
    assert config.patterns() == [Dense()] * 12
    with pytest.raises(ConfigError, match="band_width must be at most n_ctx, got 256 and 16"):
        config.replace(attention="banded")


def test_as_many_sub_blocks_as_fit_unless_asked_otherwise() -> None:
    fixed = GPTConfig(attention=("fixed",), n_layer=1, n_head=12, stride=128, summary_width=8)
    assert fixed.patterns() == [Fixed(128, 8, 12)]
    assert fixed.replace(summary_width=32).patterns() == [Fixed(128, 32, 4)]
    assert fixed.replace(sub_blocks=1).patterns() == [Fixed(128, 8, 1)]


def test_each_pattern_takes_its_own_sizes() -> None:
    config = GPTConfig(n_layer=5).replace(attention="strided,fixed,banded", stride=64, band_width=7, summary_width=16)
    fixed = Fixed(64, 16, 4)
    assert config.patterns() == [Strided(64), fixed, Banded(7), Strided(64), fixed]


@pytest.mark.parametrize("name", PRESETS)
def test_gpt3_alternates_dense_and_banded_layers_and_the_others_are_dense(name: str) -> None:
    config = GPTConfig.preset(name)
    one, other = (Dense(), Banded(256)) if name.startswith("gpt3") else (Dense(), Dense())
    assert config.patterns() == [one, other] * (config.n_layer // 2)


def test_a_config_comes_back_from_json_as_it_was() -> None:
    config = GPTConfig().replace(attention="fixed,dense", stride=32, summary_width=4, sub_blocks=3)
    written = json.dumps(config.model_dump(mode="json"))
    assert parse(GPTConfig, json.loads(written)) == config


def test_a_config_from_before_patterns_is_dense() -> None:
    new = ("attention", "band_width", "stride", "summary_width", "sub_blocks")
    written = GPTConfig.preset("gpt2-medium").model_dump(mode="json")
    config = parse(GPTConfig, {name: value for name, value in written.items() if name not in new})
    assert config == GPTConfig.preset("gpt2-medium")
    assert config.patterns() == [Dense()] * 24
