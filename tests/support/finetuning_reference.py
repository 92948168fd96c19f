"""GPT-1's objective as its equations read: one sequence at a time, whole logits, no padding and no groups."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from gptrilogy.finetuning.batches import Item
from gptrilogy.finetuning.config import TaskConfig
from gptrilogy.finetuning.model import FineTuned


def outputs_reference(model: FineTuned, item: Item) -> Tensor:
    """What the head says of an example: a score for each answer, or the numbers for the whole.

    Source: GPT1 eq. 3 and Figure 1. Shapes: -> (n,).
    """
    states = [model.gpt.hidden(torch.tensor([ids]))[0, -1] for ids in item.sequences]
    if model.task.kind == "choice":
        return torch.cat([model.head.weight @ state for state in states])
    total = states[0] if len(states) == 1 else states[0] + states[1]
    return model.head.weight @ total


def task_loss_reference(task: TaskConfig, outputs: Tensor, target: float) -> Tensor:
    """-log P(label) of one example, GPT1 eq. 4, or what stands in its place where the label is a score."""
    if task.kind == "regression" and task.regression == "mse":
        return (outputs[0] - (target - task.mean) / task.std) ** 2
    log_p = outputs - outputs.exp().sum().log()
    if task.kind != "regression":
        return -log_p[int(target)]
    score = min(max(target, task.low), task.high) - task.low
    below = min(math.floor(score), len(log_p) - 2)
    return -(below + 1 - score) * log_p[below] - (score - below) * log_p[below + 1]


def l3_reference(model: FineTuned, items: Sequence[Item], lm_weight: float) -> tuple[Tensor, Tensor, Tensor]:
    """L3 = L2 + lambda L1, and L2 and L1, each a mean: over examples, over the sequences and in each over its tokens.

    Source: GPT1 eq. 5.
    """
    losses = [task_loss_reference(model.task, outputs_reference(model, item), item.target) for item in items]
    nats = [
        F.cross_entropy(model.gpt(torch.tensor([ids[:-1]]))[0], torch.tensor(ids[1:]))
        for item in items
        for ids in item.sequences
    ]
    L2, L1 = torch.stack(losses).mean(), torch.stack(nats).mean()
    return L2 + lm_weight * L1, L2, L1
