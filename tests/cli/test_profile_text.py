"""`gpt pretrain --profile`: where a step's time and memory go, as tables and as JSON."""

from pathlib import Path

import pytest

from gpt_command import TINY, Gpt
from gptrilogy.training import profiling


@pytest.fixture(autouse=True)
def one_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "MOST_PAIRS", 1)


def test_tables_say_where_time_and_memory_go_and_nothing_is_left(gpt: Gpt, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = gpt("pretrain", trained / "data", "--out", run, "--profile", "--max-steps", 3, *TINY)
    assert said.code == 0, said.err
    assert not run.exists()
    assert "nothing was trained or kept" in said.err
    lines = said.out.splitlines()
    assert lines[1].startswith("a step of 64 tokens: ")
    named = [line[2:].split("  ")[0] for line in lines]
    wanted = ["data loading", "embedding", "ln_1", "attn.c_attn", "attention itself", "attn.c_proj", "ln_2", "mlp.c_fc"]
    wanted += ["gelu", "mlp.c_proj", "residual sums", "ln_f", "loss", "clipping", "optimizer", "together"]
    wanted += ["weights", "gradients", "the optimizer's moments", "activations", "temporaries"]
    assert [name for name in wanted if name not in named] == []
    assert "GFLOP/s of matrix products" in said.out


def test_json_has_parts_that_add_up(gpt: Gpt, trained: Path) -> None:
    said = gpt("pretrain", trained / "data", "--profile", "--json", "--max-steps", 3, *TINY)
    assert said.code == 0, said.err
    found = said.json()
    assert sum(part["share"] for part in found["parts"]) == pytest.approx(1)
    seconds = [part[f"{phase}_s"] for part in found["parts"] for phase in ("forward", "backward", "other")]
    assert sum(seconds) + found["watching_s"] == pytest.approx(found["watched_s"])
    assert sum(found["memory"]["by_part"].values()) == found["memory"]["peak_bytes"]


def test_a_config_and_a_profile_are_two_things_to_ask_for(gpt: Gpt, trained: Path) -> None:
    said = gpt("pretrain", trained / "data", "--profile", "--dry-run", "--max-steps", 3, *TINY)
    assert said.code == 2
    assert "give one of them" in said.err
