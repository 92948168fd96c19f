"""`gpt predict`: from files and from stdin, as they come, to lines, JSON lines, or one JSON document."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gpt_command import Gpt
from gptrilogy.checkpoints import Checkpoint, write_checkpoint
from gptrilogy.finetuning.config import FinetuneConfig, TaskConfig, TuneConfig
from gptrilogy.finetuning.model import extended, initial_model
from gptrilogy.models import GPTConfig
from gptrilogy.tokenizers import BytesTokenizer, save_tokenizer

SIZES = GPTConfig(n_vocab=257, n_ctx=32, n_embd=16, n_head=2, n_layer=1, init_std=0.3)


def write_tuned(folder: Path, task: TaskConfig) -> Path:
    """A run of random weights that has an opinion."""
    config = FinetuneConfig(task=task, model=extended(SIZES, TuneConfig()))
    model = initial_model(config.model, {}, task, TuneConfig(transfer_layers=-1), seed=0)
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(1))
    tokenizer = save_tokenizer(BytesTokenizer(), folder / "tokenizer").parent
    checkpoint = Checkpoint(config.model_dump(mode="json"), model.state_dict())
    step = folder / "checkpoints" / "step-00000001"
    write_checkpoint(step, checkpoint, tokenizer=tokenizer, summary={"step": 1, "valid_score": 0.5})
    return folder


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    task = TaskConfig(labels=("bad", "good"), metrics=("accuracy", "f1"), columns={"text": "3", "label": "1"})
    return write_tuned(tmp_path / "tuned", task)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.tsv"
    path.write_text("x\tgood\t\tA triumph.\nx\tbad\t\tA bore.\n")
    return path


def test_a_file_is_read_as_the_training_file_was(tuned: Path, table: Path, gpt: Gpt) -> None:
    said = gpt("predict", tuned, table)
    header, *lines = said.out.splitlines()
    assert header == "prediction\tbad\tgood"
    for line in lines:
        label, *shares = line.split("\t")
        assert sum(map(float, shares)) == pytest.approx(1, abs=1e-3)
        assert label == max(zip(shares, ("bad", "good"), strict=True))[1]
    assert len(lines) == 2
    assert "accuracy" in said.err
    assert "truth in rows" in said.err


def test_one_document_and_json_lines_hold_the_same(tuned: Path, table: Path, gpt: Gpt) -> None:
    document = gpt("predict", tuned, table, "--json").json()
    lines = [json.loads(line) for line in gpt("predict", tuned, table, "--jsonl").out.splitlines()]
    assert document["predictions"] == lines
    assert [row["truth"] for row in lines] == ["good", "bad"]
    assert set(document["scores"]) == {"accuracy", "f1"}


def test_nothing_on_stdin_is_an_error(tuned: Path, gpt: Gpt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b""))))
    said = gpt("predict", tuned, "--json")
    assert (said.code, said.out) == (1, "")
    assert "stdin holds no rows" in said.err


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("A triumph.\nA bore.\n", []),
        ('{"text": "A triumph."}\n{"text": "A bore."}\n', []),
        ("A triumph.\t1\nA bore.\t0\n", ["--format", "tsv", "--columns", "text=0"]),
        ("text\nA triumph.\nA bore.\n", ["--format", "csv", "--columns", "text=text"]),
    ],
    ids=["texts", "jsonl", "tsv", "csv"],
)
def test_stdin_in_any_form_gives_what_a_file_gives(
    text: str, flags: list[str], tuned: Path, table: Path, gpt: Gpt, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [row["probabilities"] for row in gpt("predict", tuned, table, "--json").json()["predictions"]]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(text.encode()))))
    found = [row["probabilities"] for row in gpt("predict", tuned, "-", "--json", *flags).json()["predictions"]]
    assert found == [pytest.approx(row, abs=1e-6) for row in expected]


@pytest.mark.slow
def test_a_line_is_answered_before_the_next_one_comes(tuned: Path) -> None:
    command = [sys.executable, "-m", "gptrilogy", "predict", str(tuned), "--jsonl"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        for text in ("A triumph.", "A bore."):
            print(text, file=process.stdin, flush=True)
            assert json.loads(process.stdout.readline())["label"] in ("bad", "good")
        process.stdin.close()
        assert process.wait() == 0


def test_what_came_before_a_bad_row_is_given_out(tuned: Path, tmp_path: Path, gpt: Gpt) -> None:
    (tmp_path / "new.jsonl").write_text('{"text": "A triumph."}\n{"text": 7}\n{"text": "A bore."}\n')
    said = gpt("predict", tuned, tmp_path / "new.jsonl", "--jsonl")
    assert said.code == 1
    assert len(said.out.splitlines()) == 1
    assert "new.jsonl:2" in said.err


def test_nothing_that_looks_like_a_result_comes_of_a_file_that_is_not_there(tuned: Path, gpt: Gpt) -> None:
    said = gpt("predict", tuned, "nowhere")
    assert (said.code, said.out) == (1, "")
    assert said.err == "gpt: cannot read nowhere: No such file or directory; check the name and its permissions\n"


def test_a_label_unknown_to_the_run_is_refused(tuned: Path, tmp_path: Path, gpt: Gpt) -> None:
    (tmp_path / "new.jsonl").write_text('{"text": "A triumph.", "label": "goood"}\n')
    said = gpt("predict", tuned, tmp_path / "new.jsonl")
    assert said.code == 1
    assert "did you mean good?" in said.err


def test_answers_of_varying_number_share_one_each(tmp_path: Path, gpt: Gpt) -> None:
    run = write_tuned(tmp_path / "tuned", TaskConfig(kind="choice", name="choice", metrics=("accuracy",)))
    rows = [{"question": "Who?", "answers": [f"Answer {i}" for i in range(n)], "label": 0} for n in (2, 5, 3)]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = gpt("predict", run, tmp_path / "new.jsonl", "--json").json()["predictions"]
    assert [len(row["probabilities"]) for row in found] == [2, 5, 3]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in found)
    assert [row["answer"] for row in found] == [f"Answer {row['label']}" for row in found]


def test_a_language_model_predicts_no_labels(trained: Path, table: Path, gpt: Gpt) -> None:
    said = gpt("predict", trained, table)
    assert said.code == 1
    assert "gpt finetune" in said.err
