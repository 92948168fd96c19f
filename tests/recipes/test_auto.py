"""What `auto` tries, given what was asked for."""

from types import SimpleNamespace
from typing import cast

import pytest

from gptrilogy.config import parse
from gptrilogy.data.shards import PackedData
from gptrilogy.errors import ConfigError
from gptrilogy.recipes.auto import SHAPES, candidates, fit_steps, with_shape
from gptrilogy.training.config import RunConfig
from gptrilogy.training.schedule import learning_rate
from gptrilogy.training.timing import Timing


class Text:
    """Three million tokens, as far as `auto` looks at them."""

    text_bytes = 9_000_000

    def __len__(self) -> int:
        return 3_000_000


TEXT = cast(
    "PackedData",
    SimpleNamespace(train=Text(), valid=range(30_000), index=SimpleNamespace(tokenizer=SimpleNamespace(n_vocab=2048))),
)


def tried(model: dict[str, object]) -> list[RunConfig]:
    return candidates(parse(RunConfig, {"model": model}), TEXT, seconds=7200, flops_per_s=4e11)


def test_shapes_whose_context_is_shorter_than_the_band_are_not_tried() -> None:
    assert min(config.model.n_ctx for config in tried({})) < 256
    contexts = [config.model.n_ctx for config in tried({"attention": "dense,banded", "band_width": 256})]
    assert contexts
    assert min(contexts) >= 256


def test_a_band_wider_than_every_context_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"band_width must be at most n_ctx, got 1024 and 64; a narrower band"):
        candidates(
            parse(RunConfig, {"model": {"attention": "banded", "band_width": 1024}}),
            TEXT,
            seconds=60,
            flops_per_s=4e11,
        )


def test_a_model_that_was_asked_for_is_tried_once_with_the_rate_of_the_nearest_width() -> None:
    sizes: dict[str, object] = {"n_layer": 3, "n_embd": 240, "n_head": 4, "n_ctx": 96}
    (config,) = tried(sizes)
    nearest = next(shape for shape in SHAPES if shape.n_embd == 256)
    assert config == with_shape(parse(RunConfig, {"model": sizes}), nearest, 1_000_000)
    assert len(tried({"n_ctx": 96})) == 3


def test_muon_is_chosen_and_another_optimizer_taken_with_its_own_rate() -> None:
    for shape in SHAPES:
        muon, adamw = (with_shape(parse(RunConfig, asked), shape, 100) for asked in ({}, ADAMW))
        assert (muon.train.optimizer, adamw.train.optimizer) == ("muon", "adamw")
        assert adamw.train.learning_rate == shape.learning_rate
        assert muon.train.learning_rate == 2 * shape.learning_rate


ADAMW = {"train": {"optimizer": "adamw"}}


def test_weights_begin_as_wide_as_the_papers_do_for_their_width() -> None:
    for shape in SHAPES:
        papers = 0.02 * (768 / shape.n_embd) ** 0.5
        assert with_shape(RunConfig(), shape, 100).model.init_std == pytest.approx(papers, rel=0.02)


def fitted(seconds: float, train: dict[str, object] | None = None) -> RunConfig:
    """A run of 2,048 tokens a step, at ten steps a second, on three million tokens."""
    asked = parse(RunConfig, {"train": train or {}})
    timing = Timing(step_s=0.1, window_s=0.001)
    return fit_steps(with_shape(asked, SHAPES[0], 1000), asked, TEXT, seconds=seconds, timing=timing)


@pytest.mark.parametrize(("seconds", "decay"), [(120, 0.1), (430, 0.1), (500, 0.3), (3600, 0.3)])
def test_text_that_is_read_more_than_three_times_decays_weights_more(seconds: float, decay: float) -> None:
    config = fitted(seconds)
    assert config.train.weight_decay == decay
    assert ((config.train.max_steps or 0) * 2048 > 3 * 3_000_000) == (decay == 0.3)


def test_a_decay_that_was_asked_for_stays() -> None:
    assert fitted(3600, {"weight_decay": 0.05}).train.weight_decay == 0.05


@pytest.mark.parametrize("max_steps", [1, 9, 10, 11, 999, 1000, 1001])
def test_at_most_ten_validations_are_due_and_the_last_is_not_just_before_the_end(max_steps: int) -> None:
    every = fitted(120, {"max_steps": max_steps}).train.valid_every
    assert every
    due = {*range(every, max_steps + 1, every), max_steps}
    assert len(due) <= 10
    assert max_steps - max(due - {max_steps}, default=0) >= every / 10 - 1


def test_training_ends_within_the_budget_with_its_validations() -> None:
    train = fitted(120).train
    windows = train.valid_windows * 10 + (train.final_valid_windows or 938)
    assert 100 < (train.max_steps or 0) * 0.1 + windows * 0.001 < 117
    assert learning_rate(train, step=(train.max_steps or 0) - 1, tokens_per_step=2048) < 0.03 * train.learning_rate
