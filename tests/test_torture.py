"""The fault campaigns of `python -m torture`, each with a few faults: real commands, real kills, real signals."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torture import bombs, disk, flips, numbers, readers, resuming, saves, signals
from torture.commands import Ended, Warm
from torture.subject import Ending, Subject, leftovers
from torture.table import table, verdict
from torture.tally import Tally
from torture.tracing import can_trace

needs_strace = pytest.mark.skipif(bool(can_trace()), reason=f"{can_trace()}; tests/test_checkpoints.py fails calls")


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    with Warm() as warm:
        yield Subject(tmp_path_factory.mktemp("torture"), warm)


def survived(tally: Tally, at_least: int = 1) -> None:
    assert tally.failures == []
    assert tally.faults >= at_least


@needs_strace
def test_a_kill_at_a_call_of_a_save_loses_nothing(subject: Subject) -> None:
    survived(saves.killed_at_every_call(subject, subject.pretraining, begin=14, end=21, share=0.04), 2)
    survived(saves.killed_while_beginning(subject, subject.pretraining, share=0.02), 2)


def test_kills_at_random_moments_lose_nothing(subject: Subject) -> None:
    survived(saves.killed_at_random(subject, subject.pretraining, subject.warm.start, "forked", kills=6, seed=0), 6)


@needs_strace
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_a_disk_that_fails_is_named_and_costs_nothing_else(error: str, subject: Subject) -> None:
    kind = subject.pretraining
    tally = disk.refused_at_every_call(subject, kind, error, begin=14, end=21, lasting=False, share=0.03)
    survived(tally, 2)
    assert tally.seen["refused"]


def test_damaged_and_missing_files_are_refused_by_name(subject: Subject) -> None:
    checkpoint, data, tokenizer = flips.in_every_file(subject, subject.pretraining, flips=8, cuts=3)
    survived(checkpoint, 72)
    survived(data, 36)
    survived(tokenizer, 12)


def test_a_damaged_manifest_costs_the_steps_since_the_checkpoint_before(subject: Subject) -> None:
    run = subject.copy(subject.stopped(subject.pretraining, 14))
    (run / "checkpoints" / "step-00000014" / "manifest.json").write_bytes(b"{")
    assert subject.finish(run, subject.pretraining) == ""


def test_what_loads_a_run_while_it_is_trained_sees_whole_checkpoints(subject: Subject) -> None:
    survived(readers.beside_a_writer(subject, saves=10), 2)


@pytest.mark.parametrize("bomb", [one for one in bombs.BOMBS if one.name.startswith("packed index")], ids=str)
def test_a_bomb_is_refused_in_little_memory(bomb: bombs.Bomb, subject: Subject) -> None:
    survived(bombs.thrown(subject, [bomb.name]))


def test_the_order_of_data_survives_stops(subject: Subject) -> None:
    survived(resuming.at_every_step(subject, subject.pretraining, (1, 8, 29, 50), 50), 5)


def test_numbers_that_are_not_finite_teach_nothing(subject: Subject) -> None:
    survived(numbers.single(subject, subject.finetuning, [2]), 2)


def test_signals_in_every_phase_end_with_a_checkpoint(subject: Subject) -> None:
    survived(signals.in_every_phase(subject, subject.pretraining, (1,), ("packing", "validation", "saving")), 6)
    survived(signals.while_generating(subject), 4)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("papers list > /dev/full", 1, "No space left on device"),
        ("papers list >&-", 0, ""),
        ("papers list 2>&- > /dev/null", 0, ""),
        ("papers lst 2>&-", 2, ""),
        ("papers lst 2> /dev/full", 2, ""),
        ("papers lst <&-", 2, "Unknown command"),
    ],
)
def test_streams_that_are_full_or_closed_change_no_outcome(words: str, code: int, says: str) -> None:
    shell = ["sh", "-c", f"exec {sys.executable} -m gptrilogy {words}"]
    found = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (code, "")
    assert says in found.stderr
    assert found.stderr.count("\n") == bool(says)


# -- the campaign itself can fail --------------------------------------------------------------------------------------


def test_a_run_that_ended_otherwise_is_told_from_one_that_did_not(subject: Subject) -> None:
    whole = Ending.of(subject.whole)
    assert whole.differs_from(subject.pretraining.ending) == ""
    name, content = next(iter(whole.tensors.items()))
    other = Ending(whole.rows, {**whole.tensors, name: content[:-1] + bytes([content[-1] ^ 1])})
    assert other.differs_from(whole) == f"tensors differ: {name}"
    assert Ending(whole.rows[1:], whole.tensors).differs_from(whole).startswith("the logs differ from row 0 on")


def test_what_is_left_over_is_found(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / ".step-00000001.7.tmp").mkdir(parents=True)
    (tmp_path / ".lock").touch()
    assert leftovers(tmp_path) == [tmp_path / "checkpoints" / ".step-00000001.7.tmp"]


@pytest.mark.parametrize(
    ("code", "err", "well"),
    [
        (1, "gpt: the disk is full\n", True),
        (0, "gpt: the disk is full\n", False),
        (1, "Traceback (most recent call last)\ngpt: x\n", False),
        (1, "gpt: this is a bug in gptrilogy, please report it\n", False),
        (1, "", False),
    ],
)
def test_a_failure_is_one_line(code: int, err: str, *, well: bool) -> None:
    assert Ended(code, "", err).failed_in_one_line() == well


def test_failures_are_counted_and_named() -> None:
    tally = Tally(1, "kills")
    tally.count("first", seen="writes")
    tally.count("second", "the checkpoint is gone", "writes")
    assert (tally.faults, tally.survived) == (2, 1)
    assert verdict([tally]).startswith("1 of 2 faults were survived as promised. Failures:\n\n- second: the checkpoint")
    assert "| 1   | kills  | 2 | 1        | writes 2      |" in table([tally])
    assert json.loads(json.dumps(tally.as_dict()))["failures"] == ["second: the checkpoint is gone"]
