"""`gpt resume`: what has changed around a run is announced, and --verify proves that it repeats."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import gptrilogy
from gpt_command import TEXT, TINY, Gpt
from gptrilogy.metrics import read_metrics


@pytest.fixture(scope="session")
def saved(novel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of eight steps with checkpoints after every fourth."""
    from gptrilogy.cli import main

    run = tmp_path_factory.mktemp("runs") / "saved"
    with pytest.raises(SystemExit):
        main(["pretrain", str(novel), "--out", str(run), "--max-steps", "8", "--train.checkpoint-every", "4", *TINY])
    return run


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def test_verify_proves_that_a_run_repeats(gpt: Gpt, saved: Path) -> None:
    said = gpt("resume", saved, "--verify", 4, "--json")
    assert said.code == 0, said.err
    told = read_metrics(saved / "metrics.jsonl")[-1]["state_sha256"]
    assert said.json() == {
        "verified": True,
        "from_step": 4,
        "to_step": 8,
        "losses_compared": 4,
        "states_compared": [8],
        "state_sha256": told,
        "difference": None,
    }
    assert "warning" not in said.err


def test_verify_says_so_in_a_sentence(gpt: Gpt, saved: Path) -> None:
    said = gpt("resume", saved, "--verify", 4)
    assert said.out.startswith(f"verified: steps 5 to 8 of {saved} repeat to the bit: 4 losses and gradient norms, ")
    assert "the whole state after step 8" in said.out
    assert "(--verify 4 reaches one)" in gpt("resume", saved, "--verify", 3).out


def test_the_first_difference_ends_it_with_one_line(gpt: Gpt, copy: Path) -> None:
    rows = read_metrics(copy / "metrics.jsonl")
    row = next(row for row in rows if row["event"] == "train" and row["step"] == 6)
    was, row["loss_nats"] = row["loss_nats"], 1.5
    (copy / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    said = gpt("resume", copy, "--verify", 4)
    assert (said.code, said.out) == (1, "")
    line = (
        f"gpt: {copy} does not repeat its step 6: loss_nats was 1.5, and is now {was}; nothing is known to have changed"
    )
    assert line in said.err
    said = gpt("resume", copy, "--verify", 4, "--json")
    assert (said.code, said.json()["verified"], said.json()["to_step"]) == (1, False, 6)


def test_a_finetuned_run_repeats_too(gpt: Gpt, saved: Path, tmp_path: Path) -> None:
    examples = tmp_path / "examples.csv"
    rows = [f"{word} times,{label}" for word, label in (("best", "good"), ("worst", "bad")) for _ in range(12)]
    examples.write_text("\n".join(["text,label", *rows]))
    run = tmp_path / "tuned"
    words = ["--task", "classification", "--out", run, "--train.max-steps", 6, "--train.checkpoint-every", 3]
    assert gpt("finetune", saved, examples, *words, "--train.valid-every", 3).code == 0
    said = gpt("resume", run, "--verify", 3, "--json")
    assert said.code == 0, said.err
    assert said.json()["verified"]
    assert said.json()["states_compared"] == [6]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"torch": "1.0"}, "not bit-exact: torch was 1.0, is "),
        ({"threads": 3}, None),  # restored, so the same
        ({"code": "0" * 64}, "perhaps not bit-exact: the code has changed since"),
        ({"gptrilogy": "0.0.1"}, f"perhaps not bit-exact: gptrilogy was 0.0.1, is {gptrilogy.__version__}"),
    ],
    ids=["torch", "threads", "code", "version"],
)
def test_a_changed_environment_is_announced(gpt: Gpt, copy: Path, change: dict[str, Any], says: str | None) -> None:
    edit(copy / "environment.json", lambda facts: {**facts, **change})
    said = gpt("resume", copy)
    assert said.code == 0
    assert (f"warning: the run continues, {says}" in said.err) if says else "warning" not in said.err


def test_verify_under_another_torch_says_what_to_expect_and_goes_on(gpt: Gpt, copy: Path) -> None:
    edit(copy / "environment.json", lambda facts: {**facts, "torch": "1.0"})
    said = gpt("resume", copy, "--verify", 2)
    assert said.code == 0
    assert "warning: the replay cannot be expected to be bit-exact: torch was 1.0, is " in said.err
    edit(copy / "environment.json", lambda facts: {**facts, "torch": gptrilogy.__version__, "code": "0"})
    edit(copy / "config.json", lambda config: {**config, "seed": 9})
    said = gpt("resume", copy, "--verify", 2)
    assert said.code == 1
    assert "; what has changed around it: torch was " in said.err


def test_a_run_of_an_earlier_version_resumes_without_a_word(gpt: Gpt, copy: Path) -> None:
    edit(copy / "environment.json", lambda facts: {key: facts[key] for key in ("cpu", "torch", "threads", "gpu")})
    (copy / "data" / "sources.json").unlink()
    said = gpt("resume", copy)
    assert said.code == 0
    assert "warning" not in said.err


def test_a_source_that_has_changed_since_is_named(gpt: Gpt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = tmp_path / "novels" / "a.txt"
    text.parent.mkdir()
    text.write_text(TEXT)
    assert gpt("pretrain", "novels", "--out", "run", "--max-steps", 4, "--stop-at", 2, *TINY).code == 0
    with text.open("a") as file:
        file.write("It was the epoch of belief.")
    said = gpt("resume", "run")
    assert said.code == 0
    since = "novels/a.txt has changed since the text was packed; the run goes on with the text it packed"
    assert f"warning: {since}" in said.err


def test_verify_goes_over_all_there_is_where_more_is_asked_for(gpt: Gpt, saved: Path) -> None:
    said = gpt("resume", saved, "--verify", 100)
    assert said.code == 0
    assert "4 steps instead of 100: no more are kept after step 4" in said.err
    assert said.out.startswith("verified: steps 5 to 8 of ")


def test_a_config_that_was_changed_stops_the_run(gpt: Gpt, copy: Path) -> None:
    path = copy / "config.json"
    path.write_text(path.read_text().replace('"seed": ', '"seed": 1'))
    said = gpt("resume", copy)
    assert said.code == 1
    assert "config.json is not as it was written" in said.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--verify", 0], "got 0"),
        (["--verify", 2, "--max-steps", 9], "--verify only looks back: leave --max-steps and --stop-at out"),
    ],
    ids=["none", "with more steps"],
)
def test_what_cannot_be_verified_gets_one_line(gpt: Gpt, saved: Path, words: Sequence[object], says: str) -> None:
    said = gpt("resume", saved, *words)
    assert (said.code, says in said.err) == (2, True), said.err


def edit(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    fields = json.loads(path.read_text())
    fields.pop("sha256", None)  # as the message about a changed config advises
    path.write_text(json.dumps(change(fields)))
