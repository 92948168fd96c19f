"""`gpt import` and `gpt export`."""

from pathlib import Path

import pytest

from gpt_command import Gpt
from gptrilogy.checkpoints import best, read_checkpoint


@pytest.fixture
def exported(gpt: Gpt, trained: Path, tmp_path: Path) -> Path:
    assert gpt("export", trained, "--to", "hf", "--out", tmp_path / "hf").code == 0
    return tmp_path / "hf"


def test_a_run_goes_out_checked_and_comes_back_talking_the_same(gpt: Gpt, trained: Path, tmp_path: Path) -> None:
    said = gpt("export", trained, "--to", "hf", "--out", tmp_path / "hf", "--check")
    assert said.code == 0
    assert f"{tmp_path / 'hf'}: written" in said.out
    assert "logits of" in said.out
    assert "token ids of 4 texts equal" in said.out
    assert gpt("import", tmp_path / "hf", "--out", tmp_path / "back").code == 0
    words = ["--prompt", "It was", "--max-tokens", 20, "--temperature", 0, "--json"]
    here = gpt("generate", trained, *words).out
    assert gpt("generate", tmp_path / "back", *words).out == here
    assert gpt("generate", tmp_path / "hf", *words).out == here


def test_weights_come_back_to_the_bit(gpt: Gpt, trained: Path, exported: Path, tmp_path: Path) -> None:
    gpt("import", exported, "--out", tmp_path / "back")
    folder = best(trained / "checkpoints")
    assert folder is not None
    before, after = (read_checkpoint(path, with_train_state=False).model for path in (folder, tmp_path / "back"))
    assert all(bool((after[name] == tensor).all()) for name, tensor in before.items())


def test_json_tells_what_was_made(gpt: Gpt, trained: Path, tmp_path: Path) -> None:
    out = gpt("export", trained, "--to", "gguf", "--out", tmp_path / "m.gguf", "--check", "--json").json()
    assert out["path"] == str(tmp_path / "m.gguf")
    assert out["format"] == "gguf"
    assert out["checked"]
    gpt("export", trained, "--to", "hf", "--out", tmp_path / "hf")
    row = gpt("import", tmp_path / "hf", "--out", tmp_path / "in", "--json").json()
    assert row["origin"] == f"Hugging Face gpt2 {tmp_path / 'hf'}"
    assert row["parameters"] > 0


def test_nothing_of_the_users_is_replaced(gpt: Gpt, trained: Path, exported: Path, tmp_path: Path) -> None:
    again = gpt("export", trained, "--to", "hf", "--out", exported)
    assert again.code == 1
    assert "already exists: --force replaces it" in again.err
    assert gpt("export", trained, "--to", "hf", "--out", exported, "--force").code == 0
    for words in (["import", exported, "--out", trained], ["export", trained, "--to", "hf", "--out", trained]):
        said = gpt(*words, "--force")
        assert said.code == 1
        assert "holds something else, which is not replaced" in said.err
    assert best(trained / "checkpoints")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["import", "nowhere", "--out", "x"], 1, "nowhere does not exist; give a Hugging Face folder"),
        (["export", "nowhere", "--to", "hf", "--out", "x"], 1, "nowhere does not exist"),
        (["export", "nowhere", "--to", "onnx", "--out", "x"], 2, "onnx"),
        (["export", "nowhere", "--to", "hf"], 2, "--out"),
        (["import", "hf:no/network", "--out", "x"], 1, "cannot get hf:no/network from the Hugging Face hub"),
    ],
)
def test_a_wrong_command_gets_one_line(
    words: list[str], code: int, said: str, gpt: Gpt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    got = gpt(*words)
    assert got.code == code
    assert said in got.err
    assert got.err.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_a_name_cannot_give_the_terminal_orders(gpt: Gpt) -> None:
    said = gpt("import", "evil\x1b[2J\r\n", "--out", "x").err
    assert said.startswith("gpt: evil\\x1b[2J does not exist")
    assert said.isascii()
    assert "\x1b" not in said


def test_a_model_without_a_tokenizer_asks_for_one(gpt: Gpt, exported: Path, trained: Path, tmp_path: Path) -> None:
    for name in ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json"):
        (exported / name).unlink()
    said = gpt("import", exported, "--out", tmp_path / "in")
    assert said.code == 1
    assert "came without a tokenizer; name it, for example --tokenizer gpt2" in said.err
    assert gpt("import", exported, "--out", tmp_path / "in", "--tokenizer", trained / "tokenizer").code == 0
