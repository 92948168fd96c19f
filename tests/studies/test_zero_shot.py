"""The study of GPT-1's Figure 2 on a page of text: measured once, gone on with, told without exaggeration."""

import json
from pathlib import Path
from typing import Any

import pytest

from gptrilogy.errors import ConfigError
from gptrilogy.evaluation.metrics import Estimate
from gptrilogy.runs import Run
from gptrilogy.studies import pretraining, zero_shot
from gptrilogy.studies.catalogue import find_study
from gptrilogy.studies.study import Options, run_study
from gptrilogy.studies.zero_shot import Line, Scale, table, verdict
from gptrilogy.studies.zero_shot_tasks import TASKS
from study_data import write_data

STUDY = find_study("gpt1-figure2-zero-shot")
MEASURES = 6


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A page of text instead of 249 messages, and five updates."""
    speeches = tmp_path_factory.mktemp("speeches")
    for number in range(3):
        (speeches / f"{number}.txt").write_text("The people elect the Senate, and the Senate thanks the people. " * 40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining, "find_speeches", lambda: speeches)
        patch.setattr(zero_shot, "QUICK", Scale((0, 2, 5), max_seeds=2, max_examples=4))
        yield


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    folder = tmp_path_factory.mktemp("study")
    return Options(folder / "out", data=write_data(folder / "data"), quick=True)


@pytest.fixture(scope="module")
def results(options: Options) -> dict[str, Any]:
    return run_study(STUDY, options, lambda _: None)


def test_there_is_a_row_for_each_seed_stage_and_task(results: dict[str, Any]) -> None:
    conditions = [(row["seed"], row["updates"], row["task"]) for row in results["rows"]]
    assert conditions == [(seed, updates, task) for seed in (0, 1) for updates in (0, 2, 5) for task in TASKS]
    assert {row["config"] for row in results["rows"]} == {results["rows"][0]["config"]}


def test_the_table_has_chance_every_stage_and_what_training_brought(results: dict[str, Any]) -> None:
    assert [line[0] for line in results["table"]] == ["updates", "chance", "0", "2", "5", "gain", "above chance"]
    assert {len(line) for line in results["table"]} == {1 + MEASURES}
    assert results["verdict"].startswith("A test of the path, whose numbers mean nothing. In 2 runs of 5 updates, ")


def test_there_is_a_picture(results: dict[str, Any], options: Options) -> None:
    assert (options.out / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_study_trains_nothing_again(
    results: dict[str, Any], options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining, "pretrain", None)
    assert run_study(STUDY, options, lambda _: None) == results


def test_what_is_missing_is_measured_to_the_same_numbers(results: dict[str, Any], options: Options) -> None:
    path = options.out / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [row for row in rows if not (row["seed"] == 1 and row["updates"] < 5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    said: list[str] = []
    assert run_study(STUDY, options, said.append)["rows"] == results["rows"]
    assert any("trained past 0 updates: it begins again" in line for line in said)


def test_a_run_of_another_config_is_not_gone_on_with(results: dict[str, Any], options: Options, tmp_path: Path) -> None:
    text = options.out / "pretrained" / "text"
    packed = pretraining.pack_speeches(text, lambda _: None)
    folder = tmp_path / "seed-0"
    hashes: list[str] = []
    for max_steps in (2, 2, 3):
        pupil = pretraining.new_pupil(folder, text, packed, seed=0, max_steps=max_steps, say=lambda _: None)
        assert pupil.run.checkpoints_folder.exists() == (len(hashes) == 1)
        assert pupil.after(1, lambda _: None).model.config.n_embd == 128
        hashes.append(pupil.recipe_hash)
    assert hashes[0] == hashes[1] != hashes[2]
    assert Run(folder).config()["train"]["max_steps"] == 3


def test_it_takes_no_model_of_others(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        run_study(STUDY, Options(tmp_path, model=tmp_path, data=tmp_path), print)


def line(name: str, first: list[float], last: list[float]) -> Line:
    return Line(name, Estimate(0.5, 0.45, 0.55), {0: first, 1500: last})


def test_only_a_gain_that_chance_does_not_explain_is_called_one() -> None:
    sure, unsure = line("sure", [0.5, 0.51, 0.5], [0.6, 0.62, 0.61]), line("unsure", [0.5, 0.5, 0.5], [0.5, 0.7, 0.5])
    worse = line("worse", [0.7, 0.7, 0.7], [0.6, 0.6, 0.6])
    assert verdict([sure, unsure, worse], quick=False) == (
        "In 3 runs of 1,500 updates, 1 of 3 zero-shot scores rose (95% interval of the gain above 0, and the last "
        "score above what chance gives): sure 0.503 to 0.610; it does not show for unsure 0.500 to 0.567, worse 0.700 "
        "to 0.600."
    )
    assert "2 of 2 zero-shot scores rose" in verdict([sure, sure], quick=False)
    assert "does not show" not in verdict([sure, sure], quick=False)


def test_one_answer_to_everything_is_no_gain_though_all_seeds_agree_on_it() -> None:
    constant = line("SST-2 accuracy", [0.491, 0.491, 0.491], [0.509, 0.509, 0.509])
    assert constant.gain.low > 0
    assert not constant.rose


def test_one_seed_shows_nothing() -> None:
    assert "0 of 1 zero-shot scores rose" in verdict([line("one", [0.1], [0.9])], quick=False)


def test_the_table_has_means_with_intervals_and_shares_of_the_way_to_perfect() -> None:
    rows = {row[0]: row[1] for row in table([line("x", [0.5, 0.5], [0.7, 0.8])])}
    assert rows["chance"] == "0.500 ± 0.050"
    assert rows["0"] == "0.500 ± 0.000"
    assert rows["1,500"] == "0.750 ± 0.635"  # t of one degree of freedom, 12.7, times 0.05
    assert rows["gain"] == "0.250 ± 0.635"
    assert rows["above chance"] == "0.500 ± 1.271"
