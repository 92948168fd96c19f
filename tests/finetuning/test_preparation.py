"""From examples to a run folder: what is decided, what is refused, and what a damaged folder says."""

import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gptrilogy.checkpoints import read_checkpoint
from gptrilogy.config import Tree, merge, parse
from gptrilogy.errors import ConfigError, DataError, RunError, TokenizerError
from gptrilogy.finetuning import preparation
from gptrilogy.finetuning.config import FinetuneConfig, TaskConfig
from gptrilogy.finetuning.preparation import (
    encode,
    held_out,
    prepare,
    reopen,
    resolved,
    resolved_task,
    target,
)
from gptrilogy.finetuning.tasks import Example
from gptrilogy.models import GPT
from gptrilogy.runs import Run
from gptrilogy.tokenizers import BytesTokenizer
from tiny_tasks import GPT2, PAPERS
from tiny_tuning import TINY, base_model, examples, ignore, numbers, prepared, tune, write_page

REGRESSION = TaskConfig(kind="regression")


def scored(*scores: float) -> list[Example]:
    return [Example(("a", "b"), label=score, where=f"pairs.tsv:{row}") for row, score in enumerate(scores, 2)]


def classed(*labels: str) -> list[Example]:
    return [Example(("a",), label=label, where=f"reviews.tsv:{row}") for row, label in enumerate(labels, 2)]


def config_of(changes: Tree) -> FinetuneConfig:
    return parse(FinetuneConfig, merge(TINY, changes))


# What is held out.


@pytest.mark.parametrize(("n", "n_valid"), [(6, 1), (10, 1), (100, 10), (157, 16)])
def test_a_tenth_is_held_out_in_the_order_of_the_file(n: int, n_valid: int) -> None:
    whole = examples(n=n)
    train, valid = held_out(whole, seed=0)
    assert len(valid) == n_valid
    places = [[whole.index(example) for example in part] for part in (train, valid)]
    assert sorted(places[0] + places[1]) == [*range(n)]
    assert all(part == sorted(part) for part in places)


def test_the_seed_names_what_is_held_out() -> None:
    whole = examples(n=60)
    assert held_out(whole, seed=1) == held_out(whole, seed=1)
    assert held_out(whole, seed=1) != held_out(whole, seed=2)


def test_too_few_examples_to_hold_any_out_are_refused() -> None:
    with pytest.raises(DataError, match=r"^5 examples are too few to hold some out .*: give a file with --valid$"):
        held_out(examples(n=5), seed=0)


# What follows from the examples.


def test_classes_are_those_of_the_training_examples() -> None:
    found = resolved_task(TaskConfig(), classed("good", "bad", "good"), "reviews.tsv")
    assert (found.labels, found.metrics) == (("bad", "good"), ("accuracy", "macro_f1", "matthews"))
    kept = resolved_task(TaskConfig(metrics=("f1",)), classed("1", "0"), "reviews.tsv")
    assert (kept.labels, kept.metrics) == (("0", "1"), ("f1",))


@pytest.mark.parametrize("how", ["classes", "mse"])
def test_the_range_of_scores_is_that_of_the_training_examples(how: str) -> None:
    found = resolved_task(
        TaskConfig.model_validate({"kind": "regression", "regression": how}), scored(0.5, 3.2, 4), "x"
    )
    assert (found.low, found.high) == (0, 4)
    assert found.mean == pytest.approx(statistics.fmean([0.5, 3.2, 4]))
    assert found.std == pytest.approx(statistics.pstdev([0.5, 3.2, 4]))
    assert found.n_outputs == (5 if how == "classes" else 1)


def test_a_choice_has_nothing_to_find_out() -> None:
    found = resolved_task(TaskConfig(kind="choice"), examples("choice"), "x")
    assert found == TaskConfig(kind="choice", metrics=("accuracy",))


def test_one_class_only_is_refused() -> None:
    with pytest.raises(DataError, match=r"^reviews\.tsv: a classifier needs at least 2 classes"):
        resolved_task(TaskConfig(), classed("good", "good"), "reviews.tsv")


