"""`gpt pretrain` and `gpt resume`: the whole path, and what they say to bad input."""

import shutil
from pathlib import Path

import pytest

from gpt_command import TEXT, TINY, Gpt
from gptrilogy.metrics import read_metrics
from gptrilogy.runs import Run


def one_line(err: str) -> str:
    """The line an error is told in: the last of stderr, and the only one that begins with `gpt:`."""
    lines = [line for line in err.splitlines() if line.startswith("gpt:")]
    assert len(lines) == 1
    assert err.splitlines()[-1] == lines[0]
    return lines[0]


def test_a_folder_of_text_becomes_a_run_folder(trained: Path) -> None:
    expected = {"config.json", "environment.json", "metrics.jsonl", "tokenizer", "data", "checkpoints", "loss.png"}
    assert expected <= {path.name for path in trained.iterdir()}
    newest = max((trained / "checkpoints").iterdir())
    assert newest.name == "step-00000008"
    inside = {"manifest.json", "config.json", "model.safetensors", "tokenizer", "train_state"}
    assert {path.name for path in newest.iterdir()} == inside
    assert {"train", "valid", "checkpoint", "end"} == {row["event"] for row in read_metrics(trained / "metrics.jsonl")}


def test_json_is_the_last_row_and_the_best_checkpoint(gpt: Gpt, novel: Path, tmp_path: Path) -> None:
    said = gpt("pretrain", novel, "--out", tmp_path / "run", "--max-steps", 3, "--json", *TINY)
    assert said.code == 0
    row = said.json()
    assert row["event"] == "end"
    assert row["step"] == 3
    assert Path(row["best_checkpoint"]).is_dir()


def test_the_plan_is_shown_before_training(gpt: Gpt, novel: Path, tmp_path: Path) -> None:
    err = gpt("pretrain", novel, "--out", tmp_path / "run", "--max-steps", 2, *TINY).err
    assert err.index("bits a byte on held-out text (a rule of thumb") < err.index("nats a token")
    assert "the text is small for this" not in err


