"""Gradients: of L3 against the paper's equations on whole logits, of the guards against forgetting, of adapters."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from finetuning_reference import l3_reference
from gptrilogy.checkpoints import Checkpoint
from gptrilogy.data.loader import Loader
from gptrilogy.data.tokens import Tokens
from gptrilogy.finetuning import batches, finetune
from gptrilogy.finetuning.batches import Batch, Item, in_groups
from gptrilogy.finetuning.config import FinetuneConfig, TuneConfig
from gptrilogy.finetuning.finetune import l3_gradients, pull, replay_gradients
from gptrilogy.finetuning.lora import Adapted, add_adapters, merge_adapters
from gptrilogy.finetuning.model import FineTuned, freeze, language_loss, task_loss
from gptrilogy.finetuning.saved import language_model, restore_finetuned
from gptrilogy.metrics import Row
from gptrilogy.models import GPT
from gptrilogy.training.optimizer import build_optimizer
from gptrilogy.training.signals import StopRequest
from tiny_tasks import GPT2, N_VOCAB, PAPERS, TASKS, items_of, tuned

CPU = torch.device("cpu")
FP32 = TuneConfig(precision="fp32")


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven examples make several groups."""
    monkeypatch.setattr(batches, "GROUP_TOKENS", 60)


def gradients_of(model: nn.Module, add: Callable[[], object]) -> dict[str, Tensor]:
    """What a call adds to the gradients; a weight it does not touch is left out."""
    model.zero_grad()
    add()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def assert_close(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("lm_weight", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("name", TASKS)
def test_gradients_over_groups_are_those_of_the_equations(name: str, lm_weight: float) -> None:
    model, items = tuned(TASKS[name]), items_of(TASKS[name])
    assert len(list(in_groups(items))) > 1
    L3, L2, L1 = l3_reference(model, items, lm_weight)
    expected = gradients_of(model, L3.backward)
    train, rows, done = FP32.replace(lm_weight=lm_weight), list[Row | None](), list[int]()
    found = gradients_of(model, lambda: rows.append(l3_gradients(model, items, train, StopRequest(), done.append)))
    assert_close(found, expected)
    losses = {"loss_nats": L3, "task_loss_nats": L2, **({"lm_loss_nats": L1} if lm_weight else {})}
    assert rows == [pytest.approx({key: loss.item() for key, loss in losses.items()}, rel=1e-5)]
    assert done == sorted(set(done))
    assert done[-1] == len(items)


@pytest.mark.parametrize("paper", PAPERS)
def test_gradients_are_those_of_the_equations_for_each_papers_model(paper: str) -> None:
    model, items = tuned(TASKS["similarity"], PAPERS[paper]), items_of(TASKS["similarity"])
    expected = gradients_of(model, l3_reference(model, items, 0.5)[0].backward)
    assert_close(gradients_of(model, lambda: l3_gradients(model, items, FP32, StopRequest())), expected)


@pytest.mark.parametrize("name", TASKS)
def test_bucketing_changes_no_gradient(name: str) -> None:
    model, items = tuned(TASKS[name]), items_of(TASKS[name], 12)
    assert [*in_groups(items)] != [*in_groups(items, bucket=False)]
    apart = FP32.replace(bucket=False)
    by_length = gradients_of(model, lambda: l3_gradients(model, items, FP32, StopRequest()))
    in_order = gradients_of(model, lambda: l3_gradients(model, items, apart, StopRequest()))
    assert_close(by_length, in_order)


def test_a_request_to_stop_ends_a_step_between_two_groups() -> None:
    model, items = tuned(TASKS["choice"]), items_of(TASKS["choice"])
    stop, done = StopRequest(), list[int]()

    def stop_at_once(count: int) -> None:
        done.append(count)
        stop.number = 15

    assert l3_gradients(model, items, FP32, stop, stop_at_once) is None
    assert len(done) == 1


@pytest.mark.parametrize("name", TASKS)
def test_the_losses_have_the_gradients_that_differences_show(name: str) -> None:
    task = TASKS[name]
    items = [Item(tuple(ids[-7:] for ids in item.sequences), item.target) for item in items_of(task, 2, seed=3)]
    batch = Batch.of(items, CPU)
    sizes = GPT2.replace(n_vocab=N_VOCAB + 3, n_embd=4)
    gpt = GPT(sizes, torch.Generator().manual_seed(0)).double()
    draw = torch.Generator().manual_seed(1)
    hidden = torch.randn(*batch.ids.shape, 4, generator=draw, dtype=torch.float64, requires_grad=True)
    head = torch.randn(task.n_outputs, 4, generator=draw, dtype=torch.float64, requires_grad=True)

    def L3(hidden: Tensor, head: Tensor) -> Tensor:
        rows = (hidden[range(len(hidden)), batch.ends] @ head.t()).split(batch.counts)
        if task.kind == "choice":
            outputs = nn.utils.rnn.pad_sequence([row[:, 0] for row in rows], True, -torch.inf)
        else:
            outputs = torch.stack([row.sum(0) for row in rows])
        return task_loss(task, outputs, batch.targets.double()) + 0.5 * language_loss(gpt, hidden, batch)

    assert torch.autograd.gradcheck(L3, (hidden, head))


def test_the_language_loss_reaches_the_embedding_twice() -> None:
    # As input and as output layer: eq. 2 has one matrix for both.
    model, items = tuned(TASKS["classification"]), items_of(TASKS["classification"])
    batch = Batch.of(items, CPU)
    _, hidden = model(batch)
    found = gradients_of(model, language_loss(model.gpt, hidden, batch).backward)["gpt.wte.weight"]
    absent = sorted(set(range(N_VOCAB + 3)) - {token for item in items for ids in item.sequences for token in ids})
    assert (found[absent] != 0).all()  # what is no input still is a wrong prediction
    _, hidden = model(batch)
    detached = gradients_of(model, language_loss(model.gpt, hidden.detach(), batch).backward)["gpt.wte.weight"]
    assert not torch.equal(found, detached)


def test_the_pull_is_the_gradient_of_half_the_squared_distance() -> None:
    model = tuned(TASKS["classification"])
    initial = {name: weight + torch.randn_like(weight) for name, weight in model.gpt.state_dict(prefix="gpt.").items()}
    distance = torch.zeros(())
    for name, weight in model.named_parameters():
        if name == "head.weight":
            continue
        rows = slice(N_VOCAB) if name == "gpt.wte.weight" else slice(None)  # not those of the special tokens
        distance = distance + (weight[rows] - initial[name][rows]).square().sum()
    expected = gradients_of(model, (0.3 / 2 * distance).backward)
    model.zero_grad()
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    pull(model, initial, 0.3)
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    assert not found.pop("head.weight").any()
    assert not found["gpt.wte.weight"][N_VOCAB:].any()
    assert_close(found, expected)


def test_the_pull_is_added_to_what_is_there_and_leaves_frozen_weights_alone() -> None:
    model = tuned(TASKS["classification"])
    initial = {name: weight + 1 for name, weight in model.state_dict().items()}
    model.gpt.wpe.weight.grad = torch.ones_like(model.gpt.wpe.weight)
    pull(model, initial, 0.25)
    torch.testing.assert_close(model.gpt.wpe.weight.grad, torch.full_like(model.gpt.wpe.weight, 0.75))
    assert [name for name, weight in model.named_parameters() if weight.grad is not None] == ["gpt.wpe.weight"]


@pytest.mark.parametrize("n_windows", [1, 3, 5])
def test_replayed_windows_count_as_much_as_examples(n_windows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "GROUP_TOKENS", 50)  # two windows of 24 at a time
    gpt = tuned(TASKS["classification"]).gpt
    text = np.random.default_rng(0).integers(256, size=400)
    loader = Loader(Tokens([text], eot_id=None), n_ctx=24, seed=0)
    train = FP32.replace(batch_size=4)
    windows = loader.batch(7, n_windows)
    nats = [F.cross_entropy(gpt(ids[None, :-1])[0], ids[1:]) for ids in windows]
    mean = torch.stack(nats).mean()
    expected = gradients_of(gpt, (n_windows / 4 * mean).backward)
    losses: list[float | None] = []
    found = gradients_of(gpt, lambda: losses.append(replay_gradients(gpt, loader, 7, n_windows, train, StopRequest())))
    assert_close(found, expected)
    assert losses == [pytest.approx(mean.item(), rel=1e-5)]
    stop = StopRequest()
    stop.number = 2
    assert replay_gradients(gpt, loader, 7, n_windows, train, stop) is None


def adapted(name: str = "classification") -> FineTuned:
    model = tuned(TASKS[name])
    add_adapters(model.gpt, rank=3, alpha=6.0, generator=torch.Generator().manual_seed(0))
    return model


def train_a_little(model: FineTuned, items: list[Item], train: TuneConfig) -> None:
    optimizer = build_optimizer(model, train, spared=freeze(model, train))
    for _ in range(4):
        optimizer.zero_grad()
        l3_gradients(model, items, train, StopRequest())
        optimizer.step()


LORA = FP32.replace(lora_rank=3, lora_alpha=6.0, weight_decay=0.5, learning_rate=0.02)


def test_adapters_begin_as_the_identity() -> None:
    plain, model, items = tuned(TASKS["choice"]), adapted("choice"), items_of(TASKS["choice"])
    assert sum(isinstance(module, Adapted) for module in model.modules()) == GPT2.n_layer
    assert torch.equal(plain(Batch.of(items, CPU))[0], model(Batch.of(items, CPU))[0])


def test_an_adapted_layer_is_its_equation() -> None:
    base = nn.Linear(5, 7)
    layer = Adapted(base, 2, 6.0, torch.Generator().manual_seed(0))
    nn.init.normal_(layer.B)
    x = torch.randn(3, 5)
    expected = x @ base.weight.t() + base.bias + 6.0 / 2 * (x @ layer.A.t()) @ layer.B.t()
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)
    merged = layer.merged()
    assert type(merged) is nn.Linear
    torch.testing.assert_close(merged(x), expected, rtol=1e-5, atol=1e-5)


def test_only_adapters_the_head_and_the_special_tokens_learn() -> None:
    model, items = adapted(), items_of(TASKS["classification"])
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    train_a_little(model, items, LORA)
    changed = {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}
    adapters = {f"gpt.h.{layer}.attn.c_attn.{matrix}" for layer in range(GPT2.n_layer) for matrix in "AB"}
    assert changed == {*adapters, "head.weight", "gpt.wte.weight"}
    wte = model.gpt.wte.weight
    assert torch.equal(wte[:N_VOCAB], before["gpt.wte.weight"][:N_VOCAB])
    assert (wte[N_VOCAB:] != before["gpt.wte.weight"][N_VOCAB:]).all()


@pytest.mark.parametrize("paper", PAPERS)
def test_merged_adapters_give_the_same_outputs_without_a_trace(paper: str) -> None:
    model, items = tuned(TASKS["similarity"], PAPERS[paper]), items_of(TASKS["similarity"])
    names = set(model.state_dict())
    add_adapters(model.gpt, 3, 6.0, torch.Generator().manual_seed(0))
    train_a_little(model, items, LORA)
    batch = Batch.of(items, CPU)
    expected = model(batch)[0]
    config = FinetuneConfig(task=model.task, model=model.gpt.config, train=LORA)
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    _, restored = restore_finetuned(Checkpoint(config.model_dump(mode="json"), weights), CPU)
    assert set(restored.state_dict()) == names
    torch.testing.assert_close(restored.eval()(batch)[0], expected, rtol=1e-5, atol=1e-5)
    ids = torch.tensor([[1, 2, 3]])
    torch.testing.assert_close(language_model(restored)(ids), restored.gpt(ids)[..., :N_VOCAB])
    merge_adapters(model.gpt)
    torch.testing.assert_close(model(batch)[0], expected, rtol=1e-5, atol=1e-5)
    assert set(model.state_dict()) == names