@pytest.mark.parametrize("score", [3.0, 3.5])
def test_a_constant_score_is_refused(score: float) -> None:
    with pytest.raises(DataError, match=rf"^every score in pairs\.tsv is {score:g}: there is nothing to learn$"):
        resolved_task(REGRESSION, scored(score, score), "pairs.tsv")


def test_more_levels_than_a_soft_target_should_have_are_refused() -> None:
    assert resolved_task(REGRESSION, scored(1, 100), "pairs.tsv").n_outputs == 100
    message = (
        r"^scores in pairs\.tsv span 0 to 100, and a soft target has at most 100 whole levels; give --.*regression mse$"
    )
    with pytest.raises(DataError, match=message):
        resolved_task(REGRESSION, scored(0, 100), "pairs.tsv")
    assert resolved_task(REGRESSION.replace(regression="mse"), scored(0, 100), "pairs.tsv").n_outputs == 1


@pytest.mark.parametrize(
    ("kind", "label", "expected"),
    [("classification", "good", 1.0), ("choice", 3, 3.0), ("regression", 2.5, 2.5), ("classification", None, math.nan)],
)
def test_a_target_is_the_number_the_model_should_say(kind: str, label: str | float | None, expected: float) -> None:
    task = TaskConfig.model_validate({"kind": kind, "labels": ("bad", "good")})
    assert target(task, Example(("a",), label=label)) == pytest.approx(expected, nan_ok=True)


# What follows from the sizes.


@pytest.mark.parametrize(
    ("train", "max_steps", "every"),
    [
        ({"max_steps": None, "valid_every": None}, 24, 8),  # 40 examples, 5 a step, three epochs
        ({"max_steps": None, "valid_every": None, "epochs": 0.5}, 4, 4),
        ({"max_steps": None, "valid_every": None, "batch_size": 32}, 4, 2),
        ({"max_steps": 2, "valid_every": None}, 2, 2),
        ({"max_steps": 7, "valid_every": 3}, 7, 3),
    ],
)
def test_steps_and_rhythm_follow_from_the_examples(train: Tree, max_steps: int, every: int) -> None:
    config, _ = resolved(config_of({"train": train}), base_model().model, 40)
    found = config.train
    assert (found.max_steps, found.valid_every, found.checkpoint_every, found.epochs) == (max_steps, every, every, None)
    assert resolved(config, base_model().model, 40)[0] == config


def test_checkpoints_keep_a_rhythm_that_was_given() -> None:
    config, _ = resolved(config_of({"train": {"checkpoint_every": 1}}), base_model().model, 40)
    assert (config.train.valid_every, config.train.checkpoint_every) == (2, 1)


def test_every_validation_needs_a_checkpoint_of_its_step() -> None:
    with pytest.raises(ConfigError, match="got 10 and 7"):
        resolved(config_of({"train": {"valid_every": 10, "checkpoint_every": 7}}), base_model().model, 400)


def test_a_precision_left_open_is_decided_and_told() -> None:
    config, notes = resolved(config_of({"train": {"precision": "auto", "device": "cpu"}}), base_model().model, 40)
    assert config.train.precision in ("fp32", "bf16")
    assert notes[0].startswith(f"precision {config.train.precision}: ")
    assert resolved(config_of({}), base_model().model, 40)[1] == []


@pytest.mark.parametrize("paper", PAPERS)
def test_the_model_is_the_base_with_three_more_tokens_and_its_own_dropout(paper: str) -> None:
    config, _ = resolved(config_of({}), GPT(PAPERS[paper]), 40)
    assert config.model == PAPERS[paper].replace(n_vocab=260, dropout=0.1)


@pytest.mark.parametrize("name", ["transfer_layers", "freeze_blocks"])
def test_more_blocks_than_there_are_are_refused(name: str) -> None:
    resolved(config_of({"train": {name: 2}}), base_model().model, 40)
    with pytest.raises(ConfigError, match=rf"^train\.{name} must be at most 2, the blocks of the model, got 3$"):
        resolved(config_of({"train": {name: 3}}), base_model().model, 40)


