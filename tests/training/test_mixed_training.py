"""A run on a mixture: the same bits however often it stops, its losses by set, its shards taken over."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gptrilogy.config import Tree, merge, parse
from gptrilogy.data.loader import MixedLoader
from gptrilogy.data.shards import open_shards
from gptrilogy.data.tokens import Tokens
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.metrics import read_metrics
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.gpt import GPT
from gptrilogy.runs import Run
from gptrilogy.training import validation
from gptrilogy.training.config import RunConfig
from gptrilogy.training.loop import Outcome
from gptrilogy.training.preparation import prepare, survey, survey_sets
from gptrilogy.training.resolve import resolve
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.validation import Validation, validate, validate_sets
from written_corpus import write_corpus

WEIGHTS = {"web": 0.6, "books": 0.3, "notes": 0.11}
STEPS = 12


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sets = {
        "web": [f"Page {number} of a web of pages, each like the last. " * 2 for number in range(60)],
        "books": [f"Chapter {number}. It was the best of times." for number in range(25)],
        "notes": ["Buy milk, and a lamp. Write to the captain about the whale. " * 2],
    }
    return write_corpus(tmp_path_factory.mktemp("built") / "corpus", sets, dict(WEIGHTS))


@pytest.fixture(scope="module")
def mixed_run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Make a run on the corpus that is ready to train."""
    fields: Tree = {
        "tokenizer": "bytes",
        "data": {"sources": (str(corpus),)},
        "model": {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_ctx": 16, "dropout": 0.1},
        "train": {"max_steps": STEPS, "batch_size": 5, "micro_batch_size": 2, "precision": "fp32", "valid_every": 4},
    }

    def mixed_run(**changes: object) -> Run:
        config = parse(RunConfig, merge(fields, changes))
        run = Run.create(tmp_path_factory.mktemp("run"), config.model_dump(mode="json"), {})
        _, data = prepare(config, survey_sets(config.data, config.seed, ignore), run, ignore, ignore)
        run.write_config(resolve(config, data)[0].model_dump(mode="json"))
        return run

    return mixed_run


@pytest.fixture(scope="module")
def whole_mixed(mixed_run: Callable[..., Run], train: Callable[..., Outcome]) -> Run:
    run = mixed_run()
    assert train(run).finished
    return run


def ignore(message: str) -> None:
    del message


def test_stopping_after_every_step_of_a_mixture_changes_no_bit(
    whole_mixed: Run,
    mixed_run: Callable[..., Run],
    train: Callable[..., Outcome],
    assert_equal_runs: Callable[[Run, Run], None],
) -> None:
    halting = mixed_run()
    for step in range(1, STEPS + 1):
        assert train(halting, stop_at=step).finished == (step == STEPS)
    assert_equal_runs(whole_mixed, halting)


def test_training_reads_the_mixture_in_its_order(
    mixed_run: Callable[..., Run], train: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Tensor] = []
    batch = MixedLoader.batch

    def noted(self: MixedLoader, first_sample: int, batch_size: int) -> Tensor:
        read.append(batch(self, first_sample, batch_size))
        return read[-1]

    run = mixed_run()
    monkeypatch.setattr(MixedLoader, "batch", noted)
    train(run)
    data = open_shards(run.data_folder, fingerprint=None)
    assert torch.equal(torch.cat(read), batch(MixedLoader(data.sets, n_ctx=16, seed=0), 0, 5 * STEPS))


def test_the_log_has_the_held_out_loss_of_each_set_and_their_mean_by_weight(whole_mixed: Run) -> None:
    rows = [row for row in read_metrics(whole_mixed.metrics_path) if row["event"] in ("valid", "end")]
    assert [row["step"] for row in rows] == [4, 8, 12, 12]
    for row in rows:
        losses = row["valid_loss_by_set"]
        assert list(losses) == list(WEIGHTS)
        mean = sum(WEIGHTS[name] * loss for name, loss in losses.items()) / 1.01
        assert row["loss_nats"] == pytest.approx(mean, rel=1e-12)


def test_a_loss_that_is_not_finite_is_null_in_the_log(
    mixed_run: Callable[..., Run], train: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_number(self: GPT, ids: Tensor) -> Tensor:
        del self
        return torch.full((len(ids), ids.shape[1] - 1), math.nan)

    monkeypatch.setattr(GPT, "token_nats", no_number)
    run = mixed_run(train={"max_steps": 1, "valid_every": 1})
    train(run)
    row = next(row for row in read_metrics(run.metrics_path) if row["event"] == "valid")
    assert (row["loss_nats"], row["valid_loss_by_set"]) == (None, dict.fromkeys(WEIGHTS))


def test_the_bits_of_a_mixture_are_those_of_text_mixed_as_it_is_trained_on(whole_mixed: Run) -> None:
    data = open_shards(whole_mixed.data_folder, fingerprint=None)
    model = GPT(GPTConfig(n_vocab=257, n_ctx=16, n_embd=8, n_head=2, n_layer=1), torch.Generator().manual_seed(0))
    found = validate_sets(model, data.sets)
    assert found is not None
    each = {one.name: validate(model, one.valid) for one in data.sets}
    assert found.loss_by_set == {name: judged.loss_nats for name, judged in each.items() if judged}
    bits = sum(WEIGHTS[name] * loss / math.log(2) for name, loss in found.loss_by_set.items())
    text_bytes = sum(WEIGHTS[one.name] * one.valid.text_bytes / len(one.valid) for one in data.sets)
    assert found.bits_per_byte == pytest.approx(bits / text_bytes, rel=1e-12)
    stop = StopRequest()
    stop.number = 15
    assert validate_sets(model, data.sets, stop) is None


def test_validation_windows_are_divided_by_weight_and_none_goes_without(
    whole_mixed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []

    def noted(model: GPT, tokens: Tokens, stop: StopRequest | None, *, max_windows: int | None) -> Validation | None:
        asked.append(max_windows)
        return validate(model, tokens, stop, max_windows=max_windows)

    monkeypatch.setattr(validation, "validate", noted)
    data = open_shards(whole_mixed.data_folder, fingerprint=None)
    model = GPT(GPTConfig(n_vocab=257, n_ctx=16, n_embd=8, n_head=2, n_layer=1), torch.Generator().manual_seed(0))
    for windows in (10, 2, None):
        validate_sets(model, data.sets, max_windows=windows)
    assert asked == [6, 3, 1, 1, 1, 1, None, None, None]


def test_what_is_stored_says_the_weights(whole_mixed: Run) -> None:
    assert whole_mixed.config()["data"]["weights"] == WEIGHTS
    index = json.loads((whole_mixed.data_folder / "index.json").read_text())
    assert {one["name"]: one["weight"] for one in index["sets"]} == WEIGHTS


def test_packed_sets_are_taken_over_by_other_weights(whole_mixed: Run, mixed_run: Callable[..., Run]) -> None:
    sources = (str(whole_mixed.data_folder),)
    same = open_shards(mixed_run(data={"sources": sources}).data_folder, fingerprint=None)
    assert {one.name: one.weight for one in same.sets} == WEIGHTS
    other = mixed_run(data={"sources": sources, "weights": "books=1,web=3"})
    assert other.config()["data"]["weights"] == {"web": 3, "books": 1}
    alone = mixed_run(data={"sources": sources, "weights": "books=1"})
    data = open_shards(alone.data_folder, fingerprint=None)
    assert (data.sets, bytes(data.train.window(0, 7).tolist())) == ((), b"Chapter")


def test_an_interrupted_packing_of_a_mixture_goes_on_to_the_same_bytes(
    corpus: Path, whole_mixed: Run, tmp_path: Path
) -> None:
    class Interrupted(Exception):
        """Stands for whatever may stop a preparation from outside."""

    seen: list[str] = []

    def interrupt(message: str) -> None:
        seen.append(message)
        if len(seen) == 2:  # the first set is packed
            raise Interrupted

    config = parse(RunConfig, {"tokenizer": "bytes", "data": {"sources": (str(corpus),)}})
    splits = survey_sets(config.data, config.seed, ignore)
    run = Run(tmp_path / "run")
    with pytest.raises(Interrupted):
        prepare(config, splits, run, ignore, interrupt)
    assert not (run.data_folder / "index.json").exists()
    prepare(config, splits, run, ignore, seen.append)
    assert seen[-1] == "packed 100%: 86 of 86 documents"
    assert contents(run.data_folder) == contents(whole_mixed.data_folder)


def test_a_set_with_too_little_text_is_named_before_training(tmp_path: Path, mixed_run: Callable[..., Run]) -> None:
    sets = {"web": ["words " * 50], "notes": ["ab"]}
    source = write_corpus(tmp_path / "corpus", sets, {"web": 0.5, "notes": 0.5})
    with pytest.raises(DataError, match=r"the set notes has 2 tokens to train on and 2 held out, .* weight of 0"):
        mixed_run(data={"sources": (str(source),)})


def test_a_set_of_which_the_corpus_kept_nothing_is_left_out(tmp_path: Path, mixed_run: Callable[..., Run]) -> None:
    source = write_corpus(tmp_path / "corpus", {"web": ["words " * 50], "notes": []}, {"web": 0.5, "notes": 0.5})
    run = mixed_run(data={"sources": (str(source),)})
    assert open_shards(run.data_folder, fingerprint=None).sets == ()


def test_a_corpus_without_weights_trains_as_one_text(tmp_path: Path, mixed_run: Callable[..., Run]) -> None:
    source = write_corpus(tmp_path / "corpus", {"web": ["words " * 50], "notes": ["ab"]}, {})
    run = mixed_run(data={"sources": (str(source),)})
    assert open_shards(run.data_folder, fingerprint=None).sets == ()
    assert run.config()["data"]["weights"] == {}


def test_a_survey_of_one_text_refuses_a_mixture(corpus: Path) -> None:
    data = parse(RunConfig, {"data": {"sources": (str(corpus),)}}).data
    with pytest.raises(ConfigError, match="is a mixture of web, books, notes, where one text is needed"):
        survey(data, 0, ignore)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
