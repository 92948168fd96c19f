"""What a config leaves open is decided once, and every decision is said."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.config import Tree, merge, parse
from gptrilogy.data.shards import PackedData, open_shards
from gptrilogy.data.tokens import Tokens
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.recipes import recipe
from gptrilogy.runs import Run
from gptrilogy.scaling.plan import memory_by_part
from gptrilogy.training import resolve as module
from gptrilogy.training.config import RunConfig, TrainConfig
from gptrilogy.training.resolve import micro_batch_size, resolve

MODEL: Tree = {"n_layer": 2, "n_embd": 16, "n_head": 2, "n_ctx": 16}


@pytest.fixture(scope="module")
def data(new_run: Callable[..., Run]) -> PackedData:
    return open_shards(new_run().data_folder, fingerprint=None)


def requested(**train: object) -> RunConfig:
    return parse(RunConfig, {"model": MODEL, "train": train})


def test_all_that_was_open_is_set(data: PackedData) -> None:
    config, notes = resolve(requested(max_steps=10), data)
    assert config.model.n_vocab == 257
    assert config.train.precision == "fp32"
    assert config.train.max_steps == config.train.decay_steps == 10
    assert config.train.micro_batch_size == config.train.batch_size == 32
    assert [note.partition(":")[0] for note in notes] == ["precision fp32"]
    assert resolve(config, data) == (config, [])


def test_epochs_become_steps(data: PackedData) -> None:
    config, notes = resolve(requested(epochs=2.5, batch_size=4), data)
    windows = len(data.train) // 16
    assert config.train.max_steps == round(2.5 * windows / 4)
    assert config.train.epochs is None
    assert notes[-1] == f"2.5 epochs of {len(data.train):,} tokens are {config.train.max_steps} steps"
    assert resolve(requested(epochs=1e-9), data)[0].train.max_steps == 1


def test_a_run_of_open_length_is_refused(data: PackedData) -> None:
    with pytest.raises(ConfigError, match=r"is open: give --max-steps, --train\.epochs or --budget"):
        resolve(requested(), data)


def test_text_that_leaves_nothing_to_validate_on_is_refused(data: PackedData) -> None:
    empty = PackedData(data.index, data.train, Tokens([np.array([], "<u2")][:0], eot_id=256))
    with pytest.raises(DataError, match="no text is left to validate on"):
        resolve(requested(max_steps=1), empty)


@pytest.mark.parametrize(
    ("asked", "steps", "tokens"),
    [({"decay_steps": 7}, 7, None), ({"decay_tokens": 99}, None, 99), ({}, 10, None)],
)
def test_the_end_of_the_decay_is_stored_so_that_more_steps_do_not_move_it(
    asked: Tree, steps: int | None, tokens: int | None, data: PackedData
) -> None:
    config, _ = resolve(requested(max_steps=10, **asked), data)
    assert (config.train.decay_steps, config.train.decay_tokens) == (steps, tokens)
    longer, _ = resolve(config.replace(train={"max_steps": 20}), data)
    assert (longer.train.decay_steps, longer.train.decay_tokens) == (steps, tokens)


def test_what_was_asked_for_stays(data: PackedData) -> None:
    asked = requested(max_steps=10, micro_batch_size=3, batch_size=7, precision="bf16")
    config, notes = resolve(asked, data)
    assert (config.train.micro_batch_size, config.train.precision, notes) == (3, "bf16", [])
    config, _ = resolve(requested(max_steps=10, micro_batch_size=30, batch_size=7), data)
    assert config.train.micro_batch_size == 7


def test_the_papers_recipes_resolve_on_any_text_and_once(data: PackedData) -> None:
    for name in ("gpt1", "gpt2-small", "gpt3-small"):
        config = merge(recipe(name).model_dump(), {"model": {**MODEL, "band_width": MODEL["n_ctx"]}})
        resolved, _ = resolve(parse(RunConfig, config), data)
        assert resolve(resolved, data) == (resolved, [])


@given(batch_size=st.integers(1, 3000), n_ctx=st.sampled_from([1, 16, 500, 8192, 20_000]))
def test_micro_batches_are_even_and_as_few_as_are_useful(batch_size: int, n_ctx: int) -> None:
    config = parse(RunConfig, {"model": {**MODEL, "n_ctx": n_ctx}, "train": {"batch_size": batch_size}})
    size = micro_batch_size(config)
    most = max(1, 8192 // n_ctx)
    portions = -(-batch_size // size)
    assert 1 <= size <= min(batch_size, most)
    assert portions == -(-batch_size // most)
    assert size * portions - batch_size < portions  # no portion could be smaller by one


def test_micro_batches_fit_into_half_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    config = RunConfig(model=recipe("gpt2-small").model, train=TrainConfig(batch_size=8))
    needed = {size: sum(memory_by_part(config.model, size, "fp32").values()) for size in (1, 2, 3, 4)}
    for memory, expected in ((2 * needed[4], 4), (2 * needed[4] - 1, 3), (2 * needed[2], 2), (needed[1], 1)):
        monkeypatch.setattr(module, "memory_bytes", lambda memory=memory: memory)
        assert micro_batch_size(config) == expected
