"""Where the time of a training step goes: one clock that always belongs to a part of the model, or of the step.

Modules say by their hooks when they begin and end. The nodes of the backward pass belong to the part whose forward pass
made them, which is read off the graph, so nothing need be known of what happens inside a part.
"""

import statistics
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, Literal, TypeAlias, cast

from torch import Tensor, nn
from torch.autograd.graph import Node

from gptrilogy.data.loader import Windows, training_windows
from gptrilogy.data.shards import PackedData
from gptrilogy.devices import Precision, matmul_flops, pick_device
from gptrilogy.errors import ConfigError
from gptrilogy.models.gpt import GPT
from gptrilogy.training.config import RunConfig, TrainConfig
from gptrilogy.training.loop import update
from gptrilogy.training.pretrain import accumulate_gradients
from gptrilogy.training.profile_memory import Memory, measured_memory
from gptrilogy.training.profile_work import Work, memory_bandwidth, work_by_part
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.state import TrainState, fresh_state

WARM_UP_STEPS, MOST_PAIRS, ENOUGH_S = 2, 5, 30.0
EMBEDDING, LOSS, DATA, CLIPPING, OPTIMIZER = "embedding", "loss", "data loading", "clipping", "optimizer"
SUMS = "sums of gradients"  # between the nodes of the backward pass
REST = "not attributed"
WATCHING = "the profiling itself"
Phase: TypeAlias = Literal["forward", "backward", "other"]


@dataclass(frozen=True, slots=True)
class PartTime:
    """Seconds of a step in one part of all layers, and the work that cannot be avoided there."""

    name: str
    seconds: Mapping[Phase, float]
    work: Work
    best_s: float  # that work at the machine's ceiling

    @property
    def total_s(self) -> float:
        return sum(self.seconds.values())


@dataclass(frozen=True, slots=True)
class Profile:
    """A step of median length, taken apart: its parts and what was spent on watching it add up to `watched_s`."""

    step_s: float  # of steps nobody watched, the median
    watched_s: float
    watching_s: float
    parts: tuple[PartTime, ...]
    flops_per_s: float
    bytes_per_s: float
    tokens: int
    memory: Memory


