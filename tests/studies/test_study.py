"""The frame of the studies: folder, journal, and the errors of what is missing."""

import json
import sys
from pathlib import Path

import pytest

from gptrilogy.errors import ConfigError, MissingExtraError, RunError
from gptrilogy.runs import Run
from gptrilogy.studies.catalogue import STUDIES, find_study
from gptrilogy.studies.study import Journal, Options, Result, Say, Study, data_folder, run_study


def count_legs(options: Options, say: Say) -> Result:
    """A study of three conditions, which says what it measures."""
    journal = Journal(options.out / "rows.jsonl")
    for seed in range(options.seeds):
        condition = {"seed": seed, "quick": options.quick}
        if not journal.find(condition):
            say(f"seed {seed}")
            journal.add({**condition, "legs": 4 + seed})
    rows = [row for row in journal.rows if row["quick"] == options.quick]
    return Result(rows, [("seed", "legs"), *((str(row["seed"]), str(row["legs"])) for row in rows)], "It has legs.")


LEGS = Study("legs", "A dog has four legs.", "GPT9 §1", 1, count_legs)


def test_a_study_leaves_its_rows_its_table_and_where_it_ran(tmp_path: Path) -> None:
    said: list[str] = []
    returned = run_study(LEGS, Options(tmp_path / "legs", seeds=2), said.append)
    stored = json.loads((tmp_path / "legs" / "results.json").read_text())
    assert stored["study"] == "legs"
    assert stored["claim"] == "A dog has four legs."
    assert stored["source"] == "GPT9 §1"
    assert stored["seeds"] == [0, 1]
    assert stored["quick"] is False
    assert stored["verdict"] == "It has legs."
    assert stored["table"] == [["seed", "legs"], ["0", "4"], ["1", "5"]]
    assert stored["rows"] == [{"seed": 0, "quick": False, "legs": 4}, {"seed": 1, "quick": False, "legs": 5}]
    assert {"cpu", "torch", "threads", "python"} <= stored["environment"].keys()
    assert json.loads(json.dumps(returned)) == stored
    assert said == ["seed 0", "seed 1"]


def test_a_study_that_is_started_again_measures_only_what_is_missing(tmp_path: Path) -> None:
    said: list[str] = []
    for seeds in (1, 3, 3):
        run_study(LEGS, Options(tmp_path, seeds=seeds), said.append)
    assert said == ["seed 0", "seed 1", "seed 2"]


def test_a_quick_measurement_is_not_taken_for_a_full_one(tmp_path: Path) -> None:
    said: list[str] = []
    for quick in (True, False):
        run_study(LEGS, Options(tmp_path, seeds=1, quick=quick), said.append)
    assert said == ["seed 0", "seed 0"]


def test_a_line_cut_short_by_a_kill_is_measured_again_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"seed": 0, "legs": 4}\n{"seed": 1, "le')
    journal = Journal(path)
    assert journal.find({"seed": 1}) is None
    journal.add({"seed": 1, "legs": 5})
    assert Journal(path).rows == [{"seed": 0, "legs": 4}, {"seed": 1, "legs": 5}]


def test_a_measurement_is_found_by_every_field_of_its_condition(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "rows.jsonl")
    journal.add({"seed": 0, "updates": 10, "score": 0.5})
    assert journal.find({"seed": 0, "updates": 10}) == {"seed": 0, "updates": 10, "score": 0.5}
    assert journal.find({"seed": 0, "updates": 30}) is None
    assert journal.find({"seed": 0, "task": "CoLA"}) is None


def test_a_journal_that_cannot_be_written_names_its_path(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"rows\.jsonl: No such file or directory"):
        Journal(tmp_path / "nowhere" / "rows.jsonl").add({"seed": 0})


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="choose another --out"):
        run_study(LEGS, Options(tmp_path / "file" / "legs"), print)


def test_two_studies_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with Run(tmp_path).locked(), pytest.raises(RunError, match="another process"):
        run_study(LEGS, Options(tmp_path), print)


def test_a_study_that_could_not_be_drawn_does_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"gptrilogy\[plot\]"):
        run_study(LEGS, Options(tmp_path / "legs"), print)
    assert not (tmp_path / "legs").exists()


def test_data_lies_where_it_is_said_or_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("GPTRILOGY_DATA", str(other))
    assert data_folder(Options(tmp_path)) == other
    assert data_folder(Options(tmp_path, data=tmp_path)) == tmp_path
    with pytest.raises(ConfigError, match="nowhere, does not exist"):
        data_folder(Options(tmp_path, data=tmp_path / "nowhere"))
    monkeypatch.delenv("GPTRILOGY_DATA")
    with pytest.raises(ConfigError, match="--data DIR"):
        data_folder(Options(tmp_path))


def test_studies_are_found_by_name() -> None:
    assert [find_study(study.name) for study in STUDIES] == list(STUDIES)
    with pytest.raises(ConfigError, match="did you mean gpt1-figure2-zero-shot"):
        find_study("gpt1-figure2-zeroshot")
