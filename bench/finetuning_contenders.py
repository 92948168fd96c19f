"""The ways to fine-tune that are raced against each other, each as a function that trains until it is stopped.

All begin from the same random weights and see the same examples in the same batches. Ours makes its steps as
`finetune` does: its objective draws the examples and leaves their gradient, `update` does the rest.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch
from torch import nn

from bench.finetuning_cases import (
    OURS,
    OURS_FP32,
    OURS_LM,
    OURS_UNBUCKETED,
    PRECISION,
    TRAINER,
    TRAINER_8,
    TRAINER_BATCH,
    TRAINER_BF16,
    TuneCase,
)
from gptrilogy.devices import Precision
from gptrilogy.finetuning.batches import Item, chosen, in_groups
from gptrilogy.finetuning.config import FinetuneConfig, TaskConfig, TuneConfig
from gptrilogy.finetuning.finetune import FinetuneData, FineTuning
from gptrilogy.finetuning.model import FineTuned, extended
from gptrilogy.finetuning.preparation import encode, resolved_task
from gptrilogy.finetuning.reading import read_examples
from gptrilogy.models.gpt import GPT
from gptrilogy.runs import Run
from gptrilogy.tokenizers import load_tokenizer
from gptrilogy.training.loop import update
from gptrilogy.training.optimizer import build_optimizer
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.state import TrainState

SEED = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What one optimizer step went through: L2 of its examples, their tokens, and these with the padding."""

    examples: int
    task_loss_nats: float
    tokens: int
    padded_tokens: int


OnStep: TypeAlias = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Contender:
    """A model, and a function that trains it, and calls after each step, until that call raises."""

    model: nn.Module
    train: Callable[[OnStep], None]


@dataclass(frozen=True, slots=True)
class Start:
    """What all contenders have in common."""

    config: FinetuneConfig
    items: list[Item]
    eot_id: int | None

    @classmethod
    def of(cls, case: TuneCase, train: TuneConfig) -> "Start":
        """Raises: DataError; TokenizerError."""
        every = list(read_examples(case.examples, "entailment", {}))
        examples = random.Random(SEED).sample(every, case.n_examples)
        task = resolved_task(TaskConfig(kind="entailment"), examples, str(case.examples))
        tokenizer = load_tokenizer(case.tokenizer)
        assert tokenizer.n_vocab == case.model.n_vocab
        items = encode(task, examples, tokenizer, n_ctx=case.model.n_ctx, note=print, what="training")
        config = FinetuneConfig(seed=SEED, task=task, model=extended(case.model, train), train=train)
        return cls(config, items, tokenizer.eot_id)

    def model(self) -> FineTuned:
        generator = torch.Generator().manual_seed(SEED)
        gpt = GPT(self.config.model, generator)
        return FineTuned(gpt, self.config.task, self.config.train.head_dropout, generator)

    def batch(self, first_sample: int, size: int) -> list[Item]:
        """The examples from `first_sample` on, in the order in which ours draws them."""
        return [self.items[place] for place in chosen(len(self.items), first_sample, size, seed=SEED)]


def tune_config(case: TuneCase, precision: Precision = "fp32", lm_weight: float = 0.0) -> TuneConfig:
    return TuneConfig(
        batch_size=case.batch_size,
        dropout=case.dropout,
        head_dropout=case.dropout,
        precision=precision,
        lm_weight=lm_weight,
        device="cpu",
    )


def padded_tokens(items: Sequence[Item], *, bucket: bool) -> int:
    """Tokens that pass through our model for the examples of a step."""
    groups = in_groups(items, bucket=bucket)
    return sum(sum(len(item.sequences) for item in group) * max(item.length for item in group) for group in groups)


def real_tokens(items: Sequence[Item]) -> int:
    return sum(len(sequence) for item in items for sequence in item.sequences)


def _ours(case: TuneCase, *, precision: Precision, lm_weight: float = 0.0, bucket: bool = True) -> Contender:
    train = tune_config(case, precision, lm_weight).replace(bucket=bucket)
    start = Start.of(case, train)
    model, no_stop = start.model(), StopRequest()
    objective = FineTuning(start.config, Run(Path()), FinetuneData(start.items, []))  # the run is never written
    state = TrainState(model, build_optimizer(model, train))

    def make_steps(on_step: OnStep) -> None:
        torch.manual_seed(SEED)
        while True:
            losses = objective.gradients(state, no_stop, _nobody_listens)
            assert losses is not None
            update(state, train.learning_rate, losses["loss_nats"], train.grad_clip)
            items = start.batch(state.samples, train.batch_size)
            state.step += 1
            state.samples += train.batch_size
            padded = padded_tokens(items, bucket=bucket)
            on_step(Step(len(items), losses["task_loss_nats"], real_tokens(items), padded))

    return Contender(model, make_steps)


def _nobody_listens(_step: int, _done: int, _batch_size: int) -> None:
    pass


def _trainer(case: TuneCase, *, batch_size: int | None = None, bf16: bool = False) -> Contender:
    """Transformers' own loop; its module is loaded here only, so that it does not count in the memory of ours."""
    from bench.finetuning_trainer import contender

    return contender(Start.of(case, tune_config(case)), batch_size or case.batch_size, bf16=bf16)


BUILDERS: dict[str, Callable[[TuneCase], Contender]] = {
    OURS: partial(_ours, precision=PRECISION),
    OURS_LM: partial(_ours, precision=PRECISION, lm_weight=0.5),
    OURS_FP32: partial(_ours, precision="fp32"),
    OURS_UNBUCKETED: partial(_ours, precision="fp32", bucket=False),
    TRAINER: _trainer,
    TRAINER_BF16: partial(_trainer, bf16=True),
    TRAINER_8: partial(_trainer, batch_size=TRAINER_BATCH),
}
