"""Outputs, losses and predictions beside a direct reading of the paper, and which weights a model begins with."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from finetuning_reference import outputs_reference, task_loss_reference
from gptrilogy.finetuning.batches import Batch, Item, in_groups
from gptrilogy.finetuning.config import TaskConfig, TuneConfig
from gptrilogy.finetuning.model import (
    FineTuned,
    extended,
    freeze,
    initial_model,
    predictions,
    soft_targets,
    task_loss,
)
from gptrilogy.models import GPT
from gptrilogy.models.config import GPTConfig
from gptrilogy.training.optimizer import build_optimizer
from tiny_tasks import EXTRACT, GPT2, N_VOCAB, PAPERS, TASKS, items_of, tuned

CPU = torch.device("cpu")


@torch.no_grad()
def outputs_of(model: FineTuned, items: Sequence[Item]) -> Tensor:
    return model(Batch.of(items, CPU))[0]


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("name", TASKS)
def test_outputs_in_company_are_those_of_each_sequence_alone(name: str, paper: str) -> None:
    task, items = TASKS[name], items_of(TASKS[name])
    assert len({len(ids) for item in items for ids in item.sequences}) > 2  # so there is padding
    model = tuned(task, PAPERS[paper])
    together = outputs_of(model, items)
    for row, item in zip(together, items, strict=True):
        with torch.no_grad():
            alone = outputs_reference(model, item)
        torch.testing.assert_close(row[: len(alone)], alone, rtol=1e-5, atol=1e-5)
        assert (row[len(alone) :] == -math.inf).all()


@pytest.mark.parametrize("name", TASKS)
def test_groups_of_like_length_change_no_output(name: str) -> None:
    task, items = TASKS[name], items_of(TASKS[name], 40)
    model = tuned(task)
    together = dict(zip(items, outputs_of(model, items), strict=True))
    for group in in_groups(items):
        rows = outputs_of(model, group)
        for item, row in zip(group, rows, strict=True):
            torch.testing.assert_close(together[item][: len(row)], row, rtol=1e-5, atol=1e-5)


def test_the_head_reads_the_state_at_the_extract_token() -> None:
    model = tuned(TASKS["classification"])
    for item in items_of(model.task):
        (ids,) = item.sequences
        state = model.gpt.hidden(torch.tensor([ids]))[0, ids.index(EXTRACT)]
        torch.testing.assert_close(outputs_of(model, [item])[0], model.head.weight @ state, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["similarity", "regression by classes", "regression by error"])
def test_the_order_of_two_texts_does_not_matter(name: str) -> None:
    model, items = tuned(TASKS[name]), items_of(TASKS[name])
    exchanged = [Item(item.sequences[::-1], item.target) for item in items]
    assert torch.equal(outputs_of(model, items), outputs_of(model, exchanged))


def test_hidden_states_of_both_orders_are_added_before_the_head() -> None:
    model, items = tuned(TASKS["similarity"]), items_of(TASKS["similarity"])
    alone = [[Item((ids,), item.target) for ids in item.sequences] for item in items]
    added = torch.stack([outputs_of(model, pair).sum(0) for pair in alone])  # without a bias, the head is linear
    torch.testing.assert_close(outputs_of(model, items), added, rtol=1e-5, atol=1e-5)
    assert model.head.bias is None


def test_the_head_alone_is_dropped_out_in_training() -> None:
    model, items = tuned(TASKS["classification"], head_dropout=0.5), items_of(TASKS["classification"])
    quiet = outputs_of(model.eval(), items)
    assert torch.equal(outputs_of(model, items), quiet)
    model.train()
    (one, hidden), (other, again) = model(Batch.of(items, CPU)), model(Batch.of(items, CPU))
    assert not torch.equal(one, other)
    assert torch.equal(hidden, again)


@pytest.mark.parametrize("name", TASKS)
def test_the_task_loss_is_the_mean_of_that_of_each_example(name: str) -> None:
    task, items = TASKS[name], items_of(TASKS[name], 20)
    model = tuned(task)
    outputs, _ = model(Batch.of(items, CPU))
    expected = torch.stack(
        [task_loss_reference(task, outputs_reference(model, item), item.target) for item in items]
    ).mean()
    targets = torch.tensor([item.target for item in items])
    torch.testing.assert_close(task_loss(task, outputs, targets), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["classification", "choice", "regression by classes"])
def test_probabilities_are_a_softmax_over_what_there_is(name: str) -> None:
    task, items = TASKS[name], items_of(TASKS[name], 20)
    outputs = outputs_of(tuned(task), items)
    values, probabilities = predictions(task, outputs)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(len(items)), rtol=1e-6, atol=1e-6)
    for row, item, value, shares in zip(outputs, items, values.tolist(), probabilities, strict=True):
        n = len(item.sequences) if task.kind == "choice" else task.n_outputs
        torch.testing.assert_close(shares[:n], row[:n].exp() / row[:n].exp().sum(), rtol=1e-5, atol=1e-6)
        assert (shares[n:] == 0).all()
        if task.kind == "regression":
            expected = sum((task.low + level) * share for level, share in enumerate(shares.tolist()))
            assert value == pytest.approx(expected, abs=1e-5)
            assert task.low <= value <= task.high
        else:
            assert value == max(range(n), key=row.tolist().__getitem__)


def test_a_choice_has_gradients_without_nan_where_answers_are_fewer() -> None:
    task = TASKS["choice"]
    items = items_of(task, 20)
    assert len({len(item.sequences) for item in items}) > 1
    model = tuned(task)
    outputs, _ = model(Batch.of(items, CPU))
    task_loss(task, outputs, torch.tensor([item.target for item in items])).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize(
    ("score", "shares"),
    [
        (1.0, [1, 0, 0]),
        (1.25, [0.75, 0.25, 0]),
        (2.0, [0, 1, 0]),
        (2.5, [0, 0.5, 0.5]),
        (3.0, [0, 0, 1]),
        (0.2, [1, 0, 0]),
        (7.0, [0, 0, 1]),
    ],
)
def test_a_score_is_shared_between_the_levels_around_it(score: float, shares: list[float]) -> None:
    # The released code of GPT1 gives floor(s) the share floor(s) - s + 1, and the next level the rest.
    assert soft_targets(torch.tensor([score]), 1, 3).tolist() == [shares]


def test_a_squared_error_is_of_standard_scores_and_a_prediction_undoes_that() -> None:
    task = TaskConfig(kind="regression", regression="mse", mean=40.0, std=8.0)
    scores = torch.tensor([24.0, 40.0, 52.0])
    standard = torch.tensor([[-2.0], [0.0], [1.5]])
    assert task_loss(task, standard, scores) == 0
    assert task_loss(task, standard + 1, scores) == 1  # one standard deviation off
    values, probabilities = predictions(task, standard)
    assert values.tolist() == scores.tolist()
    assert probabilities.shape == (3, 0)


def test_a_head_has_one_output_a_class_a_level_or_an_answer() -> None:
    sizes = {name: tuned(task).head.weight.shape[0] for name, task in TASKS.items()}
    assert sizes == {
        "classification": 3,
        "entailment": 2,
        "similarity": 2,
        "choice": 1,
        "regression by classes": 5,
        "regression by error": 1,
    }


def taken_over(
    config: GPTConfig, layers: int | None, *, seed: int = 1
) -> tuple[set[str], FineTuned, dict[str, Tensor]]:
    """The parts whose weights came pretrained, of a model of four blocks; with it and the pretrained weights."""
    config = config.replace(n_layer=4)
    pretrained = GPT(config, torch.Generator().manual_seed(0)).state_dict()
    pretrained = {name: weight + 0.5 for name, weight in pretrained.items()}  # no bias is zero, no gain is one
    train = TuneConfig(transfer_layers=layers)
    model = initial_model(extended(config, train), pretrained, TASKS["classification"], train, seed)
    equal = {
        name
        for name, weight in model.gpt.named_parameters()
        if torch.equal(weight[: len(pretrained[name])], pretrained[name])
    }
    for name, weight in model.gpt.named_parameters():
        if name not in equal:
            assert not (weight[: len(pretrained[name])] == pretrained[name]).any()
    return equal, model, pretrained


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("layers", [-1, 0, 1, 3, 4, None])
def test_as_many_blocks_as_asked_for_come_pretrained(layers: int | None, paper: str) -> None:
    equal, model, pretrained = taken_over(PAPERS[paper], layers)
    n = 4 if layers is None else layers
    parts = {
        part
        for part in ("wte.", "wpe.", "h.0.", "h.1.", "h.2.", "h.3.", "ln_f.")
        if any(k.startswith(part) for k in equal)
    }
    expected = {"wte.", "wpe.", *(f"h.{block}." for block in range(n))} if n >= 0 else set[str]()
    if n == 4 and PAPERS[paper].final_norm:
        expected.add("ln_f.")
    assert parts == expected
    assert equal == {name for name in pretrained if name.startswith(tuple(expected))}
    assert set(dict(model.gpt.named_parameters())) == set(pretrained)


def test_new_weights_are_drawn_from_the_seed_alone() -> None:
    one, again, other = (taken_over(GPT2, None, seed=seed)[1].state_dict() for seed in (1, 1, 2))
    assert [name for name in one if not torch.equal(one[name], again[name])] == []
    assert [name for name in one if not torch.equal(one[name], other[name])] == ["gpt.wte.weight", "head.weight"]
    special = one["gpt.wte.weight"][N_VOCAB:]
    assert special.shape == (3, GPT2.n_embd)
    assert special.std() == pytest.approx(GPT2.init_std, rel=0.4)
    assert one["head.weight"].std() == pytest.approx(0.02, rel=0.4)


def test_dropout_is_that_of_fine_tuning() -> None:
    assert extended(GPT2.replace(dropout=0.3), TuneConfig()).dropout == 0.1
    assert extended(GPT2, TuneConfig(dropout=0.0)).n_vocab == N_VOCAB + 3


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_frozen_blocks_stay_to_the_bit_while_all_else_learns(blocks: int, paper: str) -> None:
    model = tuned(TASKS["classification"], PAPERS[paper])
    train = TuneConfig(freeze_blocks=blocks, weight_decay=0.5, learning_rate=0.01)
    optimizer = build_optimizer(model, train, spared=freeze(model, train))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    batch = Batch.of(items_of(model.task), CPU)
    for _ in range(3):
        optimizer.zero_grad()
        outputs, hidden = model(batch)
        (task_loss(model.task, outputs, batch.targets) + model.gpt.logits(hidden).square().mean()).backward()
        optimizer.step()
    stays = {
        name
        for name, weight in model.state_dict().items()
        if torch.equal(
            weight[:N_VOCAB] if "wte" in name else weight, before[name][:N_VOCAB] if "wte" in name else before[name]
        )
    }
    frozen = ("gpt.wte.", "gpt.wpe.", *(f"gpt.h.{block}." for block in range(blocks))) if blocks else ()
    assert stays == {name for name in before if frozen and name.startswith(frozen)}
    special = model.gpt.wte.weight[N_VOCAB:]
    assert (special != before["gpt.wte.weight"][N_VOCAB:]).all()
