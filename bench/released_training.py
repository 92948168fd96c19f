"""Fine-tuning by our rules with some of the released code's in their place, which the tests' twin supplies."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tests.support.released_finetuning import (
    Deviations,
    ReleasedAdam,
    clip_gradients,
    cut_segments,
    released_gradients,
    released_rate,
    with_bias,
)

from gptrilogy.finetuning.batches import Item, chosen
from gptrilogy.finetuning.config import FinetuneConfig, TaskConfig, TuneConfig
from gptrilogy.finetuning.finetune import l3_gradients
from gptrilogy.finetuning.judging import predict, scores
from gptrilogy.finetuning.model import FineTuned, initial_model
from gptrilogy.finetuning.preparation import encode, resolved, resolved_task
from gptrilogy.finetuning.reading import read_examples
from gptrilogy.finetuning.transforms import SpecialTokens
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.training.optimizer import build_optimizer, set_learning_rate
from gptrilogy.training.schedule import linear_learning_rate
from gptrilogy.training.signals import StopRequest

OURS, CONTROL, ALL = "ours", "ours, a rate larger by 1e-6", "all of them"
ARMS: Mapping[str, Deviations] = {
    OURS: Deviations(),
    CONTROL: Deviations(),
    "epsilon beside the raw root": Deviations(raw_epsilon=True),
    "decay scaled by the correction": Deviations(scaled_decay=True),
    "first update at rate zero": Deviations(late_schedule=True),
    "one mask for all answers": Deviations(shared_mask=True),
    "positions in the softmax": Deviations(position_logits=True),
    "dropout on the matrix": Deviations(dropped_matrix=True),
    "a bias in the head": Deviations(head_bias=True),
    "texts of n_ctx/2 - 2 tokens": Deviations(half_segments=True),
    ALL: Deviations.all(),
}
ON_EACH_TASK = (OURS, CONTROL, ALL)
NUDGE = 1e-6
LAST_STEPS = 50  # whose mean loss is that of the training

TASKS: Mapping[str, TaskConfig] = {
    "cola": TaskConfig(name="cola", columns={"label": "1", "text": "3"}, metrics=("matthews",)),
    "openbookqa": TaskConfig(
        name="openbookqa",
        kind="choice",
        columns={"question": "question.stem", "answers": "question.choices", "label": "answerKey"},
        metrics=("accuracy",),
    ),
}
FILES: Mapping[str, tuple[str, str]] = {  # to train on and to judge by, below DIR/finetune
    "cola": ("cola/in_domain_train.tsv", "cola/in_domain_dev.tsv"),
    "openbookqa": ("openbookqa/train.jsonl", "openbookqa/dev.jsonl"),
}


@dataclass(frozen=True, slots=True)
class Trained:
    """One run and what came of it. Losses are those of the labels."""

    task: str
    arm: str
    seed: int
    score: float
    dev_loss_nats: float
    train_loss_nats: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Study:
    """A data set as tokens, and the model that learns it."""

    config: FinetuneConfig
    base: LanguageModel
    train: list[Item]
    dev: list[Item]

    @classmethod
    def read(cls, name: str, files: tuple[Path, Path], base: LanguageModel, how: TuneConfig) -> "Study":
        """Raises: DataError where a file does not hold what its name says."""
        task = TASKS[name]
        train, dev = ([*read_examples(path, task.kind, task.columns)] for path in files)
        task = resolved_task(task, train, str(files[0]))
        config = FinetuneConfig().replace(task=task.model_dump(), train=how.model_dump())
        config, _ = resolved(config, base.model, len(train))
        items = [
            encode(config.task, part, base.tokenizer, n_ctx=config.model.n_ctx, note=lambda _: None, what=name)
            for part in (train, dev)
        ]
        return cls(config, base, items[0], items[1])

    @property
    def steps(self) -> int:
        assert self.config.train.max_steps is not None
        return self.config.train.max_steps

    def without_effect(self) -> dict[str, str]:
        """The arms that could only equal ours on this task, and why."""
        is_choice = self.config.task.kind == "choice"
        found: dict[str, str] = {}
        for arm, rules in ARMS.items():
            if arm == ALL:
                continue
            if rules.shared_mask and not is_choice:
                found[arm] = "an example has one sequence, so its mask is its own"
            if rules.head_bias and is_choice:
                found[arm] = "what is added to all answers alike is lost in their softmax"
            if rules.half_segments and (self._cut(self.train), self._cut(self.dev)) == (self.train, self.dev):
                found[arm] = "no text is that long"
        return found

    def run(self, arm: str, seed: int) -> Trained:
        """Fine-tune by the rules of an arm, and judge on the dev examples."""
        started, config, rules = time.perf_counter(), self.config, ARMS[arm]
        train, dev = (self._cut(part) if rules.half_segments else part for part in (self.train, self.dev))
        model = initial_model(config.model, self.base.model.state_dict(), config.task, config.train, seed)
        if rules.head_bias:
            model.head = with_bias(model.head)
        n_positions = max(item.length for item in (*train, *dev))  # the released code drops those beyond
        how = config.train
        if arm == CONTROL:
            how = how.replace(learning_rate=how.learning_rate * (1 + NUDGE))
        losses = fine_tune(model, train, how, rules, seed, n_positions)
        predicted = predict(model, dev)
        assert predicted is not None
        return Trained(
            task=config.task.name,
            arm=arm,
            seed=seed,
            score=scores(config.task, dev, predicted)[config.task.metrics[0]],
            dev_loss_nats=predicted.loss_nats,
            train_loss_nats=statistics.fmean(losses[-LAST_STEPS:]),
            seconds=time.perf_counter() - started,
        )

    def _cut(self, items: Sequence[Item]) -> list[Item]:
        """The items as the released code would have cut their texts."""
        n_ctx, delimiter = self.config.model.n_ctx, SpecialTokens.after(self.base.tokenizer.n_vocab).delimiter
        return [
            item._replace(sequences=tuple(cut_segments(one, delimiter, n_ctx) for one in item.sequences))
            for item in items
        ]


def fine_tune(
    model: FineTuned, train: Sequence[Item], how: TuneConfig, rules: Deviations, seed: int, n_positions: int
) -> list[float]:
    """Train as the package does but for the rules; -> the loss of the labels at each step."""
    max_steps, size = how.max_steps, how.batch_size
    assert max_steps is not None
    rate_of = released_rate if rules.late_schedule else linear_learning_rate
    update = updater(model, how, rules)
    torch.manual_seed(seed)
    model.train()
    losses: list[float] = []
    for step in range(max_steps):
        items = [train[place] for place in chosen(len(train), step * size, size, seed=seed)]
        model.zero_grad(set_to_none=True)
        losses.append(gradients(model, items, how, rules, n_positions))
        update(rate_of(how.learning_rate, step=step, max_steps=max_steps, warmup_fraction=how.warmup_fraction))
    return losses


def gradients(model: FineTuned, items: Sequence[Item], how: TuneConfig, rules: Deviations, n_positions: int) -> float:
    """Add the gradient of a step, ours unless a rule of the loss says otherwise; -> the loss of the labels."""
    if rules.in_loss:
        return released_gradients(model, items, how, rules, n_positions)[0]
    losses = l3_gradients(model, items, how, StopRequest())
    assert losses is not None
    return losses["task_loss_nats"]


def updater(model: FineTuned, how: TuneConfig, rules: Deviations) -> Callable[[float], None]:
    """What clips the gradient and takes a step at a rate: our optimizer, or the released one."""
    weights = list(model.parameters())
    if rules.in_optimizer:
        released = ReleasedAdam(
            weights,
            beta1=how.beta1,
            beta2=how.beta2,
            epsilon=how.epsilon,
            decay=how.weight_decay,
            deviations=rules,
        )

        def theirs(rate: float) -> None:
            clip_gradients(weights, how.grad_clip)
            released.step(rate)

        return theirs
    optimizer = build_optimizer(model, how)

    def ours(rate: float) -> None:
        torch.nn.utils.clip_grad_norm_(weights, how.grad_clip)
        set_learning_rate(optimizer, rate)
        optimizer.step()

    return ours
