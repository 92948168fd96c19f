"""`gpt plan` for presets and for text, and the command itself."""

from pathlib import Path

import pytest

from gpt_command import TINY, Gpt


def test_a_preset_as_json(gpt: Gpt) -> None:
    plan = gpt("plan", "gpt2-small", "--json").json()
    assert plan["parameters"] == 124_439_808
    assert sum(plan["parameters_by_part"].values()) == 124_439_808
    assert sum(plan["memory_by_part"].values()) == plan["memory_bytes"]


@pytest.mark.parametrize("preset", ["gpt1", "gpt3-175b"])
def test_a_preset_as_tables(gpt: Gpt, preset: str) -> None:
    said = gpt("plan", preset)
    assert said.code == 0
    for word in ("parameters", "token embedding", "Kaplan", "memory", "steps"):
        assert word in said.out


def test_a_flag_is_judged_beside_its_recipe_not_beside_the_defaults(gpt: Gpt) -> None:
    assert gpt("plan", "gpt2-xl", "--model.n-head", 50, "--json").code == 0  # 50 heads do not divide the default width
    said = gpt("plan", "gpt2-xl", "--model.n-head", 7)
    assert (said.code, said.err) == (2, "gpt: n_embd must be a multiple of n_head, got 1600 and 7\n")


def test_text_is_planned_with_the_config_training_would_have(gpt: Gpt, novel: Path) -> None:
    plan = gpt("plan", novel, "--max-steps", 7, "--json", *TINY).json()
    assert plan["steps"] == 7
    assert plan["tokens"] == 7 * 4 * 16
    assert plan["config"]["model"]["n_embd"] == 16
    assert 0 < plan["expected_bits_per_byte"] <= 8
    assert plan["seconds_from"] == "timed steps"


def test_text_that_is_small_for_the_run_gets_a_warning(gpt: Gpt, novel: Path) -> None:
    assert "the text is small for this" in gpt("plan", novel, "--max-steps", 5000, *TINY).err


def test_what_is_neither_preset_nor_text_is_named(gpt: Gpt) -> None:
    said = gpt("plan", "gpt2-smal")
    assert said.code == 2
    assert "did you mean gpt2-small?" in said.err


def test_without_a_preset_or_a_text_the_presets_are_told(gpt: Gpt) -> None:
    said = gpt("plan")
    assert said.code == 2
    assert said.err.startswith("gpt: name a preset or a source of text; presets: gpt1, gpt2-small, ")


@pytest.mark.parametrize("words", [["pretran"], ["pretrain", "--ot", "x"], ["tokenizer", "trian"]])
def test_a_misspelt_word_gets_the_nearest(gpt: Gpt, words: list[str]) -> None:
    said = gpt(*words)
    assert said.code == 2
    assert len(said.err.splitlines()) == 1


def test_a_traceback_is_shown_on_request(gpt: Gpt) -> None:
    assert "Traceback" in gpt("plan", "gpt2-smal", "--traceback").err


def test_version(gpt: Gpt) -> None:
    assert gpt("--version").out.strip() == "0.1.0"
