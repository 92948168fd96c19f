"""A batch in portions, and the norm of what it gives."""

import math
from collections.abc import Callable

import pytest
import torch

from gptrilogy.config import parse
from gptrilogy.data.loader import Loader
from gptrilogy.data.shards import open_shards
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.gpt import GPT
from gptrilogy.runs import Run
from gptrilogy.training.config import RunConfig, TrainConfig
from gptrilogy.training.loop import update
from gptrilogy.training.pretrain import accumulate_gradients
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.state import fresh_state


@pytest.mark.parametrize("micro", [1, 2, 3, 5, 7])
def test_micro_batches_add_up_to_the_gradient_of_the_whole_batch(micro: int, new_run: Callable[..., Run]) -> None:
    run = new_run({"model": {"dropout": 0.0}, "train": {"batch_size": 7, "micro_batch_size": micro}})
    config = parse(RunConfig, run.config())
    loader = Loader(open_shards(run.data_folder, fingerprint=None).train, n_ctx=16, seed=0)
    state = fresh_state(config, torch.device("cpu"))
    loss_nats = accumulate_gradients(state, loader, config.train, StopRequest())
    gradients = {name: p.grad for name, p in state.model.named_parameters()}
    state.model.zero_grad()
    whole = state.model.loss(loader.batch(0, 7))
    whole.backward()
    assert loss_nats == pytest.approx(whole.item(), abs=1e-6)
    for name, parameter in state.model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, atol=1e-6, rtol=0)


def test_a_stop_leaves_no_half_gradient_behind(new_run: Callable[..., Run]) -> None:
    config = parse(RunConfig, new_run().config())
    stop = StopRequest()
    stop.number = 15
    state = fresh_state(config, torch.device("cpu"))
    assert accumulate_gradients(state, None, config.train, stop) is None  # pyright: ignore[reportArgumentType]
    assert all(parameter.grad is None for parameter in state.model.parameters())


@pytest.mark.parametrize(("clip", "bound"), [(1e-3, 1e-3), (1e3, None)])
def test_the_gradient_is_clipped_by_its_global_norm(clip: float, bound: float | None) -> None:
    model = GPT(GPTConfig(n_vocab=11, n_ctx=4, n_embd=8, n_head=2, n_layer=1), torch.Generator().manual_seed(0))
    config = RunConfig(model=model.config, train=TrainConfig(max_steps=1, precision="fp32"))
    state = fresh_state(config, torch.device("cpu"))
    state.model.loss(torch.tensor([[1, 2, 3, 4, 5]])).backward()
    norm = total_norm(state.model)
    applied, reported = update(state, 1e-3, 1.0, clip)
    assert applied
    assert reported == pytest.approx(norm, rel=1e-5)
    assert total_norm(state.model) == pytest.approx(norm if bound is None else bound, rel=1e-3)


def total_norm(model: GPT) -> float:
    return math.sqrt(sum(p.grad.double().square().sum().item() for p in model.parameters() if p.grad is not None))
