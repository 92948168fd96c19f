"""AdamW over two groups of weights: those that decay and those that do not."""

from collections.abc import Collection

import torch
from torch import nn

from gptrilogy.training.config import LoopConfig


def build_optimizer(model: nn.Module, config: LoopConfig, *, spared: Collection[str] = ()) -> torch.optim.AdamW:
    """AdamW whose decay falls on matrices and embeddings, and on no bias or gain, nor on what is `spared` by name.

    Source: GPT1 §4.1 (decay on all non-bias and non-gain weights), GPT3 App. B (Adam 0.9/0.95/1e-8, decay 0.1).
    """
    decaying: list[tuple[str, nn.Parameter]] = []
    others: list[tuple[str, nn.Parameter]] = []
    for name, parameter in model.named_parameters():
        (decaying if parameter.dim() > 1 and name not in spared else others).append((name, parameter))
    groups = [
        {"params": decaying, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    betas = (config.beta1, config.beta2)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.epsilon, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def parameters(optimizer: torch.optim.Optimizer) -> dict[str, nn.Parameter]:
    """The optimizer's weights by the name each has in the model."""
    return {
        name: parameter
        for group in optimizer.param_groups
        for name, parameter in zip(group["param_names"], group["params"], strict=True)
    }