def test_how_many_examples_were_cut_is_told() -> None:
    told: list[str] = []
    task = TaskConfig(labels=("bad", "good"))
    whole = [Example((text,), label="good") for text in ("a" * 20, "b" * 22, "c" * 23, "d" * 99)]
    items = encode(task, whole, BytesTokenizer(), n_ctx=24, note=told.append, what="training")
    assert told == ["2 of 4 training examples were cut to the model's context of 24 tokens"]
    assert [item.length for item in items] == [22, 24, 24, 24]
    assert {item.target for item in items} == {1.0}
    encode(task, whole[:2], BytesTokenizer(), n_ctx=24, note=told.append, what="training")
    assert len(told) == 1


# What is refused before anything is written.


def create(folder: Path, config: FinetuneConfig) -> Run:
    return Run.create(folder, config.model_dump(mode="json"), {})


def test_a_label_that_training_never_saw_is_refused(tmp_path: Path) -> None:
    config = config_of({})
    with pytest.raises(DataError, match=r"^reviews\.tsv:3: label 'fine' did not occur in training: known: bad, good$"):
        prepare(config, base_model(), examples(), classed("good", "fine"), create(tmp_path, config), ignore)
    assert not Run(tmp_path).initial_folder.exists()


@pytest.mark.parametrize("kind", ["choice", "regression"])
def test_labels_that_are_no_classes_may_be_new(kind: str, tmp_path: Path) -> None:
    assert prepared(tmp_path, {"task": {"kind": kind}}).initial_folder.exists()


def test_replay_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^train\.replay needs text of the pretraining, .*: name some with --pretra"):
        prepared(tmp_path, {"train": {"replay": 0.5}})
    assert not Run(tmp_path).initial_folder.exists()


def test_text_packed_by_another_tokenizer_is_refused(tmp_path: Path) -> None:
    first = prepared(tmp_path / "first", pretraining=write_page(tmp_path / "text"))
    index = first.folder / "pretraining" / "index.json"
    assert BytesTokenizer().fingerprint in index.read_text()
    index.write_text(index.read_text().replace(BytesTokenizer().fingerprint, "0" * 64))
    with pytest.raises(DataError):
        prepared(tmp_path / "second", pretraining=first.folder / "pretraining")


# What a run holds.


def test_a_prepared_run_opens_as_what_was_prepared(tmp_path: Path, page: Path) -> None:
    config = config_of({})
    run = create(tmp_path, config)
    train, valid = examples(), examples(n=8, seed=1)
    config, data = prepare(config, base_model(), train, valid, run, ignore, pretraining=[str(page)])
    assert parse(FinetuneConfig, run.config()) == config
    again = reopen(config, run, ignore)
    assert (again.train, again.valid) == (data.train, data.valid)
    assert (len(data.train), len(data.valid)) == (40, 8)
    assert data.train[0].sequences == ((257, *train[0].texts[0].encode(), 259),)
    for one, other in ((again, data), (data, again)):
        assert one.pretraining is not None
        assert other.pretraining is not None
        assert len(one.pretraining.train) == len(other.pretraining.train) > 0
        assert len(one.pretraining.valid) == len(other.pretraining.valid) > 0


def test_initial_weights_are_the_pretrained_ones_and_what_is_new(new_run: Callable[..., Run]) -> None:
    began = read_checkpoint(new_run().initial_folder).model
    base = base_model().model.state_dict()
    assert set(began) == {"head.weight", *(f"gpt.{name}" for name in base)}
    assert all(torch.equal(began[f"gpt.{name}"][: len(weight)], weight) for name, weight in base.items())
    assert began["gpt.wte.weight"].shape == (260, GPT2.n_embd)
    assert began["head.weight"].shape == (2, GPT2.n_embd)


def test_a_second_run_in_a_folder_keeps_nothing_of_the_first(tmp_path: Path, page: Path) -> None:
    prepared(tmp_path / "run", pretraining=page)
    run = Run.create(tmp_path / "run", config_of({}).model_dump(mode="json"), {}, force=True)
    prepare(config_of({}), base_model(), examples(), examples(n=8), run, ignore)
    assert reopen(parse(FinetuneConfig, run.config()), run, ignore).pretraining is None
    assert numbers(run) == []


