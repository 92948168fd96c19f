"""`python -m bench.finetuning_sweep`: what cutting a step into groups of like length costs and saves.

Two questions: at which price of one more group, in tokens of padding, a step is fastest; and whether weights should be
cast to bf16 once a step, under one autocast around all groups, or once a group. The table goes to stdout.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from unittest.mock import patch

import torch
from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.finetuning_cases import snli
from bench.finetuning_contenders import Start, padded_tokens, real_tokens, tune_config
from bench.measure import Say
from bench.record import Log, facts, write_record
from bench.report import table
from gptrilogy.finetuning import batches
from gptrilogy.finetuning.batches import Batch, Item, in_groups
from gptrilogy.finetuning.config import TuneConfig
from gptrilogy.finetuning.finetune import l3_gradients
from gptrilogy.finetuning.model import FineTuned, language_loss, task_loss
from gptrilogy.models.config import GPTConfig
from gptrilogy.training.loop import autocast, update
from gptrilogy.training.optimizer import build_optimizer
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.state import TrainState

COSTS = (0, 32, 64, 128, 256, 512)
LAMBDAS = (0.0, 0.5)
SMALL = GPTConfig(n_layer=4, n_embd=128, n_head=4, n_ctx=512, n_vocab=4096)
HEADING = ("model", "lambda", "a group's cost", "groups", "tokens a real one", "ms, cast by group", "ms, cast by step")
CPU = torch.device("cpu")

METHOD = """\
Milliseconds of a step of {batch_size} examples of SNLI in bf16: gradient, clipping and update, with dropout
{dropout:g}; medians of n = {n} after a round of warm-up. All variants take turns on one model, in each round on one
batch. "a group's cost" is GROUP_COST_TOKENS, the tokens of padding that one more group is worth; "groups" is their mean
number a step. "Cast by group": an autocast context a group, as `gpt finetune` has it. "Cast by step": one around all
groups, in which weights are cast once; each group's backward runs inside, with autocast off. The small model has 4
layers, width 128 and 4,096 tokens: the ids of GPT-2's tokenizer modulo that, so that lengths are the same."""

app = App(name="bench.finetuning_sweep", help_format="plaintext", version_flags=[])


class Variant(NamedTuple):
    """One way to make a step."""

    lm_weight: float
    cost_tokens: int
    cast_by_step: bool


VARIANTS = [Variant(*which) for which in ((w, c, s) for w in LAMBDAS for c in COSTS for s in (False, True))]


@dataclass(slots=True)
class Found:
    """Seconds of each variant's steps on one model, and how its groups lay, one number a round."""

    model: str
    seconds: dict[Variant, list[float]] = field(default_factory=lambda: {variant: [] for variant in VARIANTS})
    groups: dict[int, list[int]] = field(default_factory=lambda: {cost: [] for cost in COSTS})
    padding: dict[int, list[float]] = field(default_factory=lambda: {cost: [] for cost in COSTS})

    def median_ms(self, variant: Variant) -> float:
        return statistics.median(self.seconds[variant]) * 1e3

    def lines(self) -> list[tuple[str, ...]]:
        return [
            (
                self.model,
                f"{lm_weight:g}",
                str(cost),
                f"{statistics.mean(self.groups[cost]):.1f}",
                f"{statistics.mean(self.padding[cost]):.2f}",
                *(f"{self.median_ms(Variant(lm_weight, cost, by_step)):,.1f}" for by_step in (False, True)),
            )
            for lm_weight in LAMBDAS
            for cost in COSTS
        ]

    def numbers(self) -> dict[str, Any]:
        steps = [variant._asdict() | {"seconds": seconds} for variant, seconds in self.seconds.items()]
        return asdict(self) | {"seconds": steps}


