"""The runs that the studies of fine-tuning are made of: told apart, made once, left as rows and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.metrics import Estimate, over_seeds
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.loading import load
from gptrilogy.metrics import Row
from gptrilogy.recipes.auto import Shape
from gptrilogy.runs import Run
from gptrilogy.studies import pretraining, telling, tuning
from gptrilogy.studies.study import Options
from gptrilogy.studies.telling import judged, scores
from gptrilogy.studies.tuning import Base, DataSet, Scale, Trial
from gptrilogy.tokenizers import BytesTokenizer
from gptrilogy.training.signals import StopRequest
from study_data import QUESTION, write_data
from tiny_run import write_run

ALL = ("CoLA", "STS-B", "SNLI", "OpenBookQA")
STEPS: Row = {"max_steps": 3, "batch_size": 4}


def ignore(*what: object) -> None: ...


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four data sets; of SNLI the examples are numbered, and some have no label."""
    folder = write_data(tmp_path_factory.mktemp("data"))
    for part in ("sts-b", "snli"):
        (folder / "finetune" / part).mkdir()
    for part in ("train", "dev"):
        rows = "".join(f"a {word} message,a message,{score}\n" for word, score in [("dull", 1.5), ("long", 4.0)] * 3)
        (folder / "finetune" / "sts-b" / f"stsb-en-{part}.csv").write_text(rows)
    for part in ("validation", "test"):
        rows = "".join(f"man {number}\ta man\t{number % 4 - 1}\n" for number in range(20))
        (folder / "finetune" / "snli" / f"{part}.tsv").write_text(f"premise\thypothesis\tlabel\n{rows}")
    (folder / "finetune" / "openbookqa" / "train.jsonl").write_text(f"{QUESTION}\n" * 5)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, BytesTokenizer(), n_ctx=64)
    return folder


@pytest.fixture
def options(tmp_path: Path, data: Path, model: Path) -> Options:
    return Options(tmp_path, model=model, data=data)


@pytest.fixture
def base(options: Options) -> Base:
    return tuning.find_base(options, Scale(()), ignore)


@pytest.fixture
def cola(options: Options) -> DataSet:
    return tuning.read_data_sets(options, Scale(("CoLA",)), ignore)[0]


def test_every_data_set_comes_with_its_kind_and_the_metric_of_the_paper(options: Options) -> None:
    found = tuning.read_data_sets(options, Scale(ALL), ignore)
    assert [(one.title, one.kind) for one in found] == [
        ("CoLA Matthews", "classification"),
        ("STS-B Pearson", "regression"),
        ("SNLI accuracy", "entailment"),
        ("OpenBookQA accuracy", "choice"),
    ]
    assert [(len(one.train), len(one.valid)) for one in found] == [(10, 10), (6, 6), (15, 15), (5, 5)]


def test_examples_are_in_one_order_for_all_and_a_smaller_set_is_the_beginning_of_a_larger(options: Options) -> None:
    whole, part = (
        tuning.read_data_sets(options, Scale(("SNLI",), max_train=limit, max_valid=limit), ignore)[0]
        for limit in (None, 7)
    )
    places = [int(example.where.rpartition(":")[2]) for example in whole.train]
    assert sorted(places) == sorted(set(places)) != places
    assert part.train == whole.train[:7] == whole.first(7).train
    assert part.valid == whole.valid[:7]
    assert whole.first(None) == whole