def test_stop_and_resume_give_the_log_of_an_uninterrupted_run(gpt: Gpt, novel: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    common = ["--max-steps", 6, "--model.dropout", 0.1, *TINY]
    assert gpt("pretrain", novel, "--out", whole, *common).code == 0
    said = gpt("pretrain", novel, "--out", parts, "--stop-at", 2, *common)
    assert said.code == 0
    assert f"gpt resume {parts}" in said.err
    assert gpt("resume", parts).code == 0
    losses = [
        [row["loss_nats"] for row in read_metrics(run / "metrics.jsonl") if row["event"] == "train"]
        for run in (whole, parts)
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 6


def test_resume_goes_on_past_the_end_on_a_flat_schedule(gpt: Gpt, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    said = gpt("resume", run)
    assert said.code == 0
    assert "is finished after step 8" in said.err
    assert gpt("resume", run, "--max-steps", 10, "--json").json()["step"] == 10
    rates = [row["lr"] for row in read_metrics(run / "metrics.jsonl") if row["event"] == "train"]
    assert rates[7] == rates[8] == rates[9]
    assert gpt("resume", run, "--max-steps", 9).code == 2


def test_a_dry_run_prints_the_resolved_config_and_leaves_nothing(gpt: Gpt, novel: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    config = gpt("pretrain", novel, "--out", out, "--dry-run", "--max-steps", 5, *TINY).json()
    assert (config["train"]["max_steps"], config["train"]["decay_steps"], config["model"]["n_embd"]) == (5, 5, 16)
    assert not out.exists()


def test_recipe_file_and_flags_override_each_other_in_this_order(gpt: Gpt, novel: Path, tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text('recipe = "gpt1"\n[model]\nn_layer = 1\nn_embd = 16\nn_head = 2\n[train]\nbatch_size = 8\n')
    words = ["--config", file, "--train.batch-size", 4, "--model.n-ctx", 16, "--max-steps", 5]
    config = gpt("pretrain", novel, "--dry-run", *words).json()
    assert config["recipe"] == "gpt1"
    assert config["model"]["norm"] == "post"  # from the recipe
    assert config["model"]["n_layer"] == 1  # from the file
    assert config["train"]["batch_size"] == 4  # the flag
    assert config["train"]["learning_rate"] == 2.5e-4  # one flag changes one field only


def test_the_vocabulary_of_a_recipe_is_capped_where_the_text_is_small(gpt: Gpt, novel: Path, tmp_path: Path) -> None:
    words = ["--recipe", "gpt2-small", "--max-steps", 1, "--dry-run"]
    said = gpt("pretrain", novel, *words, *TINY)
    assert "the vocabulary is capped there" in said.err
    assert said.json()["model"]["n_vocab"] < 50_257


def test_another_runs_shards_are_a_source(gpt: Gpt, trained: Path, tmp_path: Path) -> None:
    said = gpt("pretrain", trained / "data", "--out", tmp_path / "run", "--max-steps", 2, *TINY)
    assert said.code == 0
    assert (tmp_path / "run" / "data" / "index.json").exists()


def test_another_tokenizers_shards_are_refused(gpt: Gpt, trained: Path, tmp_path: Path) -> None:
    words = ["--max-steps", 2, "--tokenizer", tmp_path / "other", *TINY]
    assert gpt("tokenizer", "train", trained.parent, "--vocab-size", 300, "--out", tmp_path / "other").code == 1
    source = tmp_path / "text.txt"
    source.write_text("other words " * 50)
    assert gpt("tokenizer", "train", source, "--vocab-size", 260, "--out", tmp_path / "other").code == 0
    said = gpt("pretrain", trained / "data", "--out", tmp_path / "run", *words)
    assert said.code == 1
    assert "was packed with the tokenizer" in one_line(said.err)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(gpt: Gpt, novel: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["--max-steps", 6, "--train.checkpoint-every", 2, *TINY]
    assert gpt("pretrain", novel, "--out", run, "--stop-at", 4, *words).code == 0
    weights = run / "checkpoints" / "step-00000004" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    said = gpt("resume", run)
    assert said.code == 0
    assert str(weights) in said.err
    assert "continuing after step 2" in said.err
    assert read_metrics(run / "metrics.jsonl")[-1]["step"] == 6


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--model.n-layr", 3], 2, "--model.n-layer"),
        (["--recipe", "gpt2-smal"], 2, "did you mean gpt2-small?"),
        (["--model.n-embd", 10, "--model.n-head", 3], 2, "n_embd must be a multiple of n_head, got 10 and 3"),
        (["--model.n-vocab", 5], 2, "n_vocab must be at least 257, got 5"),
        (["--model.n-vocab", 10**9], 2, "n_vocab must be at most 500,000, got 1,000,000,000"),
        (["--budget", "soon"], 2, "such as 90s, 10m or 1.5h, got 'soon'"),
        (["--train.learning-rate", "fast"], 2, "fast"),
        (["--train.batch-size", 0], 2, "train.batch_size"),
        (["--train.device", "abacus"], 2, "abacus"),
        (["--config", "nowhere.toml"], 2, "nowhere.toml"),
        (["--train.epochs", 1, "--max-steps", 3], 2, "not both"),
        (["--model.n-ctx", 100_000, "--max-steps", 3], 1, "a smaller --model.n-ctx"),
        (["--budget", "1s"], 2, "the budget is too small"),
        (["--model.norm", "past"], 2, "gpt: model.norm: input should be 'pre' or 'post', got 'past'"),
        (["--model.attention", "bandd"], 2, "gpt: unknown attention pattern bandd: did you mean banded?"),
        (["--model.attention", "banded", "--model.n-ctx", 64], 2, "gpt: band_width must be at most n_ctx, got 256 and"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_a_wrong_field_gets_one_line(
    gpt: Gpt, novel: Path, tmp_path: Path, words: list[object], code: int, says: str
) -> None:
    said = gpt("pretrain", novel, "--out", tmp_path / "run", *words)
    assert (said.code, says in one_line(said.err)) == (code, True), said.err
    assert said.out == ""


def test_a_training_that_runs_away_is_told_by_its_loss(gpt: Gpt, novel: Path, tmp_path: Path) -> None:
    wild = ["1e30" if word == "0.01" else word for word in TINY]
    said = gpt("pretrain", novel, "--out", tmp_path / "run", "--max-steps", 9, "--train.sample-every", 1, *wild)
    assert said.code == 1
    assert "no text: the model's scores are not finite" in said.err
    assert "3 steps in a row were not finite" in one_line(said.err)


def test_a_run_is_not_made_of_its_source(gpt: Gpt, novel: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(TEXT, encoding="utf-8")
    before = [*novel.iterdir()]
    for sources in ([novel], [other, "--valid", novel]):
        said = gpt("pretrain", *sources, "--out", f"{novel}/../{novel.name}", "--max-steps", 2, *TINY)
        assert said.code == 2
        assert "is also a source of text: name another folder for the run" in one_line(said.err)
    assert [*novel.iterdir()] == before


def test_no_source_and_no_out_are_asked_for(gpt: Gpt, novel: Path) -> None:
    assert gpt("pretrain", "--out", "run").code == 2
    assert gpt("pretrain", novel).code == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "holds nothing to read"),
        ({"picture.png": b"\x89PNG"}, "holds nothing to read"),
        ({"empty.txt": b""}, "there is no text"),
        ({"bad.txt": b"fine until \xff here"}, "bad.txt"),
        ({"bad.jsonl": b'{"text": 3}\n'}, "bad.jsonl:1"),
        ({"one.txt": b"a"}, "give more text"),
        ({"short.txt": b"too short"}, "give more text"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_unusable_text_gets_one_line(gpt: Gpt, tmp_path: Path, content: dict[str, bytes], says: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, data in content.items():
        (source / name).write_bytes(data)
    said = gpt("pretrain", source, "--out", tmp_path / "run", "--max-steps", 2, *TINY)
    assert (said.code, says in one_line(said.err)) == (1, True), said.err


def test_invalid_utf8_names_file_and_byte(gpt: Gpt, tmp_path: Path) -> None:
    source = tmp_path / "bad.txt"
    source.write_bytes(b"0123456789\xff")
    line = one_line(gpt("pretrain", source, "--out", tmp_path / "run").err)
    assert str(source) in line
    assert "10" in line


def test_a_run_is_never_overwritten_without_force(gpt: Gpt, trained: Path, novel: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    keep = run / "notes.txt"
    keep.write_text("mine")
    before = (run / "metrics.jsonl").read_bytes()
    said = gpt("pretrain", novel, "--out", run, "--max-steps", 2, *TINY)
    assert said.code == 1
    assert "--force" in one_line(said.err)
    assert (run / "metrics.jsonl").read_bytes() == before
    assert gpt("pretrain", novel, "--out", run, "--max-steps", 2, "--force", *TINY).code == 0
    assert read_metrics(run / "metrics.jsonl")[-1]["step"] == 2
    assert keep.read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_named(gpt: Gpt, novel: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    said = gpt("pretrain", novel, "--out", file / "run", "--max-steps", 2, *TINY)
    assert said.code == 1
    assert str(file / "run") in one_line(said.err)


def test_no_permission_is_named(gpt: Gpt, novel: Path) -> None:
    said = gpt("pretrain", novel, "--out", "/sys/kernel/run", "--max-steps", 2, *TINY)  # not even root may write there
    assert said.code == 1
    assert "/sys/kernel/run: " in one_line(said.err)


def test_resume_wants_a_run(gpt: Gpt, tmp_path: Path) -> None:
    said = gpt("resume", tmp_path)
    assert said.code == 1
    assert "holds no run" in one_line(said.err)


@pytest.mark.parametrize("place", ["survey_sets", "open_shards"])
def test_an_interrupted_preparation_is_taken_up_by_resume(
    place: str, gpt: Gpt, novel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("pretrain", novel, "--max-steps", 3, "--train.micro-batch-size", 4, *TINY, "--out")
    assert gpt(*words, tmp_path / "whole").code == 0
    run = tmp_path / "run"
    with monkeypatch.context() as interrupted:
        for module in ("cli.launch", "training.preparation"):
            interrupted.setattr(f"gptrilogy.{module}.{place}", be_interrupted)
        assert gpt(*words, run).code == 130
    said = gpt("resume", run, "--verify", 1)
    assert "has no steps to verify" in one_line(said.err)
    assert gpt("resume", run).code == 0
    ours, whole = (
        (read_metrics(folder / "metrics.jsonl"), Run(folder).config()) for folder in (run, tmp_path / "whole")
    )
    assert ours[1] == whole[1]
    assert ours[0][-1]["state_sha256"] == whole[0][-1]["state_sha256"]


def be_interrupted(*_: object, **__: object) -> None:
    """Ctrl-C at this call."""
    raise KeyboardInterrupt


def test_the_corrected_command_finds_no_run(
    gpt: Gpt, novel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, text = tmp_path / "run", tmp_path / "text.txt"
    text.write_text("too short")
    words = ("--out", run, "--max-steps", 2, *TINY)
    assert gpt("pretrain", text, *words).code == 1
    assert [path.name for path in run.iterdir()] == [".lock"]
    with monkeypatch.context() as small:
        small.setattr("gptrilogy.training.state.memory_bytes", lambda: 1000)
        said = gpt("pretrain", novel, "--recipe", "gpt1", "--tokenizer", "bytes", *words)
    assert said.code == 2
    assert "GB to train with its gradients and moments" in one_line(said.err)
    assert [path.name for path in run.iterdir()] == [".lock"]
    assert gpt("pretrain", novel, *words).code == 0


@pytest.mark.parametrize("wrong", ["source", "tokenizer", "valid", "own text", "own tokenizer"])
def test_force_costs_no_run_where_the_new_one_cannot_be(
    wrong: str, gpt: Gpt, trained: Path, novel: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    words: dict[str, list[object]] = {
        "source": ["nowhere.txt"],
        "tokenizer": [novel, "--tokenizer", "nowhere"],
        "valid": [novel, "--valid", "nowhere.txt"],
        "own text": [run / "data"],
        "own tokenizer": [novel, "--tokenizer", run],
    }
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    said = gpt("pretrain", "--out", run, "--max-steps", 2, "--force", *TINY, *words[wrong])
    assert said.code == 1
    one_line(said.err)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pretrain", "x", "--out", "y", "--stop-at", -1), "--stop-at"),
        (("resume", "x", "--stop-at", 0), "--stop-at"),
        (("pretrain", "x", "--out", ""), "for --out: it is empty: name a folder"),
        (("pretrain", "x", "--out", "y", "--model.n-layer", 10**8), "model.n_layer"),
    ],
)
def test_a_number_or_a_name_that_means_nothing_is_refused(gpt: Gpt, words: tuple[object, ...], says: str) -> None:
    said = gpt(*words)
    assert said.code == 2
    assert says in one_line(said.err)


def test_a_folder_of_that_name_which_is_no_runs_is_left_alone(gpt: Gpt, novel: Path, tmp_path: Path) -> None:
    mine = tmp_path / "data" / "novel.txt"
    mine.parent.mkdir()
    shutil.copy(novel / "tale.txt", mine)
    for force in ([], ["--force"]):
        said = gpt("pretrain", mine, "--out", tmp_path, "--max-steps", 2, *force, *TINY)
        assert said.code == 1
        assert "holds no run, but data/, which a run would write into: choose another --out" in one_line(said.err)
    assert [path.name for path in mine.parent.iterdir()] == ["novel.txt"]


def test_the_text_is_long_enough_for_these_tests() -> None:
    assert len(TEXT) > 5000
