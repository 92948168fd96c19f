"""Every kind of task in a few examples of bytes, and models of a few thousand weights for them."""

import random

import torch

from gptrilogy.finetuning.batches import Item
from gptrilogy.finetuning.config import TaskConfig
from gptrilogy.finetuning.model import FineTuned
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.tokenizers import BytesTokenizer

N_VOCAB = BytesTokenizer.n_vocab
START, DELIMITER, EXTRACT = 257, 258, 259

GPT2 = GPTConfig(n_vocab=N_VOCAB, n_ctx=24, n_embd=12, n_head=2, n_layer=2, init_std=0.3)
PAPERS = {
    "gpt1": GPT2.replace(norm="post", final_norm=False),
    "gpt2": GPT2,
    "gpt3": GPT2.replace(attention=("dense", "banded"), band_width=4),
}
TASKS = {
    "classification": TaskConfig(kind="classification", labels=("a", "b", "c")),
    "entailment": TaskConfig(kind="entailment", labels=("no", "yes")),
    "similarity": TaskConfig(kind="similarity", labels=("0", "1")),
    "choice": TaskConfig(kind="choice"),
    "regression by classes": TaskConfig(kind="regression", low=1, high=5, mean=3.1, std=0.9),
    "regression by error": TaskConfig(kind="regression", regression="mse", mean=3.1, std=0.9),
}


def tuned(task: TaskConfig, sizes: GPTConfig = GPT2, *, seed: int = 0, head_dropout: float = 0.0) -> FineTuned:
    """A model with the special tokens and a head, whose random weights are large enough to tell inputs apart."""
    generator = torch.Generator().manual_seed(seed)
    model = FineTuned(GPT(sizes.replace(n_vocab=sizes.n_vocab + 3), generator), task, head_dropout, generator)
    torch.nn.init.normal_(model.head.weight, generator=generator)
    return model


def items_of(task: TaskConfig, n: int = 7, *, seed: int = 0) -> list[Item]:
    """Examples of random bytes, of random lengths, each as its transformation would make it."""
    source = random.Random(seed)
    return [_item(task, source) for _ in range(n)]


def _item(task: TaskConfig, source: random.Random) -> Item:
    one, other = _text(source), _text(source)
    if task.kind == "choice":
        answers = [_text(source) for _ in range(source.randint(2, 4))]
        rows = tuple((START, *one, DELIMITER, *answer, EXTRACT) for answer in answers)
        return Item(rows, source.randrange(len(rows)))
    if task.kind == "regression":
        return Item(_both_orders(one, other), source.uniform(0.5, 5.5))  # also beyond the levels
    label = source.randrange(len(task.labels))
    if task.kind == "similarity":
        return Item(_both_orders(one, other), label)
    pair = (*one, DELIMITER, *other) if task.kind == "entailment" else one
    return Item(((START, *pair, EXTRACT),), label)


def _both_orders(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    return (START, *one, DELIMITER, *other, EXTRACT), (START, *other, DELIMITER, *one, EXTRACT)


def _text(source: random.Random) -> tuple[int, ...]:
    return tuple(source.randrange(256) for _ in range(source.randint(1, 10)))
