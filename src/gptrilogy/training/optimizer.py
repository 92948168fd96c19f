"""By which rule weights move: AdamW, of which some decay and some do not, or Muon for matrices beside it."""

from collections.abc import Collection, Mapping

import torch
from torch import nn

from gptrilogy.training.config import LoopConfig
from gptrilogy.training.muon import Muon, Together


def build_optimizer(model: nn.Module, config: LoopConfig, *, spared: Collection[str] = ()) -> torch.optim.Optimizer:
    """The optimizer of a resolved config.

    Decay falls on matrices and embeddings, and on no bias or gain, nor on what is `spared` by name.

    Source: GPT1 §4.1 (decay on all non-bias and non-gain weights), GPT3 App. B (Adam 0.9/0.95/1e-8, decay 0.1). Muon
    is not the papers'.
    """
    weights = dict(model.named_parameters())
    if config.optimizer == "adamw":
        return _adamw(weights, config, spared)
    matrices = block_matrices(model)
    muon = Muon(
        matrices.items(),
        rate=config.muon_learning_rate,
        momentum=config.muon_momentum,
        weight_decay=config.weight_decay,
        dtype=torch.bfloat16 if config.precision == "bf16" else torch.float32,
    )
    for group in muon.param_groups:
        group["rate_ratio"] = config.muon_learning_rate / config.learning_rate
    others = {name: weight for name, weight in weights.items() if name not in matrices}
    return Together([muon, _adamw(others, config, spared)])


def _adamw(weights: Mapping[str, nn.Parameter], config: LoopConfig, spared: Collection[str]) -> torch.optim.AdamW:
    decaying: list[tuple[str, nn.Parameter]] = []
    others: list[tuple[str, nn.Parameter]] = []
    for name, parameter in weights.items():
        (decaying if parameter.dim() > 1 and name not in spared else others).append((name, parameter))
    groups = [
        {"params": decaying, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    betas = (config.beta1, config.beta2)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.epsilon, fused=True)


def block_matrices(model: nn.Module) -> dict[str, nn.Parameter]:
    """The matrices inside the blocks of a GPT, by name: what Muon moves."""
    weights = {name: weight for name, weight in model.named_parameters() if name.endswith(".weight")}
    return {name: weight for name, weight in weights.items() if ".h." in f".{name}" and weight.dim() == 2}


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group the rate of the schedule, or, where it has a rate of its own, in the same proportion of that."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate_ratio", 1.0)


def parameters(optimizer: torch.optim.Optimizer) -> dict[str, nn.Parameter]:
    """The optimizer's weights by the name each has in the model."""
    return {
        name: parameter
        for group in optimizer.param_groups
        for name, parameter in zip(group["param_names"], group["params"], strict=True)
    }
