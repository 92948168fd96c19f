"""`gpt track`: which runs, from where, and when it ends."""

from pathlib import Path

import pytest

from gpt_command import Gpt
from gptrilogy.metrics import read_metrics
from gptrilogy.runs import Run


def test_a_run_that_has_ended_is_shown_and_left(gpt: Gpt, trained: Path, tmp_path: Path) -> None:
    n_rows = len(read_metrics(Run(trained).metrics_path))
    said = gpt("track", trained, "--to", "tensorboard", "--follow", "--out", tmp_path)
    assert said.code == 0
    assert f"{n_rows} rows" in said.out
    assert len(list((tmp_path / trained.name).glob("events.out.tfevents.*"))) == 1
    assert not list(trained.glob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nowhere", "--to", "tensorboard"], 1, "holds no run"),
        (["nowhere", "--to", "tensorbord"], 2, "tensorboard"),
        (["run", "--to", "tensorboard", "--follow", "--out", "file/logs"], 1, "cannot write the folder file/logs/run"),
        (["a/run", "b/run", "--to", "tensorboard", "--out", "out", "--follow"], 2, "out/run"),
    ],
)
def test_what_cannot_be_shown_gets_one_line(
    gpt: Gpt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    said = gpt("track", *words)
    assert said.code == code
    assert says in said.err.splitlines()[-1]
