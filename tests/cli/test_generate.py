"""`gpt generate`, and `gptrilogy.load` behind it."""

import io
import shutil
from pathlib import Path

import pytest

import gptrilogy
from gpt_command import Gpt
from gptrilogy.checkpoints import best


def test_a_greedy_completion_as_json(gpt: Gpt, trained: Path) -> None:
    words = ["--prompt", "It was", "--max-tokens", 40, "--temperature", 0, "--json"]
    first, second = (gpt("generate", trained, *words) for _ in range(2))
    [completion] = first.json()["completions"]
    assert len(completion["ids"]) == 40
    assert not completion["text"].startswith("It was")
    assert first.out == second.out


def test_the_stream_on_stdout_is_prompt_and_completion(gpt: Gpt, trained: Path) -> None:
    words = ["--prompt", "It was", "--max-tokens", 12, "--seed", 3]
    text = gpt("generate", trained, *words, "--json").json()["completions"][0]["text"]
    assert gpt("generate", trained, *words).out == f"It was{text}\n"


def test_a_prompt_gives_the_same_alone_and_in_company(gpt: Gpt, trained: Path) -> None:
    words = ["--max-tokens", 10, "--n", 3, "--json"]
    alone = gpt("generate", trained, "--prompt", "the age", *words).json()["completions"]
    among = gpt("generate", trained, "--prompt", "It was the worst", "--prompt", "the age", *words).json()[
        "completions"
    ]
    assert among[3:] == alone


def test_a_checkpoint_folder_is_a_model_too(gpt: Gpt, trained: Path) -> None:
    checkpoint = trained / "checkpoints" / "step-00000008"
    words = ["--prompt", "It", "--temperature", 0, "--max-tokens", 5, "--json"]
    assert gpt("generate", checkpoint, *words).out == gpt("generate", trained, *words).out


def test_a_stop_string_ends_the_text_before_it(gpt: Gpt, trained: Path) -> None:
    words = ["--prompt", "It was the", "--temperature", 0, "--max-tokens", 30, "--json"]
    whole = gpt("generate", trained, *words).json()["completions"][0]["text"]
    stop = whole[5:7]
    [cut] = gpt("generate", trained, *words, "--stop", stop).json()["completions"]
    assert cut["text"] == whole[: whole.index(stop)]
    assert cut["finish_reason"] == "stop"


def test_the_prompt_may_come_on_stdin(gpt: Gpt, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("It was\n"))
    assert gpt("generate", trained, "--max-tokens", 3).out.startswith("It was")


def test_going_past_the_context_is_said(gpt: Gpt, trained: Path) -> None:
    said = gpt("generate", trained, "--prompt", "It", "--max-tokens", 50)
    assert said.code == 0
    assert "past the context of 16 tokens" in said.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--prompt", "long " * 200], 1, "1 to 16 tokens"),
        (["--prompt", "a", "--temperature", -1], 2, "temperature"),
        (["--prompt", "a", "--top-p", 0], 2, "top_p"),
        (["--prompt", "a", "--max-tokens", -1], 2, "--max-tokens"),
        (["--prompt", "a", "--tempertaure", 1], 2, "--temperature"),
    ],
)
def test_bad_settings_get_one_line(gpt: Gpt, trained: Path, words: list[object], code: int, says: str) -> None:
    said = gpt("generate", trained, *words)
    assert said.code == code
    assert says in said.err.splitlines()[-1]
    assert "note:" not in said.err
    assert said.out == ""


def test_what_is_no_model_is_named(gpt: Gpt, tmp_path: Path) -> None:
    assert "does not exist" in gpt("generate", tmp_path / "nothing", "--prompt", "a").err
    assert "holds no checkpoint" in gpt("generate", tmp_path, "--prompt", "a").err


def test_the_python_interface(trained: Path) -> None:
    model = gptrilogy.load(trained)
    text = model.generate("It was", max_tokens=8, temperature=0)
    assert isinstance(text, str)
    first, second = model.score("It was the best of", [" times", " zebras"])
    assert second < first < 0


def test_where_the_best_checkpoint_is_damaged_the_newest_whole_one_speaks(
    gpt: Gpt, trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    weights = best(run / "checkpoints")
    assert weights
    (weights / "model.safetensors").write_bytes(b"")
    with pytest.warns(UserWarning, match="is used instead"):
        gptrilogy.load(run)
    for folder in (run / "checkpoints").iterdir():
        (folder / "model.safetensors").write_bytes(b"")
    said = gpt("generate", run, "--prompt", "a")
    assert said.code == 1
    assert "model.safetensors" in said.err