@app.default
def sweep(
    *,
    data: Path,
    rounds: Annotated[int, Parameter(validator=Number(gte=1))] = 5,
    out: Path | None = None,
) -> None:
    """Time steps of fine-tuning under several prices of a group, on GPT-2 small and on a small model.

    Args:
        data: the folder with finetune/snli/validation.tsv and vocab/gpt2.
        rounds: steps of each variant on each model.
        out: write README.md, results.json and log.txt into this folder.
    """
    log = Log()
    log.say_load()
    case = snli(data.absolute(), dropout=0.1)
    start = Start.of(case, tune_config(case, "bf16"))
    starts = {"GPT-2 small": start, "4 x 128": shrunk(start, SMALL)}
    found = [measure(name, start, rounds, log.say) for name, start in starts.items()]
    method = METHOD.format(batch_size=case.batch_size, dropout=case.dropout, n=rounds)
    page = f"{table(HEADING, [line for one in found for line in one.lines()])}\n\n{method}"
    print(page)
    if out:
        known = facts(f"python -m bench.finetuning_sweep --data DIR --rounds {rounds} --out DIR", rounds)
        write_record(out, "Groups of like length", page, known, {"models": [one.numbers() for one in found]}, log.lines)


def shrunk(start: Start, model: GPTConfig) -> Start:
    """The same lengths for a model of fewer tokens."""
    items = [
        item._replace(sequences=tuple(tuple(token % model.n_vocab for token in ids) for ids in item.sequences))
        for item in start.items
    ]
    return Start(start.config.replace(model=model.model_dump()), items, start.eot_id)


def measure(name: str, start: Start, rounds: int, say: Say) -> Found:
    """Steps of all variants in turn, after a round of warm-up."""
    found, train = Found(name), start.config.train
    model = start.model().train()
    state = TrainState(model, build_optimizer(model, train))
    for number in range(rounds + 1):
        items = start.batch(number * train.batch_size, train.batch_size)
        for variant in VARIANTS:
            seconds = step_s(state, items, train, variant)
            if number:  # round 0 warms up
                found.seconds[variant].append(seconds)
        if number:
            for cost in COSTS:
                with patch.object(batches, "GROUP_COST_TOKENS", cost):
                    found.groups[cost].append(len([*in_groups(items)]))
                    found.padding[cost].append(padded_tokens(items, bucket=True) / real_tokens(items))
            say(f"{name}, round {number} of {rounds}: {sum(seconds[-1] for seconds in found.seconds.values()):.1f} s")
    return found


def step_s(state: TrainState[FineTuned], items: Sequence[Item], train: TuneConfig, variant: Variant) -> float:
    """Seconds of one step."""
    train = train.replace(lm_weight=variant.lm_weight)
    gradients = gradients_cast_by_step if variant.cast_by_step else gradients_cast_by_group
    with patch.object(batches, "GROUP_COST_TOKENS", variant.cost_tokens):
        start = time.perf_counter()
        state.model.zero_grad(set_to_none=True)
        loss_nats = gradients(state.model, items, train)
        update(state, train.learning_rate, loss_nats, train.grad_clip)
        return time.perf_counter() - start


def gradients_cast_by_group(model: FineTuned, items: Sequence[Item], train: TuneConfig) -> float:
    losses = l3_gradients(model, items, train, StopRequest())
    assert losses is not None
    return losses["loss_nats"]


def gradients_cast_by_step(model: FineTuned, items: Sequence[Item], train: TuneConfig) -> float:
    """`l3_gradients` of items of one sequence each, under one autocast."""
    loss_nats = 0.0
    with autocast(train, CPU):
        for group in in_groups(items, bucket=train.bucket):
            batch = Batch.of(group, CPU)
            outputs, hidden = model(batch)
            loss = task_loss(model.task, outputs, batch.targets)
            if train.lm_weight:
                loss = loss + train.lm_weight * language_loss(model.gpt, hidden, batch)
            loss = loss * (len(group) / len(items))
            with torch.autocast("cpu", enabled=False):
                loss.backward()
            loss_nats += loss.item()
    return loss_nats


if __name__ == "__main__":
    app()
