"""The papers' pretraining runs as configs. A recipe's docstring gives the source of each number, or says it is ours.

Each trains a byte-level BPE of the published size on the text it is given, unless a tokenizer is named.
"""

from collections.abc import Callable

from gptrilogy.config import suggest
from gptrilogy.errors import ConfigError
from gptrilogy.models.config import GPTConfig
from gptrilogy.training.config import RunConfig, TrainConfig

GPT3_TOKENS = 300_000_000_000


def recipe(name: str) -> RunConfig:
    """The complete config of a published model.

    Raises: ConfigError for an unknown name, with the nearest known one.
    """
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe {name}: {suggest(name, ['auto', *RECIPES])}")
    return RECIPES[name]()


def gpt1() -> RunConfig:
    """GPT-1: 100 epochs of BooksCorpus in batches of 64 x 512 tokens; about 0.96 PF-days by OpenAI's later account.

    Published (GPT1 §4.1): Adam, peak rate 2.5e-4, linear warm-up over 2,000 updates, cosine to 0, decay 0.01 on all
    weights but biases and gains, dropout 0.1, batch 64 x 512, 100 epochs. Token perplexity 18.4 on its corpus.
    Not published for pretraining, taken from the released fine-tuning code: Adam's 0.9, 0.999, 1e-8 and clipping at 1.

        gpt pretrain BOOKS --recipe gpt1 --out runs/gpt1
    """
    return RunConfig(
        recipe="gpt1",
        model=GPTConfig.preset("gpt1"),
        train=TrainConfig(
            epochs=100,
            batch_size=64,
            learning_rate=2.5e-4,
            warmup_steps=2000,
            final_lr_fraction=0.0,
            beta2=0.999,
            weight_decay=0.01,
            valid_every=1000,
            checkpoint_every=1000,
        ),
    )


def gpt2(size: str) -> RunConfig:
    """GPT-2: batches of 512 x 1,024 tokens of WebText.

    Published (GPT2 §2.3): the architecture and the batch. Optimiser, rates, schedule, steps and dropout are not; ours
    are GPT-3's rate for the same width and GPT-3's Adam and decay, over the 250,000 steps with 3,000 of warm-up and a
    cosine to 0 that Kaplan et al. 2020 report for the successor of the same data.

        gpt pretrain WEBTEXT --recipe gpt2-small --out runs/gpt2
    """
    rates = {"small": 6e-4, "medium": 3e-4, "large": 2.5e-4, "xl": 2e-4}
    return RunConfig(
        recipe=f"gpt2-{size}",
        model=GPTConfig.preset(f"gpt2-{size}"),
        train=TrainConfig(
            max_steps=250_000,
            batch_size=512,
            learning_rate=rates[size],
            warmup_steps=3000,
            final_lr_fraction=0.0,
            valid_every=1000,
            checkpoint_every=1000,
        ),
    )


def gpt3(size: str) -> RunConfig:
    """GPT-3: 300 billion tokens at 2,048 tokens of context.

    Published (GPT3 Table 2.1, App. B): peak rates, batches in tokens, Adam 0.9, 0.95, 1e-8, clipping at 1, decay 0.1,
    warm-up over 375M tokens, cosine to 10% over 260B, then flat. The printed 0.5M, 1M, 2M and 3.2M tokens are read as
    256, 512, 1,024 and 1,600 sequences. The batch starts at its full size: the paper ramps it up from 32k tokens over
    4 to 12 billion, but not which size takes how many. Dropout is not published; 0.0 is ours.

        gpt pretrain CORPUS --recipe gpt3-small --out runs/gpt3
    """
    rate, sequences = GPT3_OPTIMISATION[size]
    model = GPTConfig.preset(f"gpt3-{size}")
    return RunConfig(
        recipe=f"gpt3-{size}",
        model=model,
        train=TrainConfig(
            max_steps=-(-GPT3_TOKENS // (sequences * model.n_ctx)),
            batch_size=sequences,
            learning_rate=rate,
            warmup_tokens=375_000_000,
            decay_tokens=260_000_000_000,
            final_lr_fraction=0.1,
            valid_every=1000,
            checkpoint_every=1000,
        ),
    )


GPT3_OPTIMISATION = {  # Table 2.1: peak rate, batch in sequences
    "small": (6.0e-4, 256),
    "medium": (3.0e-4, 256),
    "large": (2.5e-4, 256),
    "xl": (2.0e-4, 512),
    "2.7b": (1.6e-4, 512),
    "6.7b": (1.2e-4, 1024),
    "13b": (1.0e-4, 1024),
    "175b": (0.6e-4, 1600),
}

RECIPES: dict[str, Callable[[], RunConfig]] = {
    "gpt1": gpt1,
    **{f"gpt2-{size}": (lambda size=size: gpt2(size)) for size in ("small", "medium", "large", "xl")},
    **{f"gpt3-{size}": (lambda size=size: gpt3(size)) for size in GPT3_OPTIMISATION},
}
