"""A step taken apart: its parts add up, whatever the blocks are made of, and every byte at the peak is some part's."""

import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from gptrilogy.config import Tree, parse
from gptrilogy.data.loader import training_windows
from gptrilogy.data.shards import PackedData, open_shards
from gptrilogy.errors import ConfigError
from gptrilogy.models.gpt import Block
from gptrilogy.runs import Run
from gptrilogy.scaling.compute import n_parameters, training_flops_per_token
from gptrilogy.training import profiling
from gptrilogy.training.config import RunConfig
from gptrilogy.training.loop import update
from gptrilogy.training.pretrain import accumulate_gradients
from gptrilogy.training.profile_memory import COPIES, Kept
from gptrilogy.training.profile_work import work_by_part
from gptrilogy.training.profiling import Clock, Profile, profile_steps
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.state import fresh_state

BLOCK_PARTS = ["ln_1", "attn.c_attn", "attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp", "mlp.c_proj", "h"]
BOTH_WAYS = ["embedding", *BLOCK_PARTS, "ln_f"]
PREPARED = Callable[[Tree], tuple[RunConfig, PackedData]]


@pytest.fixture(autouse=True)
def one_pair() -> Iterator[None]:
    """One watched step is enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiling, "MOST_PAIRS", 1)
        yield


@pytest.fixture
def prepared(new_run: Callable[..., Run]) -> PREPARED:
    def prepared(changes: Tree) -> tuple[RunConfig, PackedData]:
        run = new_run(changes)
        return parse(RunConfig, run.config()), open_shards(run.data_folder, fingerprint=None)

    return prepared


@pytest.fixture(scope="module")
def found(new_run: Callable[..., Run]) -> Profile:
    run = new_run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiling, "MOST_PAIRS", 1)
        return profile_steps(parse(RunConfig, run.config()), open_shards(run.data_folder, fingerprint=None))


def test_the_parts_and_the_watching_are_the_whole_step(found: Profile) -> None:
    assert sum(part.total_s for part in found.parts) + found.watching_s == pytest.approx(found.watched_s, rel=1e-9)


def test_every_part_of_the_model_has_its_time_in_both_directions(found: Profile) -> None:
    parts = {part.name: part.seconds for part in found.parts}
    assert [name for name in BOTH_WAYS if not (parts[name]["forward"] > 0 and parts[name]["backward"] > 0)] == []
    assert parts["loss"]["forward"] > 0  # where it forms its gradient too
    assert all(parts[name].keys() == {"other"} for name in ("data loading", "clipping", "optimizer"))


def test_the_work_of_all_parts_is_what_is_counted_for_the_whole_model(prepared: PREPARED) -> None:
    config, _ = prepared({})
    model, tokens = config.model, config.train.batch_size * config.model.n_ctx
    work = work_by_part(config)
    assert sum(one.flops for one in work.values()) == pytest.approx(tokens * training_flops_per_token(model), rel=1e-6)
    assert work["optimizer"].moved_bytes == 7 * 4 * n_parameters(model)


def test_a_watched_step_changes_no_bit(prepared: PREPARED) -> None:
    config, data = prepared({})
    weights: list[Tensor] = []
    for watch in (False, True):
        state, clock = fresh_state(config, torch.device("cpu")), Clock()
        windows = training_windows(data, n_ctx=config.model.n_ctx, seed=0)
        if watch:
            with clock.watching(state):
                loss = accumulate_gradients(state, clock.batches(windows), config.train, StopRequest())
                update(state, 1e-3, loss or 0.0, 1.0)
        else:
            loss = accumulate_gradients(state, windows, config.train, StopRequest())
            update(state, 1e-3, loss or 0.0, 1.0)
        weights.append(state.model.wte.weight.detach())
    assert torch.equal(*weights)


def test_nothing_is_left_on_the_model_afterwards(prepared: PREPARED) -> None:
    config, data = prepared({})
    state, clock = fresh_state(config, torch.device("cpu")), Clock()
    with clock.watching(state):
        pass
    windows = training_windows(data, n_ctx=config.model.n_ctx, seed=0)
    loss = accumulate_gradients(state, windows, config.train, StopRequest())
    update(state, 1e-3, loss or 0.0, 1.0)
    assert [name for name, _ in clock.read()] == [profiling.REST]


def test_time_is_charged_to_the_part_that_spends_it(prepared: PREPARED, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that moves in layer norms alone, once a call."""
    config, data = prepared({})
    state, clock, now = fresh_state(config, torch.device("cpu")), Clock(), itertools.count()
    kind = type(state.model.get_submodule("h.0.ln_1"))
    forward, at = kind.forward, [0.0]

    def slow(self: nn.Module, x: Tensor) -> Tensor:
        at[0] = float(next(now) + 1)
        return forward(self, x)

    monkeypatch.setattr(kind, "forward", slow)
    monkeypatch.setattr(profiling, "perf_counter", lambda: at[0])
    with clock.watching(state):
        windows = clock.batches(training_windows(data, n_ctx=config.model.n_ctx, seed=0))
        accumulate_gradients(state, windows, config.train, StopRequest())
    spent = {place: seconds for place, seconds in clock.read().items() if seconds}
    calls = 2 * config.model.n_layer  # of two micro-batches
    assert spent == {("ln_1", "forward"): calls, ("ln_2", "forward"): calls, ("ln_f", "forward"): 2}


