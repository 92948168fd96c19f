"""What a run goes on from: whole checkpoints alone, of its own config; and nothing is lost where it cannot go on."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from gptrilogy import checkpoints
from gptrilogy.checkpoints import MODEL, best, checkpoint_folders, manifest
from gptrilogy.config import Tree, merge
from gptrilogy.errors import CheckpointError, RunError, UnreadableCheckpointError
from gptrilogy.files import sha256_file
from gptrilogy.metrics import MetricsLog, Row, read_metrics
from gptrilogy.runs import Run
from gptrilogy.training import pretrain as pretraining
from gptrilogy.training.loop import Outcome
from gptrilogy.training.progress import ConsoleReporter
from validations import cut_short, finding

Train = Callable[..., Outcome]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def damage(folder: Path, name: str = MODEL) -> Path:
    path = folder / name
    path.write_bytes(path.read_bytes().replace(b"e", b"f", 1))
    return path


def test_a_damaged_checkpoint_is_named_set_aside_and_the_one_before_it_taken(
    whole: Run, new_run: Callable[..., Run], train: Train, assert_equal_runs: Callable[[Run, Run], None]
) -> None:
    run, warnings = new_run(), list[str]()
    train(run, stop_at=29)
    for name in (MODEL, "manifest.json"):
        path = damage(checkpoint_folders(run.checkpoints_folder)[-1], name)
        train(run, stop_at=27, warnings=warnings)
        assert str(path) in warnings[-1]
        assert warnings[-1].endswith("and training goes on from step-00000020")
        assert checkpoint_folders(run.checkpoints_folder)[-1] == run.checkpoint_folder(27)
    assert len(warnings) == 2
    assert sorted(path.name for path in run.checkpoints_folder.glob("damaged-*")) == [
        "damaged-step-00000027",
        "damaged-step-00000029",
    ]
    train(run)
    assert_equal_runs(whole, run)


def test_a_damaged_checkpoint_of_long_ago_is_no_more_the_best(
    new_run: Callable[..., Run], train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining, "validate", finding(3.0, 5.0, 4.0, 4.5, 4.4, 4.2))
    run, warnings = new_run(), list[str]()
    train(run, stop_at=30)
    oldest = checkpoint_folders(run.checkpoints_folder)[0]
    assert best(run.checkpoints_folder) == oldest == run.checkpoint_folder(10)
    damage(oldest)
    outcome = train(run, warnings=warnings)
    assert outcome.finished
    assert outcome.best_checkpoint == run.checkpoint_folder(30)
    assert [warning.rpartition("; ")[2] for warning in warnings] == [
        "its checkpoint is set aside as damaged-step-00000010"
    ]


def test_where_no_checkpoint_is_whole_nothing_is_trained_and_nothing_lost(
    whole: Run, new_run: Callable[..., Run], train: Train, assert_equal_runs: Callable[[Run, Run], None]
) -> None:
    run = new_run()
    train(run, stop_at=25)
    for folder in checkpoint_folders(run.checkpoints_folder):
        (folder / MODEL).rename(folder / "elsewhere")
    before = contents(run.folder)
    with pytest.raises(
        CheckpointError, match=r"no checkpoint of .* is whole: .*00000025/model\.safetensors is missing"
    ):
        train(run)
    assert contents(run.folder) == before
    for folder in checkpoint_folders(run.checkpoints_folder):
        (folder / "elsewhere").rename(folder / MODEL)
    train(run)
    assert_equal_runs(whole, run)


def test_a_checkpoint_that_cannot_be_read_stops_the_run_and_loses_nothing(
    whole: Run,
    new_run: Callable[..., Run],
    train: Train,
    assert_equal_runs: Callable[[Run, Run], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = new_run()
    train(run, stop_at=25)
    before, denied = contents(run.folder), run.checkpoint_folder(25) / MODEL

    def read(path: Path) -> str:
        if path == denied:
            raise PermissionError(13, "Permission denied", str(path))
        return sha256_file(path)

    with monkeypatch.context() as guarded:
        guarded.setattr(checkpoints, "sha256_file", read)
        with pytest.raises(
            UnreadableCheckpointError, match=r"model\.safetensors cannot be read: Permission denied; mend that"
        ):
            train(run)
    assert contents(run.folder) == before
    train(run)
    assert_equal_runs(whole, run)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": {"n_layer": 3}}, "written with model.n_layer 2, and the run's config.json says 3"),
        ({"model": {"n_head": 4}}, "written with model.n_head 2, and the run's config.json says 4"),
        ({"train": {"optimizer": "muon"}}, "written with train.optimizer adamw, and the run's config.json says muon"),
        ({"train": {"optimizer": "muon", "valid_every": 7}}, "train.optimizer"),
    ],
)
def test_a_config_that_the_checkpoint_does_not_fit_is_named(
    change: Tree, says: str, new_run: Callable[..., Run], train: Train
) -> None:
    run = new_run()
    train(run, stop_at=5)
    config = run.config()
    run.write_config(merge(config, change))
    before = contents(run.folder)
    with pytest.raises(CheckpointError, match=says):
        train(run)
    assert contents(run.folder) == before


def test_a_config_may_be_changed_where_no_tensor_depends_on_it(new_run: Callable[..., Run], train: Train) -> None:
    run = new_run()
    train(run, stop_at=5)
    run.write_config(merge(run.config(), {"model": {"dropout": 0.0}, "train": {"learning_rate": 1e-3, "max_steps": 7}}))
    assert train(run).finished


def test_a_kill_between_score_and_log_loses_neither(
    new_run: Callable[..., Run], train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint was written while its validation was cut short; the next command validates, and is killed."""
    run = new_run()
    with monkeypatch.context() as stopped:
        stopped.setattr(pretraining, "validate", cut_short)
        train(run, stop_at=10)
    assert "valid_loss_nats" not in manifest(run.checkpoint_folder(10))

    def killed(self: MetricsLog, row: Row) -> Row:
        if row["event"] == "valid":
            raise RunError("killed")
        return append(self, row)

    append = MetricsLog.append
    with monkeypatch.context() as dying:
        dying.setattr(MetricsLog, "append", killed)
        with pytest.raises(RunError, match="killed"):
            train(run, stop_at=12)
    assert manifest(run.checkpoint_folder(10))["valid_loss_nats"] > 0
    train(run, stop_at=12)
    rows = [row for row in read_metrics(run.metrics_path) if row["event"] == "valid"]
    assert [row["step"] for row in rows] == [10]
    assert rows[0]["loss_nats"] == manifest(run.checkpoint_folder(10))["valid_loss_nats"]


def test_seconds_never_go_back(new_run: Callable[..., Run], train: Train) -> None:
    run = new_run()
    for stop_at in (3, 10, 12, None):
        train(run, stop_at=stop_at)
    seconds = [row["elapsed_s"] for row in read_metrics(run.metrics_path)]
    assert seconds == sorted(seconds)


def test_people_are_told_of_a_loss_that_is_not_finite(
    new_run: Callable[..., Run],
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []

    def show(_: ConsoleReporter, message: str) -> None:
        shown.append(message)

    monkeypatch.setattr(ConsoleReporter, "_print", show)
    monkeypatch.setattr(pretraining, "validate", finding(math.nan))
    train(new_run(), stop_at=10)
    assert [line.partition(",")[0] for line in shown if "held-out" in line] == [
        "step 10: the held-out loss is not finite"
    ]