@pytest.mark.parametrize(
    "step", ["decide", "save_tokenizer", "write_atomic", "pack", "read_data", "forgetting", "write_initial"]
)
@pytest.mark.parametrize("before", [True, False])
def test_a_preparation_cut_short_is_no_run(
    step: str, before: bool, tmp_path: Path, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if before:  # the folder holds an earlier run, which --force deletes
        prepared(tmp_path / "run", pretraining=page)
    config = config_of({})
    run = Run.create(tmp_path / "run", config.model_dump(mode="json"), {}, force=True)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preparation, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(config, base_model(), examples(), examples(n=8), run, ignore, pretraining=[str(page)])
    with pytest.raises(RunError, match=r"was interrupted before its training began: call `gpt finetune` again with --"):
        reopen(parse(FinetuneConfig, run.config()), run, ignore)


@pytest.mark.parametrize("name", ["train.jsonl", "valid.jsonl"])
@pytest.mark.parametrize("damage", ["bit", "cut", "line", "empty", "gone"])
def test_damaged_examples_are_refused_by_name(name: str, damage: str, new_run: Callable[..., Run]) -> None:
    run = new_run()
    tune(run, stop_at=2)
    path = run.data_folder / name
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    damaged = {
        "bit": content.replace(b"x", b"y", 1),
        "cut": content[:-7],
        "line": b"".join(lines[:-1]),
        "empty": b"",
    }
    if damage == "gone":
        path.unlink()
    else:
        assert damaged[damage] != content
        path.write_bytes(damaged[damage])
    with pytest.raises(DataError, match=name) as error:
        tune(run)
    assert "\n" not in str(error.value)
    path.write_bytes(content)
    assert tune(run).finished


@pytest.mark.parametrize(
    "line", ["[1, 2]", '{"texts": ["a"]}', "nonsense", '{"texts": 5, "answers": []}', "[" * 100_000]
)
def test_a_line_that_is_no_example_is_an_error_of_one_line(line: str, new_run: Callable[..., Run]) -> None:
    run = new_run()
    path = run.data_folder / "train.jsonl"
    path.write_text(f"{line}\n", encoding="utf-8")
    config = parse(FinetuneConfig, run.config())
    with pytest.raises(DataError, match=r"^cannot read the run's own examples in .*train\.jsonl: ") as error:
        preparation.read_data(config, run, BytesTokenizer(), ignore)
    assert "\n" not in str(error.value)


def test_examples_come_back_whatever_is_in_them(tmp_path: Path) -> None:
    odd = 'a\u2028b\x85c\td"e\\n\U0001f600'
    train = [Example((odd,), label=label, where="x:1") for label in ("é", "1", "1")]
    run = create(tmp_path, config_of({}))
    config, data = prepare(config_of({}), base_model(), train, train, run, ignore)
    assert config.task.labels == ("1", "é")
    assert [item.target for item in data.train] == [1, 0, 0]
    assert data.train[0].sequences[0][:-1] == (257, *odd.encode())
    assert len((run.data_folder / "train.jsonl").read_text("utf-8").split("\n")) == 4
    assert json.loads((run.data_folder / "train.jsonl").read_text("utf-8").split("\n")[0])["texts"] == [odd]


def test_replayed_text_that_is_gone_is_missed(tmp_path: Path, page: Path) -> None:
    run = prepared(tmp_path, {"train": {"replay": 0.5}}, pretraining=page)
    (tmp_path / "pretraining" / "index.json").unlink()
    with pytest.raises(DataError, match=r"pretraining is gone, whose text train\.replay mixes in: put it back$"):
        tune(run)


def test_a_damaged_tokenizer_is_refused(new_run: Callable[..., Run]) -> None:
    run = new_run()
    path = run.tokenizer_folder / "tokenizer.json"
    path.write_text(path.read_text().replace("bytes", "bites"))
    with pytest.raises(TokenizerError):
        tune(run)
