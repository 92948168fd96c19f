import math

import pytest
import torch
from torch import Tensor

from gptrilogy.models.config import GPTConfig
from gptrilogy.models.gpt import GPT
from gptrilogy.training.config import TrainConfig
from gptrilogy.training.optimizer import build_optimizer, parameters, set_learning_rate

CONFIG = TrainConfig(learning_rate=3e-3, beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=0.1)
IDS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 9, 0]])


@pytest.fixture
def model() -> GPT:
    return GPT(GPTConfig(n_vocab=10, n_ctx=4, n_embd=8, n_head=2, n_layer=2), torch.Generator().manual_seed(0))


def test_matrices_and_embeddings_decay_and_biases_and_gains_do_not(model: GPT) -> None:
    decays = {
        name: group["weight_decay"]
        for group in build_optimizer(model, CONFIG).param_groups
        for name in group["param_names"]
    }
    matrices = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    decaying = {"wte.weight", "wpe.weight", *(f"h.{layer}.{name}" for layer in range(2) for name in matrices)}
    assert decays == {name: 0.1 if name in decaying else 0.0 for name, _ in model.named_parameters()}


def test_every_weight_is_known_by_its_name(model: GPT) -> None:
    optimizer = build_optimizer(model, CONFIG)
    assert {name: id(p) for name, p in parameters(optimizer).items()} == {
        name: id(p) for name, p in model.named_parameters()
    }


def test_two_steps_equal_adam_with_decoupled_decay_written_out(model: GPT) -> None:
    optimizer = build_optimizer(model, CONFIG)
    expected = {name: p.detach().clone().double() for name, p in model.named_parameters()}
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in expected.items()}
    for step, rate in enumerate((1e-3, 5e-4), start=1):
        model.zero_grad()
        model.loss(IDS).backward()
        set_learning_rate(optimizer, rate)
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            decay = 0.1 if parameter.dim() > 1 else 0.0
            adam_step(expected[name], parameter.grad.double(), *moments[name], step=step, rate=rate, decay=decay)
        optimizer.step()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.detach().double(), expected[name], atol=1e-6, rtol=0)


def adam_step(
    weight: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, *, step: int, rate: float, decay: float
) -> None:
    """Loshchilov and Hutter 2019, algorithm 2, with the rate as the schedule multiplier of both terms."""
    weight -= rate * decay * weight
    mean.mul_(0.9).add_(0.1 * gradient)
    square.mul_(0.95).add_(0.05 * gradient**2)
    unbiased_mean, unbiased_square = mean / (1 - 0.9**step), square / (1 - 0.95**step)
    weight -= rate * unbiased_mean / (unbiased_square.sqrt() + 1e-8)


def test_a_first_step_is_as_long_as_the_rate(model: GPT) -> None:
    optimizer = build_optimizer(model, CONFIG.replace(weight_decay=0.0))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.loss(IDS).backward()
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert (parameter - before[name]).abs().max().item() <= 3e-3 * (1 + 1e-3)
    assert math.isclose((model.wte.weight - before["wte.weight"]).abs().max().item(), 3e-3, rel_tol=1e-2)
