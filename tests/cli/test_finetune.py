"""`gpt finetune`: from a pretrained run and a file of examples to a run that predicts; what it says of bad input."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpt_command import Gpt
from gptrilogy.metrics import read_metrics

FAST = ["--train.learning-rate", "0.02", "--train.precision", "fp32", "--train.batch-size", "8", "--train.dropout", "0"]
SHORT = [*FAST, "--train.max-steps", "4"]
Write = Callable[..., Path]


def reviews(n: int) -> list[dict[str, str]]:
    """Sentences whose second word says it all."""
    good = [{"review": f"A best time {i}.", "stars": "good"} for i in range(n // 2)]
    bad = [{"review": f"A worst time {i}.", "stars": "bad"} for i in range(n // 2)]
    return [row for pair in zip(good, bad, strict=True) for row in pair]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, rows: list[Any]) -> Path:
        path = tmp_path / name
        text = "".join(f"{json.dumps(row) if isinstance(row, dict) else row}\n" for row in rows)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def tuned(gpt: Gpt, trained: Path, write: Write, tmp_path: Path) -> Path:
    said = gpt("finetune", trained, write("reviews.jsonl", reviews(160)), "--task", "classification", "--columns",
               "text=review,label=stars", "--out", tmp_path / "tuned", *FAST, "--train.epochs", "4")  # fmt: skip
    assert said.code == 0, said.err
    return tmp_path / "tuned"


def test_a_word_that_decides_is_learnt_and_told(tuned: Path, gpt: Gpt, write: Write) -> None:
    new = write("new.jsonl", [{"review": "A best time 999."}, {"review": "A worst time 999."}])
    assert [row["label"] for row in gpt("predict", tuned, new, "--json").json()["predictions"]] == ["good", "bad"]


def test_the_report_holds_scores_intervals_confusion_and_forgetting(
    gpt: Gpt, trained: Path, write: Write, tmp_path: Path
) -> None:
    train, valid = write("reviews.jsonl", reviews(40)), write("valid.jsonl", reviews(10))
    said = gpt("finetune", trained, train, "--valid", valid, "--task", "classification", "--columns",
               "text=review,label=stars", "--out", tmp_path / "tuned", *SHORT)  # fmt: skip
    assert said.code == 0, said.err
    for part in ("accuracy", "95% interval", "truth in rows", "held-out pretraining text", "before", "after"):
        assert part in said.out
    assert "2 classes: bad, good" in said.err
    assert (tmp_path / "tuned" / "loss.png").is_file()
    assert read_metrics(tmp_path / "tuned" / "metrics.jsonl")[0]["event"] == "pretraining"


def test_json_is_the_last_row_and_the_best_checkpoint(gpt: Gpt, trained: Path, write: Write, tmp_path: Path) -> None:
    said = gpt("finetune", trained, write("reviews.jsonl", reviews(40)), "--task", "classification", "--columns",
               "text=review,label=stars", "--out", tmp_path / "tuned", "--json", *SHORT)  # fmt: skip
    found = said.json()
    assert found["event"] == "end"
    assert found["step"] == 4
    assert found["accuracy_95"][0] <= found["accuracy"] <= found["accuracy_95"][1]
    assert Path(found["best_checkpoint"]).is_dir()


@pytest.mark.parametrize(
    ("task", "row"),
    [
        ("entailment", {"premise": "It was the best {i}.", "hypothesis": "It was good.", "label": "{p}"}),
        ("similarity", {"first": "It was the best {i}.", "second": "It was the worst.", "label": "{p}"}),
        ("choice", {"question": "It was the {i}?", "answers": ["best", "worst", "age"][:3], "label": "{p}"}),
        ("choice", {"context": "It was the {i}.", "question": "What?", "answers": ["best", "worst"], "label": "{p}"}),
        ("regression", {"text": "It was the best {i}.", "label": "{p}.5"}),
        ("regression", {"first": "It was {i}.", "second": "It is.", "label": "{p}.25"}),
    ],
)
def test_every_kind_of_task_trains_and_predicts(
    task: str, row: dict[str, Any], gpt: Gpt, trained: Path, write: Write, tmp_path: Path
) -> None:
    def filled(value: Any, i: int) -> Any:
        return value.format(i=i, p=i % 2) if isinstance(value, str) else value

    rows = [{key: filled(value, i) for key, value in row.items()} for i in range(40)]
    train = write("train.jsonl", rows)
    said = gpt("finetune", trained, train, "--task", task, "--out", tmp_path / "tuned", *SHORT)
    assert said.code == 0, said.err
    found = gpt("predict", tmp_path / "tuned", train, "--json").json()
    assert len(found["predictions"]) == 40
    assert found["scores"]


def test_a_stopped_run_is_resumed_to_the_same_numbers(gpt: Gpt, trained: Path, write: Write, tmp_path: Path) -> None:
    train = write("reviews.jsonl", reviews(40))
    words = [trained, train, "--task", "classification", "--columns", "text=review,label=stars", *SHORT]
    gpt("finetune", *words, "--out", tmp_path / "whole")
    stopped = gpt("finetune", *words, "--out", tmp_path / "parts", "--stop-at", "2")
    assert f"gpt resume {tmp_path / 'parts'}" in stopped.err
    train.unlink()
    assert gpt("resume", tmp_path / "parts").code == 0

    def losses(name: str) -> list[float]:
        rows = read_metrics(tmp_path / name / "metrics.jsonl")
        return [row["loss_nats"] for row in rows if row["event"] in ("train", "valid", "end")]

    assert losses("parts") == losses("whole")


def test_a_tuned_model_still_speaks_and_can_be_exported(tuned: Path, gpt: Gpt, tmp_path: Path) -> None:
    assert gpt("generate", tuned, "--prompt", "It was", "--max-tokens", "5").out.startswith("It was")
    assert gpt("inspect", tuned).code == 0
    exported = gpt("export", tuned, "--to", "hf", "--out", tmp_path / "hf")
    assert exported.code == 0, exported.err


def test_guards_against_forgetting_are_flags(gpt: Gpt, trained: Path, write: Write, tmp_path: Path) -> None:
    words = [trained, write("reviews.jsonl", reviews(40)), "--task", "classification", "--columns",
             "text=review,label=stars", "--force", "--out", tmp_path / "tuned", "--json", *SHORT]  # fmt: skip
    for guards in (
        ["--train.replay", "0.5", "--train.l2-sp", "0.1"],
        ["--train.freeze-blocks", "1"],
        ["--train.lora-rank", "2"],
    ):
        said = gpt("finetune", *words, *guards)
        assert said.code == 0, said.err
        assert said.json()["pretraining_loss_nats"] > 0


@pytest.mark.parametrize(
    ("rows", "task", "more", "message"),
    [
        ([{"review": "Good.", "label": "a"}], "classification", [], "'text'"),
        ([{"text": "", "label": "a"}, {"text": "b", "label": "b"}], "classification", [], r"train.jsonl:1"),
        ([{"text": "a", "label": "a"}, {"text": "b", "label": "a"}] * 9, "classification", [], "at least 2 classes"),
        ([{"text": "a", "label": "good"}] * 20, "regression", [], r"train.jsonl:1.*classification"),
        ([{"text": "a", "label": i / 7} for i in range(60)], "classification", [], "regression"),
        ([{"question": "a", "answers": ["x", "y"], "label": 2}] * 20, "choice", [], r"train.jsonl:1"),
        ([{"text": "a", "label": "a"}], "clasification", [], "did you mean classification"),
        ([{"text": "a", "label": "a"}] * 20, "classification", ["--columns", "txt=text"], "did you mean text"),
        ([{"text": "a", "label": "a"}] * 20, "classification", ["--columns", "text"], "field=column"),
        ([{"text": "a", "label": "a"}, {"text": "b", "label": "b"}], "classification", [], "--valid"),
        ([], "classification", [], "no rows"),
        ([{"text": "a", "label": i % 5} for i in range(20)], "regression", ["--metric", "accuracy"], "got accuracy"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing_behind(
    rows: list[Any], task: str, more: list[str], message: str, gpt: Gpt, trained: Path, write: Write, tmp_path: Path
) -> None:
    said = gpt("finetune", trained, write("train.jsonl", rows), "--task", task, "--out", tmp_path / "tuned", *more)
    assert said.code in (1, 2)
    last = said.err.strip().splitlines()[-1]
    assert last.startswith("gpt: ")
    assert re.search(message, last)
    assert not (tmp_path / "tuned").exists()


def test_a_folder_that_holds_a_run_is_refused_before_anything_is_read(gpt: Gpt, trained: Path) -> None:
    said = gpt("finetune", trained, "nowhere.jsonl", "--task", "classification", "--out", trained)
    assert said.code == 1
    assert said.err.startswith(f"gpt: {trained} already holds a run")


def test_without_a_folder_to_make_one_is_asked_for(gpt: Gpt, trained: Path, write: Write) -> None:
    said = gpt("finetune", trained, write("train.jsonl", []), "--task", "classification")
    assert said.code == 2
    assert said.err == "gpt: --out is missing: name the run folder to make, for example --out runs/reviews\n"


def test_a_validation_label_unseen_in_training_is_named(gpt: Gpt, trained: Path, write: Write, tmp_path: Path) -> None:
    train = write("train.jsonl", [{"text": f"a {i}", "label": "ab"[i % 2]} for i in range(20)])
    valid = write("valid.jsonl", [{"text": "a", "label": "a"}, {"text": "b", "label": "c"}])
    out = tmp_path / "tuned"
    said = gpt("finetune", trained, train, "--valid", valid, "--task", "classification", "--out", out, *SHORT)
    assert said.code == 1
    assert re.search(r"valid\.jsonl:2.*'c'.*a, b", said.err)
    assert gpt("finetune", trained, train, "--task", "classification", "--out", out, *SHORT).code == 0


def test_examples_longer_than_the_context_are_counted(gpt: Gpt, trained: Path, write: Write, tmp_path: Path) -> None:
    rows = [{"text": "It was the best of times. " * (20 if i < 3 else 1), "label": i % 2} for i in range(40)]
    said = gpt("finetune", trained, write("train.jsonl", rows), "--task", "classification", "--out", tmp_path / "tuned",
               "--valid", write("valid.jsonl", rows), *SHORT)  # fmt: skip
    assert "3 of 40 training examples were cut to the model's context of 16 tokens" in said.err


def test_without_text_forgetting_is_said_to_be_unmeasured(
    gpt: Gpt, trained: Path, write: Write, tmp_path: Path
) -> None:
    (best,) = (trained / "checkpoints").glob("step-00000008")
    alone = tmp_path / "alone"
    alone.symlink_to(best)
    words = [alone, write("reviews.jsonl", reviews(40)), "--task", "classification", "--columns",
             "text=review,label=stars", "--out", tmp_path / "tuned", *SHORT]  # fmt: skip
    assert "forgetting is not measured" in gpt("finetune", *words).err
    refused = gpt("finetune", *words, "--force", "--train.replay", "1")
    assert refused.code == 2
    assert "--pretraining" in refused.err


def test_an_export_says_what_it_leaves_out(gpt: Gpt, tuned: Path, tmp_path: Path) -> None:
    said = gpt("export", tuned, "--to", "hf", "--out", tmp_path / "hf")
    assert said.code == 0
    assert (
        "note: the head and special tokens of fine-tuning are left out: this is the language model inside" in said.err
    )
