"""Whole runs: stopped anywhere they end in the same bits, learn what can be learnt, and leave a language model."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
import torch

import gptrilogy
from gptrilogy.checkpoints import best, read_checkpoint
from gptrilogy.config import Tree
from gptrilogy.data.loader import Loader
from gptrilogy.data.shards import open_shards
from gptrilogy.finetuning import batches, finetune
from gptrilogy.finetuning.batches import Item
from gptrilogy.finetuning.config import MetricName, TaskConfig
from gptrilogy.finetuning.judging import Predicted
from gptrilogy.metrics import Row, read_metrics
from gptrilogy.runs import Run
from gptrilogy.training.signals import StopRequest
from tiny_tasks import GPT2
from tiny_tuning import (
    Listener,
    assert_equal_runs,
    base_model,
    judgements,
    last_state,
    numbers,
    prepared,
    tune,
    write_page,
)

WAYS: dict[str, Tree] = {
    "classification": {},
    "similarity": {"task": {"kind": "similarity"}},
    "choice": {"task": {"kind": "choice"}},
    "regression by error": {"task": {"kind": "regression", "regression": "mse"}},
    "lora": {"train": {"lora_rank": 2}},
    "freeze": {"train": {"freeze_blocks": 1}},
    "l2_sp and replay": {"train": {"l2_sp": 0.1, "replay": 0.5}},
    "bf16": {"train": {"precision": "bf16"}},
}


@pytest.fixture(scope="module", autouse=True)
def small_groups() -> Iterator[None]:
    """Five examples make several groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "GROUP_TOKENS", 40)
        yield


