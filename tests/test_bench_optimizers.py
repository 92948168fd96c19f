"""The bench of the optimizers gives both the same text and time, and says which was better."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from bench import optimizers
from bench.optimizers import ARMS, SEEDS, STEPS, TEXTS, Trial, n_steps, read_times, report, run, time, trials
from bench.optimizers_report import Trained, compared, misjudged, page

from gptrilogy.files import write_json
from gptrilogy.recipes.auto import Shape

TINY = Shape(1, 32, 1, 16, 4, 6.5e-3, "muon")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with a little text by the name of austen; a shape, steps and a vocabulary to match."""
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    lines = "\n".join(" ".join(words[(n * k) % 10] for k in range(1, 12)) for n in range(400))
    folder = tmp_path / "data" / "text" / "austen"
    folder.mkdir(parents=True)
    (folder / "novel.txt").write_text(lines, encoding="utf-8")
    monkeypatch.setattr(optimizers, "SHAPES", (TINY,))
    monkeypatch.setattr(optimizers, "STEPS", {32: 6})
    monkeypatch.setattr(optimizers, "N_VOCAB", 300)
    return tmp_path


def test_every_optimizer_has_every_seed_and_other_rates_have_one() -> None:
    made = [*trials(TEXTS, ARMS, SEEDS, [*STEPS])]
    assert len({trial.name for trial in made}) == len(made) == len(TEXTS) * len(STEPS) * (2 * len(SEEDS) + 2)
    assert {trial.seed for trial in made if "rate" in trial.arm} == {SEEDS[0]}


def test_adamw_makes_as_many_steps_as_take_as_long(tiny: Path) -> None:
    write_json(tiny / "step_s.json", {"32 muon": [0.5, 0.3], "32 adamw": [0.2, 0.9]})
    counts = {arm: n_steps(Trial("austen", TINY, arm, 0), tiny) for arm in ARMS}
    assert counts == {"muon": 6, "adamw": 9, "adamw, twice the rate": 9, "adamw, half the rate": 9}


def test_what_is_asked_for_differs_in_optimizer_rate_and_steps_alone(tiny: Path) -> None:
    asked = {arm: Trial("austen", TINY, arm, 3).asked(tiny, 7).model_dump(exclude_unset=True) for arm in ARMS}
    assert asked["adamw, twice the rate"]["train"].pop("learning_rate") == 2 * TINY.learning_rate
    assert asked["adamw, half the rate"]["train"].pop("learning_rate") == 0.5 * TINY.learning_rate
    assert asked["muon"]["train"].pop("optimizer") == "muon"
    assert asked["adamw"]["train"].pop("optimizer") == "adamw"
    assert asked["muon"] == asked["adamw"]


def test_steps_are_timed_and_runs_made_and_reported(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, work = tiny / "data", tiny / "work"
    time(data=data, work=work, repeats=2)
    assert {name: len(seconds) for name, seconds in read_times(work).items()} == {"32 adamw": 2, "32 muon": 2}
    trained = run(Trial("austen", TINY, "muon", 1), work, data, print)
    assert (trained.steps, trained.width, trained.seed) == (6, 32, 1)
    assert 0 < trained.bits_per_byte < 12
    assert trained.bytes_seen == pytest.approx(6 * 4 * 16 * trained.text_bytes / 4000, rel=0.9)
    assert not [*(work / "run").iterdir()]
    (work / "results").mkdir()
    write_json(work / "results" / "one.json", asdict(trained))
    report(work=work, record=tiny / "record")
    assert f"{trained.bits_per_byte:.3f}" in capsys.readouterr().out
    kept = json.loads((tiny / "record" / "results.json").read_bytes())
    assert kept["runs"] == [asdict(trained)]


def trained(arm: str, seed: int, bits: float, text: str = "sotu") -> Trained:
    return Trained(text, 128, arm, seed, 10**6, 100, 2e6, 10**6, 0.1, bits, 1.5)


def test_seeds_are_compared_one_by_one() -> None:
    runs = [trained("muon", 0, 2.0), trained("adamw", 0, 2.25), trained("muon", 1, 2.5), trained("adamw", 1, 2.4)]
    assert [*compared([*runs, trained("adamw", 2, 9.0), trained("muon", 0, 3.0, "austen")])] == [
        "sotu, width 128: Muon is better in 1 of 2 seeds, by -0.100 to +0.250 bits a byte"
    ]
    assert misjudged(runs) == "-40% to -25%, -32% on average, over 2 runs"
    text = page(runs, {"128 muon": [0.1, 0.2, 0.3]})
    assert "| sotu | 128   | muon      | 100   | 2.00   | 0.1   | 2 | 2.250 " in text
    assert "| 128 muon            | 100.0 " in text
