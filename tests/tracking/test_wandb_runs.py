"""What lies in W&B's own file is what the log says, and nothing leaves the machine."""

import json
import os
import struct
from functools import partial
from pathlib import Path

import pytest
import wandb
from wandb.proto.wandb_internal_pb2 import (
    Record,  # pyright: ignore[reportAttributeAccessIssue] - made at import
)

from gptrilogy.metrics import read_metrics
from gptrilogy.tracking.following import Follower
from gptrilogy.tracking.points import points
from gptrilogy.tracking.wandb_runs import WandbRuns
from tracked_training import CONFIG, Training

BLOCK_BYTES, HEADER_BYTES = 32_768, 7


def records(path: Path) -> list[Record]:
    """The records of a .wandb file, which is LevelDB's log: blocks of fragments, each with checksum, length, kind."""
    data, found, whole, place = path.read_bytes(), [], b"", HEADER_BYTES
    while place + HEADER_BYTES <= len(data):
        left = BLOCK_BYTES - place % BLOCK_BYTES
        if left < HEADER_BYTES:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        whole += data[place + HEADER_BYTES : place + HEADER_BYTES + length]
        place += HEADER_BYTES + length
        if kind in {1, 4}:  # a whole record, or the last of its parts
            found.append(Record.FromString(whole))
            whole = b""
    return found


def history(folder: Path) -> dict[int, dict[str, float]]:
    """The numbers of each step."""
    [path] = folder.glob("*.wandb")
    found: dict[int, dict[str, float]] = {}
    for record in records(path):
        if record.WhichOneof("record_type") == "history":
            items = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
            row = found.setdefault(record.history.step.num, {})
            row |= {key: float(value) for key, value in items.items() if not key.startswith("_")}
    return found


def logged(training: Training) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for row in read_metrics(training.run.metrics_path):
        if numbers := points(row):
            found.setdefault(row["step"], {}).update(numbers)
    return found


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:1")  # where nobody listens
    return Training(tmp_path / "tale")


def test_a_run_that_is_resumed_is_told_again_as_a_whole(training: Training) -> None:
    follower = Follower(training.run, partial(WandbRuns, folder=training.run.folder))
    training.train(1, 6)
    follower.catch_up()
    training.resume(4)
    training.train(5, 7, loss_nats=3.0)
    training.validate("valid", 7, float("nan"))
    training.validate("end", 7, 2.0)
    follower.catch_up()
    said = str(follower.close())
    wandb.teardown()  # as at the end of a process: its other process has then written everything
    folders = sorted((training.run.folder / "wandb").glob("offline-run-*"), key=lambda path: path.stat().st_mtime_ns)
    last = next(folder for folder in folders if f"wandb sync {folder}" in said)
    assert len(folders) == 2
    assert "1 older" in said
    assert history(last) == {step: pytest.approx(row, nan_ok=True) for step, row in logged(training).items()}
    [path] = last.glob("*.wandb")
    [run] = [record.run for record in records(path) if record.WhichOneof("record_type") == "run"][:1]
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert run.display_name == "tale"
    assert {key: config[key] for key in CONFIG} == CONFIG