@pytest.fixture(scope="module")
def whole(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The run of a way that nothing interrupted."""

    @cache
    def whole(way: str) -> Run:
        run = prepared(tmp_path_factory.mktemp("whole"), WAYS[way], pretraining=page)
        assert tune(run).finished
        return run

    return whole


@pytest.mark.parametrize("way", WAYS)
def test_stopping_after_every_single_step_changes_no_bit(
    way: str, whole: Callable[[str], Run], new_run: Callable[..., Run], page: Path
) -> None:
    halting = new_run(WAYS[way], pretraining=page)
    for step in range(1, 7):
        outcome = tune(halting, stop_at=step)
        assert outcome.last_row["step"] == step
        assert outcome.finished == (step == 6)
    assert_equal_runs(whole(way), halting)
    resumed = [row["step"] for row in read_metrics(halting.metrics_path) if row["event"] == "resume"]
    assert resumed == [*range(1, 6)]


@pytest.mark.parametrize("way", ["classification", "l2_sp and replay"])
@pytest.mark.parametrize("step", [1, 4, 6])
def test_a_stop_between_two_groups_leaves_the_step_unmade(
    step: int, way: str, whole: Callable[[str], Run], new_run: Callable[..., Run], page: Path
) -> None:
    interrupted, stopped = (new_run(WAYS[way], pretraining=page) for _ in range(2))
    stop = StopRequest()

    def request(at: int, done: int) -> None:
        if at == step and done < 5:
            stop.number = 15

    assert not tune(interrupted, stop=stop, listener=Listener(on_progress=request)).finished
    assert stop
    assert steps(interrupted) == step - 1
    tune(stopped, stop_at=step - 1)
    assert_equal_runs(stopped, interrupted)  # the random generator too
    tune(interrupted)
    assert_equal_runs(whole(way), interrupted)


@pytest.mark.parametrize("step", [2, 4, 6])
def test_a_stop_within_a_validation_loses_no_judgement(
    step: int, whole: Callable[[str], Run], new_run: Callable[..., Run], page: Path
) -> None:
    interrupted, stop = new_run(pretraining=page), StopRequest()

    def request(row: Row) -> None:
        if row["event"] == "train" and row["step"] == step:
            stop.number = 15

    assert not tune(interrupted, stop=stop, listener=Listener(on_row=request)).finished
    assert [row["step"] for row in numbers(interrupted) if row["event"] == "valid"] == [*range(2, step, 2)]
    tune(interrupted)
    assert_equal_runs(whole("classification"), interrupted)


def test_a_stop_within_the_last_judgement_loses_only_that(
    whole: Callable[[str], Run], new_run: Callable[..., Run], page: Path
) -> None:
    interrupted, stop = new_run(pretraining=page), StopRequest()

    def request(row: Row) -> None:
        if row["event"] == "valid" and row["step"] == 6:
            stop.number = 15

    assert not tune(interrupted, stop=stop, listener=Listener(on_row=request)).finished
    assert tune(interrupted).finished
    assert_equal_runs(whole("classification"), interrupted)


def test_a_finished_run_is_left_as_it_is(new_run: Callable[..., Run]) -> None:
    run = new_run()
    tune(run)
    before = read_metrics(run.metrics_path)
    outcome = tune(run)
    assert outcome.finished
    assert outcome.last_row == before[-1]
    assert read_metrics(run.metrics_path) == before


def test_a_run_goes_on_without_its_sources(tmp_path: Path, whole: Callable[[str], Run]) -> None:
    way, sources = "l2_sp and replay", write_page(tmp_path / "text")
    run = prepared(tmp_path / "run", WAYS[way], pretraining=sources)
    tune(run, stop_at=4)
    shutil.rmtree(sources)  # the examples and the base model never were files here
    assert tune(run).finished
    assert_equal_runs(whole(way), run)


def test_a_run_goes_on_where_the_run_whose_text_it_took_is_gone(tmp_path: Path) -> None:
    first = prepared(tmp_path / "first", pretraining=write_page(tmp_path / "text"))
    packed = first.folder / "pretraining"
    run = prepared(tmp_path / "second", {"train": {"replay": 0.5}}, pretraining=packed)
    expected = numbers(first)[0]
    shutil.rmtree(first.folder)
    assert tune(run).finished
    assert numbers(run)[0] == expected


def test_examples_of_a_step_are_those_the_draw_names(new_run: Callable[..., Run]) -> None:
    run = new_run()
    tune(run)
    rows = [row for row in read_metrics(run.metrics_path) if row["event"] == "train"]
    assert [row["examples"] for row in rows] == [5 * step for step in range(1, 7)]
    assert [row["lr"] for row in rows[:3]] == pytest.approx([1e-2 / 2.4, 2e-2 / 2.4, 1e-2])
    assert rows[-1]["lr"] == pytest.approx(1e-2 / (6 - 2.4))


@pytest.mark.parametrize("kind", ["classification", "entailment", "similarity", "choice", "regression"])
def test_what_a_letter_gives_away_is_learnt(
    kind: str, new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "GROUP_TOKENS", 8192)
    train = {"max_steps": 30, "valid_every": 10, "dropout": 0.0, "head_dropout": 0.0, "batch_size": 6}
    run = new_run({"task": {"kind": kind}, "train": train})
    end = tune(run).last_row
    losses = [row["loss_nats"] for row in numbers(run) if row["event"] == "train"]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    if kind == "regression":
        assert end["pearson"] > 0.95
    else:
        assert end["accuracy"] == 1.0
        assert end["accuracy_95"] == [1.0, 1.0]


def test_the_last_row_judges_the_best_checkpoint(new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run({"train": {"max_steps": 12, "valid_every": 4}})
    given = iter([0.75, 0.5, 0.625, 0.125])
    judged: list[dict[str, torch.Tensor]] = []
    score, predict = finetune.scores, finetune.predict

    def scored(task: TaskConfig, items: Sequence[Item], predicted: Predicted) -> dict[MetricName, float]:
        return {**score(task, items, predicted), "accuracy": next(given)}

    def noted(model: finetune.FineTuned, items: Sequence[Item], stop: StopRequest) -> Predicted | None:
        judged.append({name: weight.clone() for name, weight in model.state_dict().items()})
        return predict(model, items, stop)

    monkeypatch.setattr(finetune, "scores", scored)
    monkeypatch.setattr(finetune, "predict", noted)
    outcome = tune(run)
    assert judgements(run) == {4: 0.75, 8: 0.5, 12: 0.625}
    assert outcome.best_checkpoint == best(run.checkpoints_folder) == run.checkpoint_folder(4)
    assert len(judged) == 4
    kept = read_checkpoint(run.checkpoint_folder(4)).model
    assert all(torch.equal(kept[name], weight) for name, weight in judged[-1].items())
    assert outcome.last_row["event"] == "end"
    assert outcome.last_row["accuracy"] == 0.125


def test_a_run_ends_where_its_best_checkpoint_is_damaged(
    new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best is far behind the newest by then; the last row judges the best of those that are whole."""
    run, listener = new_run({"train": {"max_steps": 12, "valid_every": 2, "checkpoint_every": 2}}), Listener()
    found = iter([0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5])

    def scored(*_: object) -> dict[MetricName, float]:
        return {"accuracy": next(found)}

    monkeypatch.setattr(finetune, "scores", scored)
    tune(run, stop_at=8)
    damaged = best(run.checkpoints_folder)
    assert damaged
    assert damaged == run.checkpoint_folder(2)
    (damaged / "model.safetensors").write_bytes(b"damaged")
    outcome = tune(run, listener=listener)
    assert outcome.finished
    assert outcome.best_checkpoint == run.checkpoint_folder(12)
    assert [str(damaged) in warning for warning in listener.warnings] == [True]


def test_the_last_row_says_what_was_confused(new_run: Callable[..., Run]) -> None:
    row = tune(new_run()).last_row
    assert [len(counts) for counts in row["confusion"]] == [2, 2]
    assert [sum(counts) for counts in row["confusion"]] == [4, 4]  # four examples of each class
    assert row["accuracy"] == (row["confusion"][0][0] + row["confusion"][1][1]) / 8
    assert {"macro_f1", "matthews", "macro_f1_95", "loss_nats"} <= row.keys()


@pytest.mark.parametrize("layers", [0, 1, None])
def test_the_pull_is_toward_pretrained_weights_alone(
    layers: int | None, new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run({"train": {"l2_sp": 0.5, "transfer_layers": layers}})
    seen: list[set[str]] = []
    pull = finetune.pull

    def noted(model: finetune.FineTuned, pretrained: dict[str, torch.Tensor], strength: float) -> None:
        seen.append(set(pretrained))
        pull(model, pretrained, strength)

    monkeypatch.setattr(finetune, "pull", noted)
    tune(run, stop_at=1)
    parts = {"wte", "wpe", *(f"h.{layer}" for layer in range(GPT2.n_layer if layers is None else layers))}
    if layers is None:
        parts.add("ln_f")
    names = set(read_checkpoint(run.initial_folder).model)
    assert seen == [{name for name in names if name.startswith(tuple(f"gpt.{part}." for part in parts))}]


def test_the_pull_keeps_weights_nearer_to_where_they_began(new_run: Callable[..., Run]) -> None:
    distances: list[float] = []
    for strength in (0.0, 0.1, 10.0):
        run = new_run({"train": {"l2_sp": strength}})
        tune(run)
        began, ended = read_checkpoint(run.initial_folder).model, last_state(run)
        distances.append(sum((ended[name] - began[name]).norm().item() for name in began if ".h." in name))
    assert distances == sorted(distances, reverse=True)
    assert len(set(distances)) == 3


@pytest.mark.parametrize("how", ["freeze_blocks", "lora_rank"])
def test_frozen_weights_of_a_run_are_those_it_began_with(how: str, new_run: Callable[..., Run]) -> None:
    run = new_run({"train": {how: 2, "weight_decay": 0.5}})
    tune(run)
    began, ended = read_checkpoint(run.initial_folder).model, last_state(run)
    same = {name for name in began if name in ended and torch.equal(began[name], ended[name])}
    free = {"head.weight", "gpt.wte.weight", *(["gpt.ln_f.weight", "gpt.ln_f.bias"] if how == "freeze_blocks" else [])}
    adapted = {name for name in began if how == "lora_rank" and ".c_attn." in name}
    assert set(began) - same - adapted == free
    for name in adapted:
        assert torch.equal(began[name], ended[name.replace("c_attn.", "c_attn.base.")])


def test_a_step_that_is_not_finite_is_skipped(new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    run, listener = new_run(), Listener()
    tune(run, stop_at=2)
    before = last_state(run)
    loss = finetune.task_loss

    def spoilt_loss(task: TaskConfig, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return loss(task, outputs, targets) * torch.nan

    with monkeypatch.context() as spoilt:
        spoilt.setattr(finetune, "task_loss", spoilt_loss)
        tune(run, stop_at=3, listener=listener)
    after = last_state(run)
    assert [name for name in before if not torch.equal(before[name], after[name])] == ["generator.cpu"]
    assert len(listener.warnings) == 1
    row = numbers(run)[-1]
    assert (row["step"], row["skipped"], row["loss_nats"], row["task_loss_nats"]) == (3, True, None, None)
    assert tune(run).finished


@pytest.mark.parametrize("way", ["classification", "choice", "lora"])
def test_an_untrained_run_loads_as_the_model_it_began_from(way: str, new_run: Callable[..., Run]) -> None:
    run, base = new_run(WAYS[way]), base_model()
    found = gptrilogy.load(run.initial_folder, device="cpu")
    assert found.model.config.replace(dropout=GPT2.dropout) == GPT2
    expected = base.model.state_dict()
    weights = found.model.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)
    assert found.generate("abc", max_tokens=8, seed=1) == base.generate("abc", max_tokens=8, seed=1)


@pytest.mark.parametrize("way", ["classification", "lora"])
def test_a_trained_run_loads_as_a_language_model_of_its_best_checkpoint(way: str, new_run: Callable[..., Run]) -> None:
    run, base = new_run(WAYS[way]), base_model()
    outcome = tune(run)
    found = gptrilogy.load(run.folder, device="cpu")
    assert found.source == outcome.best_checkpoint
    assert found.model.config.n_vocab == found.tokenizer.n_vocab == base.model.config.n_vocab
    shapes = {name: weight.shape for name, weight in base.model.state_dict().items()}
    assert {name: weight.shape for name, weight in found.model.state_dict().items()} == shapes
    ids = torch.tensor([[1, 2, 3]])
    assert not torch.equal(found.model(ids), base.model(ids))


def test_forgetting_is_measured_before_and_after(new_run: Callable[..., Run], page: Path) -> None:
    run = new_run({"train": {"learning_rate": 0.1}}, pretraining=page)
    tune(run)
    first, *_, last = numbers(run)
    assert (first["event"], first["step"], last["event"]) == ("pretraining", 0, "end")
    text = open_shards(run.folder / "pretraining", fingerprint=None)
    for row, model in ((first, base_model()), (last, gptrilogy.load(run.folder, device="cpu"))):
        found = finetune.forgetting(model.model, text)
        assert found is not None
        assert row["pretraining_loss_nats"] == found.loss_nats
    assert first["pretraining_loss_nats"] != last["pretraining_loss_nats"]


def test_without_text_of_the_pretraining_forgetting_is_not_measured(new_run: Callable[..., Run]) -> None:
    run = new_run()
    tune(run)
    assert all("pretraining_loss_nats" not in row for row in numbers(run))
    assert finetune.forgetting(base_model().model, None) is None


def test_replay_is_in_the_loss_by_its_share(new_run: Callable[..., Run], page: Path) -> None:
    run = new_run({"train": {"replay": 0.5}}, pretraining=page)  # 5 examples: round(2.5) = 2 windows
    tune(run, stop_at=3)
    rows = [row for row in numbers(run) if row["event"] == "train"]
    assert len(rows) == 3
    for row in rows:
        parts = row["task_loss_nats"] + 0.5 * row["lm_loss_nats"] + 2 / 5 * row["replay_loss_nats"]
        assert row["loss_nats"] == pytest.approx(parts, rel=1e-6)


def test_replayed_windows_follow_each_other_across_steps_and_stops(
    new_run: Callable[..., Run], page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run({"train": {"replay": 0.5}}, pretraining=page)
    read: list[int] = []
    batch = Loader.batch

    def noted(self: Loader, first_sample: int, batch_size: int) -> torch.Tensor:
        read.extend(range(first_sample, first_sample + batch_size))
        return batch(self, first_sample, batch_size)

    monkeypatch.setattr(Loader, "batch", noted)
    for step in range(1, 7):
        tune(run, stop_at=step)
    assert read == [*range(2 * 6)]


def steps(run: Run) -> int:
    """Finished steps, by the log."""
    return max((row["step"] for row in read_metrics(run.metrics_path) if row["event"] == "train"), default=0)
