"""The bench of the released code trains by the rules it names, and its page says what came of them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.released_code import Found, app, measure
from bench.released_training import ALL, ARMS, CONTROL, FILES, OURS, Study, Trained, fine_tune
from tests.support.released_finetuning import Deviations

from gptrilogy.finetuning.config import TuneConfig
from gptrilogy.finetuning.model import initial_model
from gptrilogy.loading import load
from gptrilogy.tokenizers import BytesTokenizer
from tiny_run import write_run

HOW = TuneConfig(learning_rate=1e-2, max_steps=2, batch_size=4, precision="fp32", device="cpu")
ANSWERS = ("warm sand", "cold snow", "a song about the longest river that there is", "no")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RUN, and DIR/finetune with a few examples in the layouts of CoLA and OpenBookQA."""
    folder = tmp_path_factory.mktemp("released")
    write_run(folder / "run", BytesTokenizer(), n_ctx=48)
    sentences = [f"x\t{number % 2}\t\tThe {'cat sat' if number % 2 else 'sat cat'} {number}." for number in range(8)]
    questions = [
        json.dumps(
            {
                "question": {
                    "stem": f"What is {number} like?",
                    "choices": [{"text": text, "label": "ABCD"[place]} for place, text in enumerate(ANSWERS)],
                },
                "answerKey": "ABCD"[number % 4],
            }
        )
        for number in range(8)
    ]
    for name, lines in (("cola", sentences), ("openbookqa", questions)):
        for file in FILES[name]:
            path = folder / "data" / "finetune" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def study(folder: Path) -> Callable[[str], Study]:
    base = load(folder / "run", device="cpu")

    def read(name: str) -> Study:
        train, dev = (folder / "data" / "finetune" / file for file in FILES[name])
        return Study.read(name, (train, dev), base, HOW)

    return read


@pytest.mark.parametrize("name", ["cola", "openbookqa"])
def test_every_rule_that_is_run_leads_elsewhere_and_ours_to_itself(study: Callable[[str], Study], name: str) -> None:
    learned = study(name)
    ours = learned.run(OURS, seed=0).dev_loss_nats
    arms = [arm for arm in ARMS if arm not in learned.without_effect()]
    losses = {arm: learned.run(arm, seed=0).dev_loss_nats for arm in arms}
    assert losses.pop(OURS) == ours
    assert losses.pop(CONTROL) == pytest.approx(ours, abs=1e-4)
    assert [arm for arm, loss in losses.items() if loss == ours] == []


def test_rules_that_cannot_matter_are_left_out_with_a_reason(study: Callable[[str], Study]) -> None:
    assert set(study("cola").without_effect()) == {"one mask for all answers", "texts of n_ctx/2 - 2 tokens"}
    assert set(study("openbookqa").without_effect()) == {"a bias in the head"}


def test_a_rule_left_out_would_have_led_to_the_same_loss(study: Callable[[str], Study]) -> None:
    sentences, questions = study("cola"), study("openbookqa")
    for learned, arm in ((sentences, "texts of n_ctx/2 - 2 tokens"), (questions, "a bias in the head")):
        assert learned.run(arm, 0).dev_loss_nats == pytest.approx(learned.run(OURS, 0).dev_loss_nats, abs=1e-5)


def test_runs_of_one_seed_begin_alike_under_every_rule(study: Callable[[str], Study]) -> None:
    learned = study("openbookqa")
    config = learned.config
    before: list[float] = []
    for rules in (Deviations(), Deviations(position_logits=True), Deviations(scaled_decay=True)):
        model = initial_model(config.model, learned.base.model.state_dict(), config.task, config.train, 1)
        before.append(fine_tune(model, learned.train, config.train, rules, 1, config.model.n_ctx)[0])
    assert before[1:] == pytest.approx(before[:1] * 2, abs=1e-6)
    model = initial_model(config.model, learned.base.model.state_dict(), config.task, config.train, 2)
    other = fine_tune(model, learned.train, config.train, Deviations(), 2, config.model.n_ctx)[0]
    assert abs(other - before[0]) > 1e-4


def test_a_rule_is_run_on_the_first_task_on_which_it_can_matter(folder: Path) -> None:
    how = HOW.replace(max_steps=1)
    found = measure(load(folder / "run", device="cpu"), folder / "data", ["cola", "openbookqa"], 1, how, print)
    arms = {task: [run.arm for run in found.runs if run.task == task] for task in found.metrics}
    shared = {OURS, CONTROL, ALL}
    assert set(arms["cola"]) & set(arms["openbookqa"]) == shared
    assert set(arms["cola"]) | set(arms["openbookqa"]) == set(ARMS)
    assert set(arms["openbookqa"]) - shared == {"one mask for all answers", "texts of n_ctx/2 - 2 tokens"}


def test_a_task_without_files_is_left_out(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    found = measure(load(folder / "run", device="cpu"), tmp_path, ["cola"], 1, HOW, said.append)
    reason = "cola: no finetune/cola/in_domain_train.tsv and no finetune/cola/in_domain_dev.tsv in the data folder"
    assert found.left_out == [reason]
    assert said == [f"left out {reason}"]
    assert found.page() == f"- Left out: {reason}."
    assert found.numbers()["against_ours"] == []


def test_the_page_pairs_runs_by_seed() -> None:
    found = Found(1e-3, {"cola": "matthews"}, {"cola": 3})
    for arm, scores in ((OURS, (0.1, 0.2, 0.4)), (CONTROL, (0.11, 0.21, 0.41))):
        found.runs += [Trained("cola", arm, seed, score, 0.5, 0.6, 60) for seed, score in enumerate(scores)]
    assert found.against_ours("cola", CONTROL) == pytest.approx((0.01, 0.01, 0.01))
    page = found.page()
    assert "| +1.00 (+1.00 to +1.00) | 0.5000   | 0.6000" in page
    assert "Runs: 3 steps of cola, n = 3 of each row" in page


def test_a_record_holds_the_page_every_run_and_the_log(folder: Path, tmp_path: Path) -> None:
    options = ["--model", str(folder / "run"), "--data", str(folder / "data"), "--out", str(tmp_path / "record")]
    with pytest.raises(SystemExit) as ended:
        app([*options, "--seeds", "1", "--max-steps", "1", "--tasks", "openbookqa"])
    assert ended.value.code in (0, None)
    numbers = json.loads((tmp_path / "record" / "results.json").read_text(encoding="utf-8"))
    arms = [arm for arm in ARMS if arm != "a bias in the head"]
    assert [run["arm"] for run in numbers["runs"]] == arms
    assert [row["arm"] for row in numbers["against_ours"]] == arms[1:]
    assert {row["low"] for row in numbers["against_ours"]} == {None}  # one seed has no interval
    assert "--tasks openbookqa --seeds 1 --learning-rate 0.0005 --max-steps 1" in numbers["command"]
    readme = (tmp_path / "record" / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("# GPT-1's released fine-tuning code against ours\n\n## openbookqa\n\n| deviation")
    assert "seed 0, ours" in (tmp_path / "record" / "log.txt").read_text(encoding="utf-8")
