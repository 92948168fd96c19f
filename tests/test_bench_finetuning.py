"""The bench of fine-tuning lets all contenders do the same work, and reports what they took."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from bench.finetuning import measure, require_equal_losses
from bench.finetuning_cases import (
    CONTENDERS,
    OURS,
    OURS_FP32,
    OURS_UNBUCKETED,
    SAME_IN_FP32,
    TRAINER,
    TRAINER_8,
    TRAINER_BF16,
    TuneCase,
)
from bench.finetuning_contenders import BUILDERS, Contender, Start, Step, tune_config
from bench.finetuning_report import CHECK_STEPS, FASTER_AT_LEAST, Found, Result
from bench.finetuning_sweep import gradients_cast_by_group, gradients_cast_by_step
from bench.finetuning_worker import serve
from bench.measure import BF16_TOLERANCE
from bench.record import write_record

from gptrilogy.models import GPTConfig

BATCH_SIZE = 16


class EnoughError(Exception):
    pass


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TuneCase:
    """Pairs of very different lengths, a model of two narrow layers."""
    lines = [f"{'word ' * (n % 9 + 1)}\t{'is ' * (n % 5 + 1)}\t{n % 3}" for n in range(64)]
    path = tmp_path_factory.mktemp("examples") / "pairs.tsv"
    path.write_text("\n".join(["premise\thypothesis\tlabel", *lines, ""]), encoding="utf-8")
    model = GPTConfig(n_layer=2, n_embd=16, n_head=2, n_ctx=80, n_vocab=257)
    return TuneCase(examples=path, tokenizer="bytes", model=model, n_examples=48, batch_size=BATCH_SIZE, dropout=0)


def steps_of(contender: Contender, n: int) -> list[Step]:
    """The first steps that a contender makes."""
    steps: list[Step] = []

    def on_step(step: Step) -> None:
        steps.append(step)
        if len(steps) == n:
            raise EnoughError

    with pytest.raises(EnoughError):
        contender.train(on_step)
    return steps


@pytest.fixture(scope="module")
def made(tiny: TuneCase) -> dict[str, list[Step]]:
    """The first steps of every contender."""
    torch.set_num_threads(1)
    return {name: steps_of(BUILDERS[name](tiny), CHECK_STEPS) for name in CONTENDERS}


def test_all_begin_with_the_same_model_and_the_same_loss(tiny: TuneCase, made: dict[str, list[Step]]) -> None:
    sizes = {sum(p.numel() for p in BUILDERS[name](tiny).model.parameters()) for name in CONTENDERS}
    assert len(sizes) == 1
    first = made[OURS_FP32][0].task_loss_nats
    for name in set(CONTENDERS) - {TRAINER_8}:
        assert made[name][0].task_loss_nats == pytest.approx(first, abs=BF16_TOLERANCE), name


def test_steps_in_fp32_have_the_same_losses(made: dict[str, list[Step]]) -> None:
    ours = [step.task_loss_nats for step in made[OURS_FP32]]
    for name in (OURS_UNBUCKETED, TRAINER):
        assert [step.task_loss_nats for step in made[name]] == pytest.approx(ours, abs=1e-5)
    assert len(set(ours)) == CHECK_STEPS


def test_both_ways_of_casting_give_the_same_gradient(tiny: TuneCase) -> None:
    start = Start.of(tiny, tune_config(tiny, "bf16", lm_weight=0.5))
    items = start.batch(0, BATCH_SIZE)
    made: list[tuple[float, list[torch.Tensor]]] = []
    for gradients in (gradients_cast_by_group, gradients_cast_by_step):
        model = start.model().train()
        loss_nats = gradients(model, items, start.config.train)
        made.append((loss_nats, [p.grad for p in model.parameters() if p.grad is not None]))
    (by_group, expected), (by_step, found) = made
    assert by_step == pytest.approx(by_group, abs=1e-6)
    assert len(found) == len(expected) > 0
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=2e-2)
