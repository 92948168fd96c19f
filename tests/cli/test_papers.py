"""`gpt papers`."""

import json
from pathlib import Path

import pytest

from gpt_command import Gpt
from gptrilogy.cli import papers
from gptrilogy.studies.catalogue import STUDIES
from gptrilogy.studies.study import Options, Result, Say, Study


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """There is one study, which takes a moment; -> the options it was given."""
    asked: list[Options] = []

    def run(options: Options, say: Say) -> Result:
        asked.append(options)
        say("measuring")
        return Result([{"seed": 0, "legs": 4}], [("seed", "legs"), ("0", "4")], "It has legs.")

    study = Study("legs", "A dog has four legs.", "GPT9 §1", 1, run)
    monkeypatch.setattr(papers, "find_study", {"legs": study}.get)
    return asked


def test_the_list_has_every_study_with_its_claim_and_its_time(gpt: Gpt) -> None:
    said = gpt("papers", "list")
    assert said.code == 0
    for study in STUDIES:
        assert f"{study.name}  ({study.source}, about {study.minutes} min)" in said.out
        assert study.claim in said.out


def test_a_study_prints_its_table_and_says_elsewhere_how_far_it_is(
    gpt: Gpt, asked: list[Options], tmp_path: Path
) -> None:
    said = gpt("papers", "demo", "legs", "--out", tmp_path)
    assert said.code == 0
    assert said.out.splitlines() == [
        "",
        "A dog has four legs. (GPT9 §1)",
        "  seed  legs",
        "  0        4",
        "",
        "It has legs.",
        f"results: {tmp_path / 'results.json'}, picture: {tmp_path / 'figure.png'}",
    ]
    assert said.err == "measuring\n"
    assert asked == [Options(tmp_path, seeds=5, quick=False)]


def test_options_reach_the_study(gpt: Gpt, asked: list[Options], tmp_path: Path) -> None:
    out, data, model = tmp_path / "out", tmp_path / "data", tmp_path / "run"
    gpt("papers", "demo", "legs", "--out", out, "--data", data, "--model", model, "--seeds", 3, "--quick")
    assert asked == [Options(out, model=model, data=data, seeds=3, quick=True)]


def test_results_are_one_json_document(gpt: Gpt, asked: list[Options], tmp_path: Path) -> None:
    said = gpt("papers", "demo", "legs", "--out", tmp_path, "--json")
    assert said.json() == json.loads((tmp_path / "results.json").read_text())
    assert said.json()["verdict"] == "It has legs."


def test_an_unknown_study_is_a_wrong_command(gpt: Gpt, tmp_path: Path) -> None:
    said = gpt("papers", "demo", "gpt1-figure2-zeroshot", "--out", tmp_path)
    assert (said.code, said.out) == (2, "")
    assert said.err == "gpt: there is no study gpt1-figure2-zeroshot; did you mean gpt1-figure2-zero-shot?\n"


def test_a_study_needs_a_seed(gpt: Gpt, asked: list[Options], tmp_path: Path) -> None:
    assert gpt("papers", "demo", "legs", "--out", tmp_path, "--seeds", 0).code == 2
    assert asked == []
