"""Muon moves matrices as torch's own does, beside AdamW, and is resumed to the bit."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gptrilogy.models.config import GPTConfig
from gptrilogy.models.gpt import GPT
from gptrilogy.runs import Run
from gptrilogy.training.config import TrainConfig
from gptrilogy.training.loop import Outcome
from gptrilogy.training.muon import ITERATIONS, QUINTIC, Muon, orthogonalized
from gptrilogy.training.optimizer import build_optimizer, parameters, set_learning_rate
from gptrilogy.training.state import optimizer_tensors, restore_optimizer

CONFIG = TrainConfig(optimizer="muon", learning_rate=1e-2, muon_learning_rate=0.05, precision="bf16")
IDS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 9, 0]])
MATRICES = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
MOVED_BY_MUON = {f"h.{layer}.{name}" for layer in range(2) for name in MATRICES}


@pytest.fixture
def model() -> GPT:
    return GPT(GPTConfig(n_vocab=10, n_ctx=4, n_embd=8, n_head=2, n_layer=2), torch.Generator().manual_seed(0))


def learn(model: GPT, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        model.zero_grad()
        model.loss(IDS).backward()
        optimizer.step()


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 6, 6), (2, 5, 20)])
def test_orthogonalizing_is_the_polynomial_on_the_singular_values(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(orthogonalized(matrices), orthogonalized_reference(matrices), atol=1e-9, rtol=0)


def orthogonalized_reference(matrices: Tensor) -> Tensor:
    """`orthogonalized`, written as what it means."""
    u, s, vt = torch.linalg.svd(matrices, full_matrices=False)
    a, b, c = QUINTIC
    s /= s.norm(dim=-1, keepdim=True)
    for _ in range(ITERATIONS):
        s = a * s + b * s**3 + c * s**5
    return u @ torch.diag_embed(s) @ vt


def test_singular_values_become_nearly_one() -> None:
    values = torch.logspace(0, -2, 16, dtype=torch.float64)
    found = torch.linalg.svdvals(orthogonalized(torch.diag(values)[None]))
    assert found.min() > 0.67
    assert found.max() < 1.21


def test_a_matrix_without_a_gradient_to_follow_stays() -> None:
    assert torch.equal(orthogonalized(torch.zeros(1, 2, 4)), torch.zeros(1, 2, 4))


def test_each_matrix_moves_as_by_torchs_own_muon() -> None:
    draw = torch.Generator().manual_seed(0)
    model = GPT(GPTConfig(n_vocab=10, n_ctx=4, n_embd=16, n_head=2, n_layer=2), draw)
    weights = {name: model.get_parameter(name) for name in sorted(MOVED_BY_MUON)}
    ours = Muon(weights.items(), rate=0.05, momentum=0.9, weight_decay=0.1, dtype=torch.bfloat16)
    parts = {name: [nn.Parameter(part.detach().clone()) for part in by_matrix(name, weights[name])] for name in weights}
    theirs = torch.optim.Muon(
        [part for its_parts in parts.values() for part in its_parts], lr=0.05, momentum=0.9, weight_decay=0.1
    )
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    for _ in range(3):
        for name, weight in weights.items():
            weight.grad = torch.randn(weight.shape, generator=draw)
            for part, gradient in zip(parts[name], by_matrix(name, weight.grad), strict=True):
                part.grad = gradient
        ours.step()
        theirs.step()
    for name, weight in weights.items():
        expected = torch.cat([part.detach() for part in parts[name]]) - before[name]
        error = (weight.detach() - before[name] - expected).norm() / expected.norm()
        assert error < 2e-2, (name, error)  # of bf16's products: both round, in another order


def by_matrix(name: str, weight: Tensor) -> tuple[Tensor, ...]:
    """Queries, keys and values each for themselves."""
    return weight.chunk(3) if "c_attn" in name else (weight,)


def test_muon_moves_the_matrices_of_the_blocks_and_adamw_the_rest(model: GPT) -> None:
    optimizer = build_optimizer(model, CONFIG)
    learn(model, optimizer, 1)
    assert parameters(optimizer).keys() == dict(model.named_parameters()).keys()
    for name, parameter in parameters(optimizer).items():
        expected = {"momentum"} if name in MOVED_BY_MUON else {"step", "exp_avg", "exp_avg_sq"}
        assert optimizer.state[parameter].keys() == expected, name


def test_both_rates_follow_one_schedule(model: GPT) -> None:
    optimizer = build_optimizer(model, CONFIG)
    set_learning_rate(optimizer, 0.5e-2)
    rates = {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}
    for name, rate in rates.items():
        assert rate == pytest.approx(0.025 if name in MOVED_BY_MUON else 0.5e-2), name


def test_the_state_that_was_saved_moves_a_model_on_as_if_it_had_never_been(model: GPT) -> None:
    optimizer = build_optimizer(model, CONFIG)
    learn(model, optimizer, 3)
    other = GPT(model.config)
    other.load_state_dict(model.state_dict())
    restored = build_optimizer(other, CONFIG)
    restore_optimizer(restored, {name: tensor.clone() for name, tensor in optimizer_tensors(optimizer).items()})
    learn(model, optimizer, 2)
    learn(other, restored, 2)
    for name, weight in other.named_parameters():
        assert torch.equal(weight, model.get_parameter(name)), name


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_stopped_anywhere_ends_like_one_that_never_was(
    precision: str,
    new_run: Callable[..., Run],
    train: Callable[..., Outcome],
    assert_equal_runs: Callable[[Run, Run], None],
) -> None:
    changes = {"train": {"optimizer": "muon", "precision": precision, "max_steps": 12}}
    whole, halting = new_run(changes), new_run(changes)
    assert train(whole).finished
    for step in (1, 2, 5, 11, 12):
        train(halting, stop_at=step)
    assert_equal_runs(whole, halting)


def test_a_run_from_before_there_was_a_choice_goes_on_with_adamw(
    new_run: Callable[..., Run], train: Callable[..., Outcome], assert_equal_runs: Callable[[Run, Run], None]
) -> None:
    whole, old = new_run({"train": {"max_steps": 12}}), new_run({"train": {"max_steps": 12}})
    assert train(whole).finished
    train(old, stop_at=5)
    config = old.config()
    for field in ("optimizer", "muon_learning_rate", "muon_momentum"):
        del config["train"][field]
    old.write_config(config)
    assert train(old).finished
    assert_equal_runs(whole, old)