class _Fused(torch.autograd.Function):
    """A whole block in one node, as a rewriting for speed may make it."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return grads[0] * 2


def test_a_block_without_inner_modules_has_all_their_work(prepared: PREPARED, monkeypatch: pytest.MonkeyPatch) -> None:
    config, data = prepared({})
    monkeypatch.setattr(Block, "forward", lambda self, x, past=None: _Fused.apply(x))  # pyright: ignore[reportUnknownLambdaType]
    parts = {part.name: part for part in profile_steps(config, data).parts}
    assert not {*BLOCK_PARTS[:-1]} & parts.keys()
    work = work_by_part(config)
    assert parts["h"].work.flops == sum(work[name].flops for name in BLOCK_PARTS)
    assert parts["h"].seconds["backward"] > 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_byte_at_the_peak_belongs_to_something(prepared: PREPARED, precision: str) -> None:
    config, data = prepared({"train": {"precision": precision, "micro_batch_size": 3}, "model": {"n_vocab": 256}})
    memory = profile_steps(config, data).memory
    n = n_parameters(config.model)
    assert memory.by_part["weights"] == 4 * n
    assert memory.by_part["the optimizer's moments"] == pytest.approx(8 * n, rel=0.01)
    assert sum(memory.by_part.values()) == memory.peak_bytes
    assert memory.by_part["temporaries"] >= 0
    assert sum(memory.activations_by_part.values()) == memory.by_part["activations"]
    assert {*BLOCK_PARTS[:-1]} <= memory.activations_by_part.keys()
    assert memory.planned["weights"] == 4 * n


def test_what_autograd_keeps_is_counted_once_to_the_byte_until_it_lets_go() -> None:
    norm, x = nn.LayerNorm(8), torch.randn(5, 8).requires_grad_()
    clock = Clock()
    kept = Kept(norm, clock)
    with saved_tensors_hooks(kept.pack, kept.unpack):
        clock.enter("ln_1", "forward")
        y = norm(x * 1)
        clock.enter("attn", "forward")
        z = y.sin() * y  # keeps y twice, and sin(y)
    assert kept.alive["ln_1"] == 4 * (5 * 8 + 5 + 5)  # its input, a mean and a deviation a row; no weight
    assert kept.alive["attn"] == 4 * (2 * 5 * 8)
    z.sum().backward()
    assert not any(kept.alive.values())


def test_a_weight_in_bf16_is_told_from_activations() -> None:
    layer, x = nn.Linear(8, 6), torch.randn(5, 8).requires_grad_()
    kept = Kept(layer, Clock())
    with saved_tensors_hooks(kept.pack, kept.unpack), torch.autocast("cpu", torch.bfloat16):
        y = layer(x * 1)  # as in a model, where no activation is a leaf
    assert kept.alive == {COPIES: 2 * 8 * 6, profiling.REST: 2 * 5 * 8}
    assert y.dtype == torch.bfloat16


def test_another_device_is_refused(prepared: PREPARED, monkeypatch: pytest.MonkeyPatch) -> None:
    config, data = prepared({})
    monkeypatch.setattr(profiling, "pick_device", lambda name: torch.device("meta"))  # pyright: ignore[reportUnknownLambdaType]
    with pytest.raises(ConfigError, match=r"on the CPU alone, got meta: give --train.device cpu"):
        profile_steps(config, data)
