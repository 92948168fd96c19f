"""What `auto` tries, given what was asked for."""

from types import SimpleNamespace
from typing import cast

import pytest

from gptrilogy.config import parse
from gptrilogy.data.shards import PackedData
from gptrilogy.errors import ConfigError
from gptrilogy.recipes.auto import candidates
from gptrilogy.training.config import RunConfig


class Text:
    """Three million tokens, as far as `auto` looks at them."""

    text_bytes = 9_000_000

    def __len__(self) -> int:
        return 3_000_000


TEXT = cast("PackedData", SimpleNamespace(train=Text(), index=SimpleNamespace(tokenizer=SimpleNamespace(n_vocab=2048))))


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
