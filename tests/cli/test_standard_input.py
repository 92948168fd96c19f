"""Text that comes through a pipe, and several sources by weight: what a user types, and what is said."""

import io
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from gpt_command import TEXT, TINY, Gpt
from gptrilogy.metrics import read_metrics

Pipe = Callable[[bytes], None]
LINES = "".join(json.dumps({"body": f"{number}. {TEXT[:200]}"}) + "\n" for number in range(40)).encode()


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    """Give the command a standard input."""

    def pipe(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return pipe


def test_a_run_is_trained_from_standard_input_and_goes_on_without_it(gpt: Gpt, pipe: Pipe, tmp_path: Path) -> None:
    pipe(LINES)
    run = tmp_path / "run"
    said = gpt("pretrain", "-", "--out", run, "--max-steps", 2, "--data.text-field", "body", *TINY)
    assert said.code == 0, said.err
    assert "MB from standard input: JSON lines, a document each" in said.err
    assert "packing 40 documents" in said.err
    assert not list(run.glob(".spool*"))  # it is packed
    end = read_metrics(run / "metrics.jsonl")[-1]
    assert end["epochs"] > 0
    assert f"read in training: {end['tokens']:,} tokens, {end['epochs']:.2f} times the text" in said.err
    said = gpt("resume", run, "--max-steps", 300, "--stop-at", 3)
    assert said.code == 0, said.err
    assert "by step 300 it will have read 19,200 tokens, " in said.err
    assert "(Muennighoff et al. 2023) the model begins to learn it by heart" in said.err


def test_an_interrupted_pipe_leaves_room_for_the_same_command(
    gpt: Gpt, pipe: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            raise KeyboardInterrupt

    words = ["pretrain", "-", "--out", tmp_path / "run", "--max-steps", 1, *TINY]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Interrupted()))
    assert gpt(*words).code == 130
    assert not list((tmp_path / "run").glob("*.jso*"))[1:]  # environment.json alone
    assert gpt("resume", tmp_path / "run").code == 1
    pipe(TEXT.encode())
    assert gpt(*words).code == 0


def test_sources_of_every_kind_are_mixed_by_weights_and_counted(gpt: Gpt, pipe: Pipe, tmp_path: Path) -> None:
    pipe(TEXT.encode())
    (tmp_path / "web.jsonl.zst").write_bytes(zstandard.compress(LINES.replace(b"body", b"text")))
    pq.write_table(pa.table({"text": [f"{number} {TEXT[:99]}" for number in range(30)]}), tmp_path / "books.parquet")
    os.mkfifo(tmp_path / "notes")
    threading.Thread(target=(tmp_path / "notes").write_text, args=(TEXT[:900],), daemon=True).start()
    names = ["web.jsonl.zst", "books.parquet", "notes"]
    weights = "web=40%,books=30%,stdin=20%,notes=10%"
    run = tmp_path / "run"
    words = [*(tmp_path / name for name in names), "-", "--data.weights", weights, "--max-steps", 10, *TINY]
    said = gpt("pretrain", *words, "--out", run, "--tokenizer", "bytes", "--train.valid-every", 10)
    assert said.code == 0, said.err
    assert "mixture: windows of 4 sets by weights\n" in said.err
    end = read_metrics(run / "metrics.jsonl")[-1]
    assert end["tokens_by_set"] == {"web": 256, "books": 192, "notes": 64, "stdin": 128}
    assert list(end["epochs_by_set"]) == ["web", "books", "notes", "stdin"]
    assert "read in training: 640 tokens: web 0.0" in said.err


def test_a_tokenizer_is_trained_from_standard_input_and_reported_on(gpt: Gpt, pipe: Pipe, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    tokenizers = [tmp_path / "piped", tmp_path / "read"]
    for source, out in zip(("-", tmp_path / "a.txt"), tokenizers, strict=True):
        pipe(TEXT.encode())
        assert gpt("tokenizer", "train", source, "--vocab-size", 280, "--out", out).code == 0
    piped, read = ((out / "tokenizer.json").read_bytes() for out in tokenizers)
    assert piped == read
    pipe(TEXT.encode())
    assert gpt("tokenizer", "report", "-", "--tokenizer", "bytes", "--json").json()["n_bytes"] == len(TEXT)


def test_a_plan_is_made_of_standard_input(gpt: Gpt, pipe: Pipe) -> None:
    pipe(TEXT.encode())
    said = gpt("plan", "-", "--max-steps", 100, "--json", *TINY)
    assert said.code == 0, said.err
    assert said.json()["epochs"] > 0


@pytest.mark.parametrize(
    ("content", "words", "code", "says"),
    [
        (b"", ["-"], 1, "standard input gave nothing"),
        (b" \n", ["-"], 1, "there is no text"),
        (b"text", ["-", "-"], 2, "standard input is given twice: leave one out; it can be read once"),
        (b"text", ["-", "--valid", "-"], 2, "standard input is given twice"),
        (b'{"text": "a"}\nb\n', ["-"], 1, "stdin.jsonl:2: not JSON"),
        (b"caf\xe9", ["-"], 1, "stdin.txt: not UTF-8 (byte 0xe9 at offset 3)"),
        (b"text", ["-", "--data.weights", "stdn=1"], 2, "the set stdn, which is not there: did you mean stdin?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_with_standard_input_is_one_line(
    gpt: Gpt, pipe: Pipe, content: bytes, words: list[str], code: int, says: str
) -> None:
    pipe(content)
    said = gpt("pretrain", *words, "--dry-run", "--max-steps", 1, *TINY)
    assert (said.code, says in said.err.splitlines()[-1]) == (code, True), said.err