def profile_steps(config: RunConfig, data: PackedData) -> Profile:
    """Take real steps of a resolved config, watched and unwatched in turn, on a model that is thrown away.

    Raises: ConfigError on another device than the CPU; DataError where the text is shorter than one context.
    """
    device = pick_device(config.train.device)
    if device.type != "cpu":
        raise ConfigError(f"--profile measures a step on the CPU alone, got {device}: give --train.device cpu")
    state, clock = fresh_state(config, device), Clock()
    windows = training_windows(data, n_ctx=config.model.n_ctx, seed=config.seed)
    take = partial(_step, state, windows, config.train)
    for _ in range(WARM_UP_STEPS):
        take()
    began, unwatched, watched = perf_counter(), list[float](), list[Mapping[tuple[str, Phase], float]]()
    while not watched or (len(watched) < MOST_PAIRS and perf_counter() - began < ENOUGH_S):
        started = perf_counter()
        take()
        unwatched.append(perf_counter() - started)
        with clock.watching(state):
            take(clock)
        watched.append(clock.read())
    median = sorted(watched, key=lambda seconds: sum(seconds.values()))[len(watched) // 2]
    precision: Precision = "bf16" if config.train.precision == "bf16" else "fp32"
    flops_per_s, bytes_per_s = matmul_flops(precision, device), memory_bandwidth()
    parts = _parts(median, work_by_part(config), flops_per_s, bytes_per_s)
    return Profile(
        step_s=statistics.median(unwatched),
        watched_s=sum(median.values()),
        watching_s=sum(seconds for (name, _), seconds in median.items() if name == WATCHING),
        parts=parts,
        flops_per_s=flops_per_s,
        bytes_per_s=bytes_per_s,
        tokens=config.train.batch_size * config.model.n_ctx,
        memory=measured_memory(config, state, partial(take, clock), clock),
    )


class Clock:
    """Time by part and phase; at every moment it runs for one of them."""

    def __init__(self) -> None:
        self.on_switch: Callable[[], None] | None = None
        self._parts = [REST]
        self._phase: Phase = "other"
        self._owners: dict[Node, str] = {}
        self._restart()

    @property
    def part(self) -> str:
        return self._parts[-1]

    @property
    def phase(self) -> Phase:
        return self._phase

    def read(self) -> Mapping[tuple[str, Phase], float]:
        """The seconds so far, which begin anew."""
        self._charge()
        seconds = dict(self._seconds)
        self._restart()
        return seconds

    def enter(self, part: str, phase: Phase) -> None:
        """From now on, whatever no module claims for itself belongs to this part."""
        self._parts, self._phase = [part], phase
        self._run_for((part, phase))

    @contextmanager
    def watching(self, state: TrainState[GPT]) -> Generator[None]:
        """Listen to a model, its loss and its optimizer."""
        model, optimizer = state.model, state.optimizer
        with ExitStack() as stack:
            for path, module in cast("Iterable[tuple[str, nn.Module]]", model.named_modules()):
                if path and not isinstance(module, nn.ModuleList):
                    part = part_of(path)
                    before = module.register_forward_pre_hook(partial(self._module_begins, part))
                    after = module.register_forward_hook(partial(self._module_ends, part))
                    stack.callback(before.remove)
                    stack.callback(after.remove)
            for owner, name, wrapped in (
                (model, "loss", partial(self._loss, model.loss)),
                (optimizer, "step", partial(self._update, optimizer.step)),
            ):
                setattr(owner, name, wrapped)
                stack.callback(delattr, owner, name)
            self._restart()
            self.enter(REST, "other")
            yield
            self.enter(REST, "other")

    def batches(self, windows: Windows) -> Windows:
        """The same windows, whose making is timed."""
        return _TimedWindows(windows, self)

    def _restart(self) -> None:
        self._seconds: defaultdict[tuple[str, Phase], float] = defaultdict(float)
        self._place: tuple[str, Phase] = (REST, "other")
        self._since = perf_counter()

    def _charge(self) -> None:
        now = perf_counter()
        self._seconds[self._place] += now - self._since
        self._since = now

    def _run_for(self, place: tuple[str, Phase]) -> None:
        self._charge()
        self._place = place
        if self.on_switch:
            self._place = (WATCHING, "other")
            self.on_switch()
            self._charge()
            self._place = place

    def _module_begins(self, part: str, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._run_for((WATCHING, "other"))
        self._claim(inputs, self.part)
        self._parts.append(part)
        self._run_for((part, self._phase))

    def _module_ends(self, part: str, _module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        self._run_for((WATCHING, "other"))
        self._claim((output,), part)
        self._parts.pop()
        if part in ("h", "ln_f") and len(self._parts) == 1:
            self._parts = [LOSS]  # what follows the last of these, until the backward pass begins
        self._run_for((self.part, self._phase))

    def _loss(self, loss: Callable[..., Tensor], *arguments: Any) -> Tensor:
        self.enter(EMBEDDING, "forward")
        found = loss(*arguments)
        self._run_for((WATCHING, "other"))
        self._claim((found,), self.part)
        self._owners.clear()  # the graph lives as long as its loss
        self.enter(REST, "other")
        return found

    def _update(self, step: Callable[[], Any]) -> None:
        self.enter(OPTIMIZER, "other")
        step()
        self.enter(CLIPPING, "other")

    def _claim(self, values: tuple[Any, ...], part: str) -> None:
        """Give the nodes that made these values, and that are nobody's yet, to a part."""
        pending = [value.grad_fn for value in values if isinstance(value, Tensor)]
        while pending:
            node = pending.pop()
            if node is None or node in self._owners:
                continue
            self._owners[node] = part
            node.register_prehook(partial(self._node_begins, part))
            node.register_hook(self._node_ends)
            pending += [before for before, _ in node.next_functions]

    def _node_begins(self, part: str, _gradients: tuple[Tensor, ...]) -> None:
        self.enter(part, "backward")

    def _node_ends(self, _inputs: tuple[Tensor, ...], _outputs: tuple[Tensor, ...]) -> None:
        self.enter(SUMS, "backward")


@dataclass(frozen=True, slots=True)
class _TimedWindows:
    windows: Windows
    clock: Clock

    def batch(self, first_sample: int, batch_size: int) -> Tensor:
        self.clock.enter(DATA, "other")
        batch = self.windows.batch(first_sample, batch_size)
        self.clock.enter(REST, "other")
        return batch

    def seen(self, samples: int) -> dict[str, Any]:
        return self.windows.seen(samples)


def part_of(path: str) -> str:
    """The part that a module is of, the same in every block.

    >>> part_of("h.11.attn.c_attn"), part_of("h.0"), part_of("wte")
    ('attn.c_attn', 'h', 'embedding')
    """
    first, _, rest = path.partition(".")
    if first == "h":
        return rest.partition(".")[2] or "h"
    return EMBEDDING if first in ("wte", "wpe") else path


def _step(state: TrainState[GPT], windows: Windows, train: TrainConfig, clock: Clock | None = None) -> None:
    """One step as `run_loop` takes it."""
    loss_nats = accumulate_gradients(state, clock.batches(windows) if clock else windows, train, StopRequest())
    if clock:
        clock.enter(CLIPPING, "other")
    update(state, train.learning_rate / 100, loss_nats or 0.0, train.grad_clip)
    state.samples += train.batch_size


def _parts(
    seconds: Mapping[tuple[str, Phase], float], work: Mapping[str, Work], flops_per_s: float, bytes_per_s: float
) -> tuple[PartTime, ...]:
    """The parts in their order; what a part was to do that never ran by itself was done by the one around it."""
    spent: dict[str, dict[Phase, float]] = defaultdict(dict)
    for (name, phase), took in seconds.items():
        if name != WATCHING:
            spent[name][phase] = took
    done: defaultdict[str, Work] = defaultdict(Work)
    for name, its in work.items():
        done[name if name in spent else _around(name, spent)] += its
    order = [*work, *(name for name in spent if name not in work)]
    return tuple(
        PartTime(name, spent[name], done[name], done[name].best_s(flops_per_s, bytes_per_s))
        for name in order
        if name in spent
    )


def _around(name: str, spent: Mapping[str, object]) -> str:
    outer = name.rpartition(".")[0]
    return outer if outer in spent else ("h" if "h" in spent else REST)
