"""A candidate in a process of its own: `python -m bench.candidates_worker NAME CASE`, spoken to as `bench.worker` is.

A candidate is ours as it ships, with some of its parts replaced for as long as the process lives.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, redirect_stdout
from functools import partial
from typing import Any, TypeAlias
from unittest.mock import patch

import torch
from torch import nn

from bench import contenders
from bench.candidates_block import block_in_one
from bench.candidates_cases import COMPILED, SHIPPED
from bench.cases import DEFAULT, Case
from bench.contenders import BUILDERS, TRAIN, Contender
from bench.worker import serve
from gptrilogy.models import attention, gpt, kernels
from gptrilogy.models.gpt import GPT, Block
from gptrilogy.models.loss import mean_loss_reference
from gptrilogy.training.config import RunConfig
from gptrilogy.training.optimizer import block_matrices, set_learning_rate
from gptrilogy.training.state import TrainState, fresh_state

State: TypeAlias = TrainState[GPT]
Update: TypeAlias = Callable[[State, float, float, float], None]
Patches: TypeAlias = Iterable[AbstractContextManager[Any]]


def build(name: str, case: Case, alive: ExitStack) -> Contender:
    """The candidate, in the precision that this CPU multiplies, whose parts stay replaced as long as `alive` is."""
    for part in REPLACED[name]():
        alive.enter_context(part)
    return BUILDERS[DEFAULT](case)


def _never(*_: object, **__: object) -> bool:
    return False


def _always(*_: object, **__: object) -> bool:
    return True


def _without(*names: str) -> Patches:
    """Without the kernels for which these functions of `models.kernels` stand."""
    return [patch.object(kernels, name, _never) for name in names]


def _attending(*, blocked: bool) -> Patches:
    return [*_without("attends"), patch.object(attention, "_blocks_are_faster", _always if blocked else _never)]


def _no_kernels() -> Patches:
    return _without("multiplies", "attends", "normalizes", "activates")


def _with_state(change: Callable[[State], Update | None]) -> Patches:
    """A state that was changed before the first step, and what then takes the place of `update`."""
    made: list[Update] = []

    def begin(config: RunConfig, device: torch.device) -> State:
        state = fresh_state(config, device)
        made.extend(filter(None, [change(state)]))
        return state

    def update(state: State, rate: float, loss_nats: float, grad_clip: float) -> None:
        (made[0] if made else plain_update)(state, rate, loss_nats, grad_clip)

    plain_update = contenders.update
    return [patch.object(contenders, "fresh_state", begin), patch.object(contenders, "update", update)]


def _foreach(state: State) -> None:
    for group in state.optimizer.param_groups:
        group["fused"], group["foreach"] = False, True


def _compiled() -> Patches:
    def compile_blocks(state: State) -> None:
        for block in state.model.h:
            block.compile()

    return [*_no_kernels(), *_attending(blocked=False), *_with_state(compile_blocks)]


def _masters(state: State) -> Update:
    """bf16 matrices in the blocks; their fp32 masters are what the optimizer moves."""
    pairs: list[tuple[nn.Parameter, nn.Parameter]] = []
    for weight in block_matrices(state.model).values():
        pairs.append((weight, nn.Parameter(weight.detach().clone())))
        weight.data = weight.data.to(torch.bfloat16)
    masters = {id(weight): master for weight, master in pairs}
    for group in state.optimizer.param_groups:
        group["params"] = [masters.get(id(weight), weight) for weight in group["params"]]
    moved = _moved(state)

    def update(state: State, rate: float, loss_nats: float, grad_clip: float) -> None:
        del loss_nats
        for weight, master in pairs:
            assert weight.grad is not None
            master.grad = weight.grad.float()
        nn.utils.clip_grad_norm_(moved, grad_clip)
        set_learning_rate(state.optimizer, rate)
        state.optimizer.step()
        with torch.no_grad():
            for weight, master in pairs:
                weight.copy_(master)

    return update


def _flat(state: State) -> Update:
    """All weights of an optimizer's group in one tensor, and all gradients in another, to which autograd adds."""
    for group in state.optimizer.param_groups:
        weights: list[nn.Parameter] = group["params"]
        flat = nn.Parameter(torch.cat([weight.detach().flatten() for weight in weights]))
        flat.grad = torch.zeros_like(flat)
        sizes = [weight.numel() for weight in weights]
        for weight, data, grad in zip(weights, flat.data.split(sizes), flat.grad.split(sizes), strict=True):
            weight.data, weight.grad = data.view_as(weight), grad.view_as(weight)
        group["params"] = [flat]
    moved = _moved(state)

    def zero_grad(*, set_to_none: bool) -> None:
        del set_to_none
        for flat in moved:
            assert flat.grad is not None
            flat.grad.zero_()

    def update(state: State, rate: float, loss_nats: float, grad_clip: float) -> None:
        del loss_nats
        nn.utils.clip_grad_norm_(moved, grad_clip)
        set_learning_rate(state.optimizer, rate)
        state.optimizer.step()

    vars(state.model)["zero_grad"] = zero_grad
    return update


def _clipping_in_adamw(state: State) -> Update:
    """The fused AdamW divides gradients by a factor it is given, meant for fp16; here it is that of the clipping."""
    moved, optimizer = _moved(state), state.optimizer

    def update(state: State, rate: float, loss_nats: float, grad_clip: float) -> None:
        del state, loss_nats
        norm = nn.utils.get_total_norm([weight.grad for weight in moved if weight.grad is not None])
        vars(optimizer)["grad_scale"] = (norm / grad_clip).clamp(min=1.0)
        set_learning_rate(optimizer, rate)
        optimizer.step()

    return update


def _moved(state: State) -> list[nn.Parameter]:
    return [weight for group in state.optimizer.param_groups for weight in group["params"]]


REPLACED: Mapping[str, Callable[[], Patches]] = {
    SHIPPED: list,
    "no kernels": _no_kernels,
    "PyTorch's products": partial(_without, "multiplies"),
    "attention in blocks": partial(_attending, blocked=True),
    "flash attention": partial(_attending, blocked=False),
    "PyTorch's GELU": partial(_without, "activates"),
    "PyTorch's norms": partial(_without, "normalizes"),
    "whole logits": lambda: [patch.object(gpt, "mean_loss_nats", mean_loss_reference)],
    "AdamW by foreach": partial(_with_state, _foreach),
    COMPILED: _compiled,
    "bf16 weights": partial(_with_state, _masters),
    "flat weights": partial(_with_state, _flat),
    "clipping in AdamW": partial(_with_state, _clipping_in_adamw),
    "a block in one": lambda: [patch.object(Block, "forward", block_in_one)],
    "Muon": lambda: [patch.object(contenders, "TRAIN", TRAIN.replace(optimizer="muon"))],
    "batch x 2": list,
    "batch x 4": list,
}


if __name__ == "__main__":
    stdout = sys.stdout
    with redirect_stdout(sys.stderr), ExitStack() as alive:  # what libraries print is no answer
        serve(build(sys.argv[1], Case.model_validate_json(sys.argv[2]), alive), sys.stdin, stdout)
