import errno
import json
import os
from pathlib import Path

import pytest

from gptrilogy.errors import RunError
from gptrilogy.metrics import MetricsLog, cut_metrics, read_metrics


def test_rows_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_metrics(path) == []
    log = MetricsLog(path)
    rows = [{"event": "train", "step": 1, "loss_nats": 0.1 + 0.2}, {"event": "note", "step": 1, "text": "né\u2028\n"}]
    assert [log.append(row) for row in rows] == rows
    assert read_metrics(path) == rows
    assert log.append({"event": "train", "step": 2, "loss_nats": float("nan"), "grad_norm": float("-inf")}) == {
        "event": "train",
        "step": 2,
        "loss_nats": None,
        "grad_norm": None,
    }
    assert len(path.read_text("ascii").splitlines()) == 3


def test_a_line_torn_anywhere_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    row, last = {"event": "train", "step": 1}, '{"event": "train", "step": 12}'
    for length in range(len(last)):
        path.write_text(json.dumps(row) + "\n" + last[:length], encoding="utf-8")
        assert read_metrics(path) == [row]
    for damaged in (
        b'{"text": "\xc3',
        b"12\n",
        b'{"event": "train"}\n',
        b'{"evens": "train", "step": 2}\n',
        b"[" * 100_000,
    ):
        path.write_bytes(b'{"event": "train", "step": 1}\n' + damaged)
        assert read_metrics(path) == [row]


def test_rows_after_a_step_are_cut_with_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    for step in range(1, 6):
        log.append({"event": "train", "step": step})
    log.append({"event": "valid", "step": 3})
    path.write_bytes(path.read_bytes() + b'{"event": "tr')
    cut_metrics(path, 3)
    log.append({"event": "resume", "step": 3})
    assert [(row["event"], row["step"]) for row in read_metrics(path)] == [
        ("train", 1),
        ("train", 2),
        ("train", 3),
        ("valid", 3),
        ("resume", 3),
    ]
    cut_metrics(tmp_path / "new.jsonl", 0)
    assert (tmp_path / "new.jsonl").read_bytes() == b""


@pytest.mark.parametrize("failing", ["open", "fsync"])
def test_a_full_disk_under_the_log_is_named(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricsLog(path).flush()  # there is nothing yet
    MetricsLog(path).append({"event": "train", "step": 1})
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((Path, "write_bytes") if failing == "open" else (os, "fsync")), full)
    with pytest.raises(RunError, match=r"cannot write .*metrics\.jsonl: No space left on device; mend that, and `gpt"):
        cut_metrics(path, 0) if failing == "open" else MetricsLog(path).flush()
    assert path.read_bytes() == before


def test_a_log_that_cannot_be_written_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(RunError, match=r"cannot write .*metrics\.jsonl: Is a directory; mend that, and `gpt resume"):
        MetricsLog(tmp_path / "metrics.jsonl").append({"step": 1})