def test_usual_sizes_hold_unless_the_whole_is_asked_for(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tuning.Source("snli", "snli/validation.tsv", "snli/test.tsv", 4, max_valid=5)
    monkeypatch.setitem(tuning.SOURCES, "SNLI", source)
    usual, whole = (tuning.read_data_sets(options, Scale(("SNLI",)), ignore, whole=whole)[0] for whole in (False, True))
    assert (len(usual.train), len(usual.valid)) == (4, 5)
    assert (len(whole.train), len(whole.valid)) == (15, 5)


def test_of_the_missing_only_openbookqa_may_be(tmp_path: Path, data: Path) -> None:
    (tmp_path / "finetune").mkdir()
    (tmp_path / "finetune" / "cola").symlink_to(data / "finetune" / "cola")
    options, said = Options(tmp_path, data=tmp_path), list[str]()
    found = tuning.read_data_sets(options, Scale(("CoLA", "OpenBookQA")), said.append)
    assert [one.name for one in found] == ["CoLA"]
    assert [line.partition(": ")[0] for line in said] == ["OpenBookQA is left out"]
    with pytest.raises(DataError, match="stsb-en-train"):
        tuning.read_data_sets(options, Scale(("STS-B",)), ignore)


def test_a_measurement_is_found_by_all_that_its_score_follows_from(base: Base, cola: DataSet) -> None:
    trial = Trial(cola, "full", 0)
    recipes = {
        "the same": trial.place(base)["recipe"],
        "seed": Trial(cola, "full", 1).place(base)["recipe"],
        "changes": Trial(cola, "full", 0, {"lm_weight": 0.0}).place(base)["recipe"],
        "examples": Trial(cola.first(5), "full", 0).place(base)["recipe"],
        "base": trial.place(Base(base.model, "other weights"))["recipe"],
    }
    assert recipes["the same"] == recipes["seed"] == trial.place(base)["recipe"]
    assert len(set(recipes.values())) == 4
    assert trial.place(base).keys() == {"task", "condition", "seed", "base", "recipe"}


def test_the_base_is_named_by_its_weights(base: Base, options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tuning.find_base(options, Scale(()), ignore).sha256 == base.sha256
    assert base.n_layer == 2
    other = load(options.model or "")
    other.model.wte.weight.data[0, 0] += 1e-3

    def load_other(path: Path) -> LanguageModel:
        return other

    monkeypatch.setattr(tuning, "load", load_other)
    assert tuning.find_base(options, Scale(()), ignore).sha256 != base.sha256


def test_the_score_is_that_of_the_best_checkpoint_of_a_plain_run(
    base: Base, cola: DataSet, options: Options, tmp_path: Path
) -> None:
    trial = Trial(cola, "full", 3, {**STEPS, "valid_every": 1})
    (row,) = tuning.measured(options, base, [trial], ignore)
    run = Run.create(tmp_path / "plain", {}, {})
    config, prepared = tuning.prepare(trial.config(base), base.model, cola.train, cola.valid, run, ignore)
    outcome = tuning.finetune(config, run, prepared, pretraining.Once(ignore), StopRequest())
    rows = tuning.read_metrics(run.metrics_path)
    assert row["score"] == outcome.last_row["matthews"] == max(r["matthews"] for r in rows if r["event"] == "valid")
    assert row["train_loss_nats"] == next(r["task_loss_nats"] for r in reversed(rows) if r["event"] == "train")
    assert row["metric"] == "matthews"
    assert (row["train_examples"], row["valid_examples"], row["steps"]) == (10, 10, 3)
    assert config.train.learning_rate == tuning.RATE


def test_a_run_is_made_once_and_leaves_nothing_but_its_row(
    base: Base, cola: DataSet, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = [Trial(cola, "full", seed, STEPS) for seed in (0, 1)]
    (options.out / "run").mkdir()  # of a process that was killed
    (options.out / "run" / "config.json").write_text("{}")
    rows = list(tuning.measured(options, base, trials, ignore))
    assert [path.name for path in options.out.iterdir()] == ["rows.jsonl"]
    assert [json.loads(line) for line in (options.out / "rows.jsonl").read_text().splitlines()] == rows
    monkeypatch.setattr(tuning, "finetune", None)
    assert list(tuning.measured(options, base, trials, ignore)) == rows


def test_what_was_measured_before_an_interruption_is_kept(
    base: Base, cola: DataSet, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = [Trial(cola, "full", seed, STEPS) for seed in (0, 1)]

    def interrupted(*what: Any) -> Any:
        monkeypatch.setattr(tuning, "finetune", stopped)
        return finetune(*what)

    def stopped(*what: Any) -> Any:
        raise KeyboardInterrupt

    finetune = tuning.finetune
    monkeypatch.setattr(tuning, "finetune", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(tuning.measured(options, base, trials, ignore))
    assert [path.name for path in options.out.iterdir()] == ["rows.jsonl"]
    monkeypatch.setattr(tuning, "finetune", finetune)
    said: list[str] = []
    assert [row["seed"] for row in tuning.measured(options, base, trials, said.append)] == [0, 1]
    assert len((options.out / "rows.jsonl").read_text().splitlines()) == 2
    assert said[0].startswith("1 of 2: CoLA Matthews ")


def test_what_every_run_would_say_is_said_once(base: Base, options: Options, tmp_path: Path) -> None:
    (snli,) = tuning.read_data_sets(options, Scale(("SNLI",)), ignore)
    said: list[str] = []
    list(tuning.measured(options, base, [Trial(snli, "full", seed, STEPS) for seed in (0, 1)], said.append))
    assert sum(line.startswith("precision") for line in said) == 1


def test_a_base_is_pretrained_where_none_is_given_and_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.txt").write_text("The people elect the Senate, and the Senate thanks the people. " * 60)
    monkeypatch.setattr(tuning, "find_speeches", lambda: tmp_path / "page.txt")
    monkeypatch.setattr(tuning, "BASE", Shape(1, 16, 2, 16, 2, 1e-2))
    options, said = Options(tmp_path / "out"), list[str]()
    one, same = (tuning.find_base(options, Scale((), base_steps=2), said.append) for _ in range(2))
    rows = tuning.read_metrics(options.out / "pretrained" / "metrics.jsonl")
    assert [row["step"] for row in rows if row["event"] == "train"] == [1, 2]
    assert one.sha256 == same.sha256
    longer = tuning.find_base(options, Scale((), base_steps=3), said.append)
    assert longer.sha256 != one.sha256


def test_the_base_has_the_sizes_and_the_pretraining_it_is_said_to_have(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "page.txt").write_text("The people elect the Senate, and the Senate thanks the people. " * 60)
    monkeypatch.setattr(tuning, "find_speeches", lambda: tmp_path / "page.txt")
    monkeypatch.setattr(pretraining, "pretrain", _no_training)
    with pytest.raises(KeyboardInterrupt):
        tuning.find_base(Options(tmp_path / "out"), Scale(()), ignore)
    config = Run(tmp_path / "out" / "pretrained").config()
    sizes = {"n_layer": 6, "n_embd": 128, "n_head": 4, "n_ctx": 128, "n_vocab": 4096}
    pace = {"max_steps": 6000, "batch_size": 16, "learning_rate": 4e-3, "warmup_steps": 200, "final_lr_fraction": 0.02}
    assert sizes.items() <= config["model"].items()
    assert pace.items() <= config["train"].items()


def _no_training(*what: Any, **how: Any) -> Any:
    raise KeyboardInterrupt


def test_scores_are_those_of_a_condition_in_points_of_a_hundred() -> None:
    rows = [{"task": task, "seed": seed, "score": 0.1 * seed + 0.01} for seed in (1, 2) for task in ("a", "b")]
    assert scores(rows, task="a") == pytest.approx([11, 21])
    assert scores(rows, task="a", seed=2) == pytest.approx([21])
    assert scores(rows, task="c") == []


def test_one_seed_settles_nothing() -> None:
    assert judged("rain", {"wheat": over_seeds([3.0])}) == "rain has no settled effect on wheat (+3.0)"


@pytest.mark.parametrize("how", [{"bands": True}, {"log": True}, {}], ids=str)
def test_a_picture_is_drawn_with_intervals_and_without(tmp_path: Path, how: dict[str, bool]) -> None:
    lines = {"CoLA": [(1.0, Estimate(5, 4, 6)), (2.0, over_seeds([7.0]))], "SNLI": [(1.0, Estimate(50, -400, 500))]}
    telling.draw(lines, {1.0: "few", 2.0: "many"}, tmp_path / "a.png", title="t", labels=("x", "y"), **how)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_the_published_files_are_read_whole(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("finetune/sts-b/stsb-en-train.csv").parents[2]
    options = Options(folder, data=folder)
    found = tuning.read_data_sets(options, Scale(("CoLA", "STS-B", "SNLI")), ignore, whole=True)
    assert {one.name: (len(one.train), len(one.valid)) for one in found} == {
        "CoLA": (8551, 527),
        "STS-B": (5749, 500),
        "SNLI": (9842, 500),
    }
