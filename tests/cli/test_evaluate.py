"""`gpt evaluate`: rows, files and pictures of a results folder, what stops it in one line, and that it goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gpt_command import Gpt
from gptrilogy.tokenizers import BytesTokenizer
from tiny_run import write_run

CONTRACT = {"task", "shots", "draw", "rule", "metric", "value", "stderr", "n"}
THINGS = ("boil an egg", "row a boat", "paint a door", "climb a hill", "mend a shoe", "bake bread")


def write_hellaswag(folder: Path, n: int = 8) -> Path:
    """Published files of texts of our own."""
    for name in ("val", "train"):
        lines = [
            json.dumps(
                {
                    "activity_label": f"Lesson {number} {name}",
                    "ctx": f"To {THINGS[number % 6]}, they",
                    "endings": [
                        f"{verb} {THINGS[(number + 1) % 6]}." for verb in ("try to", "cannot", "need to", "do")
                    ],
                    "label": number % 4,
                }
            )
            for number in range(n)
        ]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"hellaswag_{name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "bytes"
    write_run(folder, BytesTokenizer(), n_ctx=256)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hellaswag(tmp_path_factory.mktemp("data"))


def put(run: Path, data: Path, *words: object) -> list[object]:
    return ["evaluate", run, "--tasks", "hellaswag", "--data", data, *words]


def test_one_document_has_a_row_for_each_result(run: Path, data: Path, gpt: Gpt) -> None:
    document = gpt(*put(run, data, "--shots", "0,1", "--draws", 2, "--all-rules", "--json")).json()
    rows = document["results"]
    assert all(row.keys() >= CONTRACT for row in rows)
    rules = ["sum", "token", "character", "byte", "unconditional"]
    settings = [(0, 0), (1, 0), (1, 1)]
    assert [(row["shots"], row["draw"], row["rule"]) for row in rows] == [
        (*s, rule) for s in settings for rule in rules
    ]
    assert {(row["task"], row["metric"], row["n"], row["model"]) for row in rows} == {("hellaswag", "acc", 8, "bytes")}
    assert all(0 <= row["value"] <= 1 for row in rows)
    assert document["files"]["hellaswag"].keys() == {"hellaswag_val.jsonl", "hellaswag_train.jsonl"}
    assert document["failures"] == []


def test_a_table_for_people(run: Path, data: Path, gpt: Gpt) -> None:
    said = gpt(*put(run, data, "--shots", "0"))
    assert said.code == 0
    assert "hellaswag" in said.out
    assert "± items" in said.out
    assert "33.7 (gpt3-small)" in said.out  # what the paper has, of its nearest size
    assert "NaN" not in said.out


def test_the_folder_holds_answers_results_records_and_a_picture(
    run: Path, data: Path, gpt: Gpt, tmp_path: Path
) -> None:
    said = gpt(*put(run, data, "--shots", "0,2", "--out", tmp_path / "ev", "--json"))
    assert said.code == 0
    assert {path.name for path in (tmp_path / "ev").iterdir()} == {
        *("answers.jsonl", "results.json", "records.jsonl", "shots.png", ".lock")
    }
    assert json.loads((tmp_path / "ev" / "results.json").read_text()) == said.json()
    records = [json.loads(line) for line in (tmp_path / "ev" / "records.jsonl").read_text().splitlines()]
    for shots, row in zip((0, 2), said.json()["results"], strict=True):
        values = [record["value"] for record in records if record["shots"] == shots]
        assert len(values) == 8
        assert sum(values) / 8 == pytest.approx(row["value"])
    assert len((tmp_path / "ev" / "answers.jsonl").read_text().splitlines()) == 2 * 8
    with Image.open(tmp_path / "ev" / "shots.png") as image:
        assert image.width > 400


def test_the_same_command_again_asks_nothing_and_says_the_same(run: Path, data: Path, gpt: Gpt, tmp_path: Path) -> None:
    words = put(run, data, "--shots", "0,2", "--draws", 2, "--out", tmp_path / "ev", "--json")
    first = gpt(*words).json()
    before = (tmp_path / "ev" / "answers.jsonl").read_bytes()
    again = gpt(*words)
    assert again.json() == first
    assert "questions/s" not in again.err
    assert (tmp_path / "ev" / "answers.jsonl").read_bytes() == before


@pytest.mark.parametrize("words", [["--batch-size", 7], ["--seed", 0]], ids=str)
def test_the_batch_size_is_no_part_of_a_result(run: Path, data: Path, gpt: Gpt, words: list[object]) -> None:
    one = gpt(*put(run, data, "--shots", "0,2", "--all-rules", "--json")).json()["results"]
    other = gpt(*put(run, data, "--shots", "0,2", "--all-rules", "--json", *words)).json()["results"]
    assert one == other


def test_a_hugging_face_folder_gives_the_numbers_of_the_run_it_came_from(
    run: Path, data: Path, gpt: Gpt, tmp_path: Path
) -> None:
    assert gpt("export", run, "--to", "hf", "--out", tmp_path / "hf").code == 0
    options = ["--shots", "0,2", "--all-rules", "--json"]
    ours = gpt(*put(run, data, *options)).json()["results"]
    theirs = gpt(*put(tmp_path / "hf", data, *options)).json()["results"]
    assert [{**row, "model": ""} for row in ours] == [{**row, "model": ""} for row in theirs]


def test_two_models_stand_side_by_side(run: Path, data: Path, gpt: Gpt, tmp_path: Path) -> None:
    write_run(tmp_path / "other" / "bytes", BytesTokenizer(), n_ctx=128)
    out = tmp_path / "both"
    said = gpt("evaluate", run, tmp_path / "other" / "bytes", *put(run, data, "--shots", 0, "--out", out, "--json")[2:])
    assert said.code == 0
    assert [row["model"] for row in said.json()["results"]] == [str(run), str(tmp_path / "other" / "bytes")]
    assert (
        "model"
        in gpt("evaluate", run, tmp_path / "other" / "bytes", *put(run, data, "--shots", 0, "--out", out)[2:]).out
    )
    assert not (out / "sizes.png").exists(), "both have the same size"


def test_bf16_is_said_in_each_row(run: Path, data: Path, gpt: Gpt) -> None:
    rows = gpt(*put(run, data, "--precision", "bf16", "--shots", "0", "--json")).json()["results"]
    assert {row["precision"] for row in rows} == {"bf16"}
    assert " bf16 " in gpt(*put(run, data, "--precision", "bf16", "--shots", "0")).out


def test_the_data_folder_may_come_from_the_environment(
    run: Path, data: Path, gpt: Gpt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPTRILOGY_DATA", str(data))
    assert gpt("evaluate", run, "--tasks", "hellaswag", "--shots", "0", "--limit", 3, "--json").json()["limit"] == 3


def test_every_task_is_listed(gpt: Gpt) -> None:
    said = gpt("evaluate", "--list")
    assert said.code == 0
    assert "hellaswag_val.jsonl" in said.out


def test_help_and_list_load_no_torch() -> None:
    for words in (["--help"], ["--list"]):
        code = (
            f"import sys\nfrom gptrilogy.cli import main\ntry: main(['evaluate', *{words!r}])\n"
            "except SystemExit as exit: print('code', exit.code, 'torch' in sys.modules)"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert said.stdout.splitlines()[-1] == "code 0 False"


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["--tasks", "helaswag"], 2, "there is no task helaswag; did you mean hellaswag?"),
        (["--tasks", "hellaswag,"], 2, "there is no task "),
        (["--tasks", "hellaswag", "--shots", "0,some"], 2, "--shots must be whole numbers by commas"),
        (["--tasks", "hellaswag", "--shots", "-1"], 2, "--shots"),
        (["--tasks", "hellaswag", "--shots", ""], 2, "--shots"),
        (["--tasks", "hellaswag", "--shots", "9"], 1, "9 demonstrations were asked for"),
        (["--tasks", "hellaswag", "--draws", "0"], 2, "--draws"),
        (["--tasks", "hellaswag", "--limit", "0"], 2, "--limit"),
        (["--tasks", "hellaswag", "--batch-size", "0"], 2, "--batch-size"),
        (["--tasks", "hellaswag", "--data", "nowhere"], 1, "nowhere lacks the test file of hellaswag; put it there"),
        (["--tasks", "hellaswag", "--out", "/dev/null/ev"], 1, "cannot write the folder /dev/null/ev"),
        (["--tasks", "hellaswag", "--out", "/dev/null"], 1, "cannot write the folder /dev/null"),
        ([], 2, "give a model and --tasks"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_one_line(
    words: list[str], code: int, line: str, run: Path, data: Path, gpt: Gpt
) -> None:
    given = words if "--data" in words else [*words, "--data", str(data)]
    said = gpt("evaluate", run, *given)
    assert said.code == code
    assert line in said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    if code == 1 and "--out" not in words:
        last = said.err.splitlines()[-1]
        assert last.startswith("gpt: not everything could be evaluated: hellaswag; the first: ")
        assert line in last
    else:
        assert len(said.err.splitlines()) == 1


def test_models_that_cannot_be_are_one_line(run: Path, data: Path, gpt: Gpt, tmp_path: Path) -> None:
    for models, line in [
        ([], "give a model and --tasks"),
        ([tmp_path / "none"], str(tmp_path / "none")),
        ([run, run], "a model was named twice"),
    ]:
        said = gpt("evaluate", *models, *put(run, data)[2:])
        assert said.code in {1, 2}
        assert line in said.err.splitlines()[-1]


def test_one_task_without_files_costs_no_other_and_the_exit_code_says_so(run: Path, data: Path, gpt: Gpt) -> None:
    said = gpt("evaluate", run, "--tasks", "piqa,hellaswag", "--shots", "0", "--data", data, "--json")
    assert said.code == 1
    document = said.json()
    assert [row["task"] for row in document["results"]] == ["hellaswag"]
    [failure] = document["failures"]
    assert failure["task"] == "piqa"
    assert "lacks the test file of piqa" in failure["reason"]
    assert "not everything could be evaluated: piqa; the first: " in said.err


def test_results_are_not_put_into_a_run(run: Path, data: Path, gpt: Gpt) -> None:
    before = sorted(run.rglob("*"))
    said = gpt(*put(run, data, "--out", run))
    assert (said.code, said.err) == (1, f"gpt: {run} holds a run: choose another --out\n")
    assert sorted(run.rglob("*")) == before


def test_a_folder_in_use_is_left_alone(run: Path, data: Path, gpt: Gpt, tmp_path: Path) -> None:
    from gptrilogy.runs import Run

    (tmp_path / "ev").mkdir()
    with Run(tmp_path / "ev").locked():
        said = gpt(*put(run, data, "--out", tmp_path / "ev"))
    assert said.code == 1
    assert "another process" in said.err
    assert not (tmp_path / "ev" / "answers.jsonl").exists()


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_and_ends_as_if_it_had_not_been(run: Path, gpt: Gpt, tmp_path: Path) -> None:
    data = write_hellaswag(tmp_path / "data", n=500)
    words = [str(word) for word in put(run, data, "--shots", "0,2", "--out", tmp_path / "ev")]
    answers = tmp_path / "ev" / "answers.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "gptrilogy", *words],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    end_s = time.monotonic() + 120
    while not answers.exists() or answers.stat().st_size < 1000:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end_s
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    n_kept = answers.read_bytes().count(b"\n")
    assert 0 < n_kept < 1000
    assert not (tmp_path / "ev" / "results.json").exists()
    kept = answers.read_bytes()[: sum(map(len, answers.read_bytes().splitlines(keepends=True)[:n_kept]))]
    answers.write_bytes(kept + b'{"key": "ha')
    assert gpt(*words).code == 0
    assert answers.read_bytes().startswith(kept)
    assert answers.read_bytes().count(b"\n") == 1000, "what was answered was not asked again"
    whole: dict[str, Any] = gpt(*words[:-1], tmp_path / "whole", "--json").json()
    resumed = json.loads((tmp_path / "ev" / "results.json").read_text())
    assert resumed["results"] == whole["results"]
    assert (tmp_path / "ev" / "records.jsonl").read_bytes() == (tmp_path / "whole" / "records.jsonl").read_bytes()
