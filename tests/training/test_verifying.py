"""A run made again in memory: every bit of it, and any bit that is not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gptrilogy.checkpoints import checkpoint_folders, read_checkpoint, write_checkpoint
from gptrilogy.config import parse
from gptrilogy.data.shards import open_shards
from gptrilogy.devices import pick_device
from gptrilogy.errors import CheckpointError, ConfigError, RunError
from gptrilogy.files import sha256_file
from gptrilogy.metrics import read_metrics
from gptrilogy.runs import Run
from gptrilogy.training.config import RunConfig
from gptrilogy.training.loop import Outcome
from gptrilogy.training.pretrain import LanguageModelling, state_builder
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.state import state_hash
from gptrilogy.training.verifying import Replay, replay, starting_step

New = Callable[..., Run]
Train = Callable[..., Outcome]


@pytest.fixture
def copy(whole: Run, tmp_path: Path) -> Run:
    """The uninterrupted run of fifty steps, in a folder that may be damaged."""
    return Run(Path(shutil.copytree(whole.folder, tmp_path / "copy")))


@pytest.mark.parametrize(
    ("steps", "start", "states"), [(1, 40, ()), (7, 40, ()), (10, 40, (50,))], ids=["one", "some", "to a checkpoint"]
)
def test_a_run_repeats_itself_and_is_only_read(whole: Run, steps: int, start: int, states: tuple[int, ...]) -> None:
    before = contents(whole.folder)
    found = verify(whole, steps)
    assert found.verified
    assert (found.from_step, found.to_step, found.losses_compared) == (start, start + steps, steps)
    assert found.states_compared == states
    assert found.next_checkpoint == (None if states else 50)
    assert contents(whole.folder) == before


def test_the_end_tells_the_state_that_a_replay_reaches(whole: Run) -> None:
    newest = checkpoint_folders(whole.checkpoints_folder)[-1]
    told = read_metrics(whole.metrics_path)[-1]["state_sha256"]
    assert told == verify(whole, 10).state_sha256 == state_hash(read_checkpoint(newest))


def test_with_one_checkpoint_the_beginning_is_made_again(new_run: New, train: Train) -> None:
    run = new_run({"train": {"checkpoint_every": None, "max_steps": 12}})
    train(run)
    found = verify(run, 12)
    assert (found.verified, found.from_step, found.states_compared) == (True, 0, (12,))
    assert verify(run, 3).to_step == 3


def test_steps_after_the_last_checkpoint_count_too(copy: Run) -> None:
    shutil.rmtree(copy.checkpoint_folder(50))  # as if the process had been killed before it saved
    found = verify(copy, 10)
    assert (found.verified, found.from_step, found.to_step, found.states_compared) == (True, 40, 50, ())


def test_a_run_stopped_and_resumed_repeats_across_the_seam(new_run: New, train: Train) -> None:
    run = new_run({"train": {"checkpoint_every": None, "max_steps": 12}})
    train(run, stop_at=5)
    train(run)
    found = verify(run, 7)
    assert (found.verified, found.from_step, found.states_compared) == (True, 5, (12,))


@pytest.mark.parametrize("name", ["loss_nats", "grad_norm", "lr"])
def test_the_first_number_that_differs_by_a_bit_is_named(copy: Run, name: str) -> None:
    was, now = change_log(copy, step=43, name=name)
    found = verify(copy, 10)
    assert not found.verified
    assert found.difference == f"step 43: {name} was {now}, and is now {was}"
    assert found.to_step == 43


def test_a_state_that_differs_by_a_bit_is_named(copy: Run) -> None:
    folder = copy.checkpoint_folder(50)
    saved = read_checkpoint(folder)
    saved.model["wte.weight"].view(torch.int32)[0, 0] ^= 1
    write_checkpoint(folder, saved, tokenizer=copy.tokenizer_folder, summary={"step": 50})
    found = verify(copy, 10)
    assert found.difference
    assert found.difference.startswith("step 50: its loss is the logged one, but the state's SHA-256 was ")
    assert found.states_compared == (50,)


def test_a_changed_seed_is_noticed_at_the_first_step(copy: Run) -> None:
    config = copy.config()
    copy.write_config({**config, "seed": config["seed"] + 1})
    found = verify(copy, 10)
    assert found.difference
    assert found.difference.startswith("step 41: loss_nats was ")


def test_a_skipped_step_repeats_as_one(new_run: New, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run({"train": {"max_steps": 6, "checkpoint_every": 3}})
    gradients = LanguageModelling.gradients

    def infinite_at_four(self: LanguageModelling, *arguments: object) -> object:
        losses = gradients(self, *arguments)  # pyright: ignore[reportArgumentType] - handed on as they came
        return {"loss_nats": float("inf")} if arguments[0].step == 4 else losses  # pyright: ignore[reportAttributeAccessIssue]

    monkeypatch.setattr(LanguageModelling, "gradients", infinite_at_four)
    train(run)
    assert [row["loss_nats"] for row in read_metrics(run.metrics_path) if row.get("skipped")] == [None]
    assert verify(run, 3).verified
    monkeypatch.undo()
    assert str(verify(run, 3).difference).startswith("step 5: loss_nats was None, and is now ")


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (0, "--verify must be at least 1, got 0"),
        (-3, "--verify must be at least 1, got -3"),
    ],
)
def test_fewer_steps_than_one_are_refused(whole: Run, steps: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        verify(whole, steps)


def test_of_more_steps_than_can_be_replayed_all_that_can_be_are(whole: Run) -> None:
    found = verify(whole, 100)
    assert (found.verified, found.from_step, found.to_step, found.states_compared) == (True, 40, 50, (50,))


def test_a_run_without_a_step_has_nothing_to_verify(new_run: New) -> None:
    with pytest.raises(ConfigError, match="--verify finds no logged step, got 1"):
        verify(new_run(), 1)


def test_a_gap_in_the_log_and_a_damaged_checkpoint_are_named(copy: Run) -> None:
    rows = [row for row in read_metrics(copy.metrics_path) if row["step"] != 44]
    copy.metrics_path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(RunError, match=r"metrics.jsonl has no row of step 44"):
        verify(copy, 10)
    with (copy.checkpoint_folder(40) / "model.safetensors").open("r+b") as file:
        file.write(b"\x00")
    with pytest.raises(CheckpointError, match=r"step-00000040/model.safetensors is damaged"):
        verify(copy, 10)


def test_a_request_to_stop_ends_it_early(whole: Run) -> None:
    stop = StopRequest()
    stop.number = 2
    found = verify(whole, 10, stop)
    assert (found.verified, found.losses_compared, found.to_step) == (True, 0, 40)


def test_the_best_checkpoint_reaches_further_back() -> None:
    assert starting_step([10, 40, 50], logged=50, steps=40) == 10
    assert starting_step([10, 40, 50], logged=50, steps=30) == 10  # ends at 40
    assert starting_step([10, 40, 50], logged=53, steps=13) == 40  # passes 50
    assert starting_step([10, 40, 50], logged=50, steps=41) == 10  # and no further


def test_two_processes_with_one_seed_tell_the_same_state_and_another_seed_another(
    whole: Run, new_run: New, spawn: Callable[[Run], int], reap: Callable[[], int]
) -> None:
    again, other = new_run(), new_run({"seed": 1})
    for run in (again, other):
        spawn(run)
        assert reap() == 0
    told = [read_metrics(run.metrics_path)[-1]["state_sha256"] for run in (whole, again, other)]
    assert told[0] == told[1] != told[2]


def verify(run: Run, steps: int, stop: StopRequest | None = None) -> Replay:
    config = parse(RunConfig, run.config())
    objective = LanguageModelling(config, open_shards(run.data_folder, fingerprint=None), pick_device("cpu"))
    torch.seed()  # nothing is left of the random numbers before, as in a process of its own
    return replay(run, steps, state_builder(config), objective, stop or StopRequest(), ignore)


def change_log(run: Run, *, step: int, name: str) -> tuple[float, float]:
    """Change one number of a step's row by its last bit; -> what it was, and what it is."""
    rows = read_metrics(run.metrics_path)
    row = next(row for row in rows if row["event"] == "train" and row["step"] == step)
    was = row[name]
    row[name] = was * (1 + 2**-52)
    assert row[name] != was
    run.metrics_path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return was, row[name]


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (sha256_file(path), path.stat().st_mtime_ns) for path in files}


def ignore(*progress: int) -> None: ...
