"""What TensorBoard's own reader finds is what the log says."""

from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from gptrilogy.metrics import read_metrics
from gptrilogy.tracking.following import Follower
from gptrilogy.tracking.points import points
from gptrilogy.tracking.tensorboard_files import TensorBoardFiles
from tracked_training import Training


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(tmp_path / "tale")


def followed(training: Training) -> Follower:
    return Follower(training.run, partial(TensorBoardFiles, folder=training.run.folder))


def seen(reader: EventAccumulator) -> dict[str, list[tuple[int, float]]]:
    """Each name with its steps and numbers."""
    reader.Reload()
    tags = cast("dict[str, list[str]]", reader.Tags())["scalars"]
    return {tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in tags}


def logged(training: Training) -> dict[str, list[Any]]:
    """The same of the log; TensorBoard keeps numbers in 32 bits."""
    found: dict[str, list[Any]] = {}
    for row in read_metrics(training.run.metrics_path):
        for name, number in points(row).items():
            found.setdefault(name, []).append((row["step"], pytest.approx(number, rel=1e-6, nan_ok=True)))
    return found


def test_a_finished_run_as_it_was_logged(training: Training) -> None:
    training.train(1, 4)
    training.train(5, 5, loss_nats=float("inf"))
    training.validate("end", 5, 2.5)
    follower = followed(training)
    follower.catch_up()
    assert follower.has_ended
    assert "tensorboard --logdir" in str(follower.close())
    reader = EventAccumulator(str(training.run.folder))
    assert seen(reader) == logged(training)
    assert {"train/loss_nats", "lr", "grad_norm", "tokens", "tokens_per_s", "end/loss_nats_by_set/books"} <= set(
        seen(reader)
    )
    times = [event.wall_time for event in reader.Scalars("train/loss_nats")]
    assert [time - times[0] for time in times] == pytest.approx([0, 0.5, 1.0, 1.5, 2.0], abs=1e-3)


def test_a_reader_that_looks_on_forgets_what_a_resume_took_back(training: Training) -> None:
    training.train(1, 8)
    follower = followed(training)
    follower.catch_up()
    reader = EventAccumulator(str(training.run.folder))
    assert [step for step, _ in seen(reader)["train/loss_nats"]] == list(range(1, 9))
    training.resume(5)
    training.train(6, 7, loss_nats=3.0)
    follower.catch_up()
    assert seen(reader) == logged(training)
    training.train(8, 9)
    training.validate("end", 9, 2.0)
    follower.catch_up()
    assert seen(reader) == logged(training)
    follower.close()
    assert seen(EventAccumulator(str(training.run.folder))) == logged(training)


def test_following_again_begins_anew(training: Training) -> None:
    training.train(1, 3)
    for _ in range(2):
        follower = followed(training)
        follower.catch_up()
        follower.close()
    assert len(list(training.run.folder.glob("events.out.tfevents.*"))) == 1
    assert seen(EventAccumulator(str(training.run.folder))) == logged(training)


def test_the_config_is_there_as_hyperparameters_and_as_text(training: Training) -> None:
    follower = followed(training)
    follower.catch_up()
    follower.close()
    reader = EventAccumulator(str(training.run.folder))
    reader.Reload()
    read = plugin_data_pb2.HParamsPluginData.FromString  # pyright: ignore[reportAttributeAccessIssue] - made at import
    data = read(reader.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    found = data.session_start_info.hparams
    assert found["model.n_layer"].number_value == 2
    assert found["model.attention"].string_value == "dense,banded"
    assert "config/text_summary" in cast("dict[str, list[str]]", reader.Tags())["tensors"]
