"""The published runs against the papers' own tables, typed here from the papers and not from the code."""

import math

import pytest

from gptrilogy.config import parse
from gptrilogy.errors import ConfigError
from gptrilogy.models.config import GPTConfig
from gptrilogy.recipes import RECIPES, papers, recipe
from gptrilogy.training.config import RunConfig

GPT3_TABLE = [  # GPT3 Table 2.1: batch size in tokens and learning rate, as printed
    ("gpt3-small", 0.5e6, 6.0e-4),
    ("gpt3-medium", 0.5e6, 3.0e-4),
    ("gpt3-large", 0.5e6, 2.5e-4),
    ("gpt3-xl", 1e6, 2.0e-4),
    ("gpt3-2.7b", 1e6, 1.6e-4),
    ("gpt3-6.7b", 2e6, 1.2e-4),
    ("gpt3-13b", 2e6, 1.0e-4),
    ("gpt3-175b", 3.2e6, 0.6e-4),
]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_whole_config_under_its_own_name(name: str) -> None:
    config = recipe(name)
    assert config.recipe == name
    assert config.model == GPTConfig.preset(name)
    assert config.train.max_steps or config.train.epochs
    assert parse(RunConfig, config.model_dump(mode="json")) == config


def test_there_is_a_recipe_for_every_published_model() -> None:
    gpt2 = [f"gpt2-{size}" for size in ("small", "medium", "large", "xl")]
    assert [*RECIPES] == ["gpt1", *gpt2, *(name for name, _, _ in GPT3_TABLE)]


def test_gpt1_trains_as_section_4_1_says() -> None:
    # "Adam with a max learning rate of 2.5e-4 ... over the first 2000 updates ... annealed to 0 using a cosine",
    # "100 epochs on minibatches of 64 randomly sampled, contiguous sequences of 512 tokens", "w = 0.01", dropout 0.1
    config = recipe("gpt1")
    train = config.train
    assert (train.learning_rate, train.warmup_steps, train.final_lr_fraction) == (2.5e-4, 2000, 0.0)
    assert (train.epochs, train.batch_size, config.model.n_ctx) == (100, 64, 512)
    assert (train.weight_decay, config.model.dropout) == (0.01, 0.1)
    # not in the paper: the released fine-tuning code's b1, b2, e and max_grad_norm
    assert (train.beta1, train.beta2, train.epsilon, train.grad_clip) == (0.9, 0.999, 1e-8, 1.0)


@pytest.mark.parametrize("size", ["small", "medium", "large", "xl"])
def test_gpt2_takes_the_published_batch(size: str) -> None:
    config = recipe(f"gpt2-{size}")  # GPT2 §2.3: "a larger batchsize of 512 is used", context 1024
    assert (config.train.batch_size, config.model.n_ctx) == (512, 1024)
    # Ours, by analogy: GPT-3's rates at the widths 768, 1024, 1536 and 2048, which are GPT-2's or next to them.
    assert config.train.learning_rate == recipe(f"gpt3-{size}").train.learning_rate
    # Kaplan et al. 2020, §2.2: 2.5e5 steps, 3000 of warm-up, cosine to zero
    assert (config.train.max_steps, config.train.warmup_steps, config.train.final_lr_fraction) == (250_000, 3000, 0.0)


@pytest.mark.parametrize(("name", "batch_tokens", "rate"), GPT3_TABLE)
def test_gpt3_trains_as_table_2_1_and_appendix_b_say(name: str, batch_tokens: float, rate: float) -> None:
    config = recipe(name)
    train, tokens_per_step = config.train, config.train.batch_size * config.model.n_ctx
    assert train.learning_rate == rate
    assert config.model.n_ctx == 2048
    assert tokens_per_step == pytest.approx(batch_tokens, rel=0.05)  # as near as whole powers of two come
    # App. B: betas 0.9 and 0.95, e 1e-8, clip 1.0, decay 0.1, warm-up 375M tokens, cosine to 10% over 260B tokens
    assert (train.beta1, train.beta2, train.epsilon) == (0.9, 0.95, 1e-8)
    assert (train.grad_clip, train.weight_decay, train.final_lr_fraction) == (1.0, 0.1, 0.1)
    assert (train.warmup_tokens, train.decay_tokens) == (375 * 10**6, 260 * 10**9)


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("gpt3")])
def test_gpt3_trains_for_300_billion_tokens_and_not_a_step_more(name: str) -> None:
    config = recipe(name)  # GPT3 §2.2: "All models were trained for a total of 300 billion tokens"
    tokens_per_step = config.train.batch_size * config.model.n_ctx
    assert config.train.max_steps == math.ceil(300e9 / tokens_per_step)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("gpt3-smal", "did you mean gpt3-small"),
        ("gpt-1", "did you mean gpt1"),
        ("aut", "did you mean auto"),
        ("bert", "known: auto, gpt1, gpt2-small"),
    ],
)
def test_an_unknown_recipe_names_the_nearest(name: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown recipe {name}: {remedy}"):
        recipe(name)


@pytest.mark.parametrize(
    ("family", "admission"),
    [
        (papers.gpt1, "Not published for pretraining, taken from the released fine-tuning code"),
        (papers.gpt2, "Optimiser, rates, schedule, steps and dropout are not; ours"),
        (papers.gpt3, "Dropout is not published; 0.0 is ours"),
        (papers.gpt3, "The batch starts at its full size: the paper ramps it up"),
    ],
)
def test_a_docstring_says_what_is_not_published(family: object, admission: str) -> None:
    assert admission in " ".join((family.__doc__ or "").split())
