"""Where the memory of a training step goes, at the moment when it takes most."""

import json
import tempfile
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.graph import Node, saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile

from gptrilogy.models.gpt import GPT
from gptrilogy.scaling.plan import memory_by_part
from gptrilogy.training.config import RunConfig
from gptrilogy.training.state import TrainState, optimizer_tensors

VIEWS = ("TBackward0", "ToCopyBackward0", "ViewBackward0")  # what stands between a weight and its bf16 copy
COPIES = "bf16 copies of the weights"


class Place(Protocol):
    """Which part of the step is at work; `profiling.Clock`."""

    on_switch: Callable[[], None] | None

    @property
    def part(self) -> str: ...
    @property
    def phase(self) -> str: ...
    def watching(self, state: TrainState[GPT], /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of tensors at the peak of a step, and what `gpt plan` says of it beforehand."""

    peak_bytes: int
    peak_part: str
    peak_phase: str
    by_part: Mapping[str, int]  # adds up to the peak
    activations_by_part: Mapping[str, int]  # at the peak
    planned: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Sample:
    """What was alive when the step went over to another part."""

    time_ns: int
    part: str
    phase: str
    gradients: int
    kept: Mapping[str, int]


def measured_memory(config: RunConfig, state: TrainState[GPT], take: Callable[[], None], place: Place) -> Memory:
    """Take one step, and account for each byte that is allocated.

    What the backward pass needs of a part is counted when autograd keeps it and when it lets go of it.
    """
    state.model.zero_grad(set_to_none=True)
    kept, samples, weights = Kept(state.model, place), list[_Sample](), [*state.model.parameters()]

    def note() -> None:
        gradients = sum(weight.grad.nbytes for weight in weights if weight.grad is not None)
        samples.append(_Sample(time.time_ns(), place.part, place.phase, gradients, dict(kept.alive)))

    place.on_switch = note
    try:
        with (
            place.watching(state),
            saved_tensors_hooks(kept.pack, kept.unpack),
            profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as trace,
        ):
            take()
    finally:
        place.on_switch = None
    peak_ns, peak_bytes = _peak(trace)
    at_peak = samples[max(0, bisect_right([sample.time_ns for sample in samples], peak_ns) - 1)]
    activations = {part: size for part, size in at_peak.kept.items() if part != COPIES and size}
    resident = {
        "weights": sum(weight.nbytes for weight in weights),
        "gradients": at_peak.gradients,
        "the optimizer's moments": sum(tensor.nbytes for tensor in optimizer_tensors(state.optimizer).values()),
        COPIES: at_peak.kept.get(COPIES, 0),
        "activations": sum(activations.values()),
    }
    peak_bytes += resident["weights"] + resident["the optimizer's moments"]
    return Memory(
        peak_bytes=peak_bytes,
        peak_part=at_peak.part,
        peak_phase=at_peak.phase,
        by_part={**resident, "temporaries": peak_bytes - sum(resident.values())},
        activations_by_part=activations,
        planned=memory_by_part(
            config.model,
            config.train.micro_batch_size or config.train.batch_size,
            "bf16" if config.train.precision == "bf16" else "fp32",
        ),
    )


class Kept:
    """Bytes that autograd keeps for the backward pass, by the part that made it keep them; each storage once."""

    def __init__(self, model: torch.nn.Module, place: Place) -> None:
        self.alive: Counter[str] = Counter()
        self._place = place
        self._weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
        self._holders: Counter[int] = Counter()

    def pack(self, tensor: Tensor) -> "_Saved":
        storage = tensor.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        part = COPIES if _is_copy_of_a_weight(tensor) else self._place.part
        if address in self._weights:
            return _Saved(tensor.detach(), lambda: None)
        self._holders[address] += 1
        if self._holders[address] > 1:
            size = 0  # it is counted where it was kept first, and let go with the last who holds it
        self.alive[part] += size
        return _Saved(tensor.detach(), lambda: self._let_go(address, part, size))

    @staticmethod
    def unpack(saved: "_Saved") -> Tensor:
        return saved.tensor

    def _let_go(self, address: int, part: str, size: int) -> None:
        self._holders[address] -= 1
        self.alive[part] -= size


class _Saved:
    """A tensor that tells when nobody needs it any more."""

    def __init__(self, tensor: Tensor, on_end: Callable[[], None]) -> None:
        self.tensor = tensor
        self._on_end = on_end

    def __del__(self) -> None:
        self._on_end()


def _is_copy_of_a_weight(tensor: Tensor) -> bool:
    """Whether a tensor is no more than a weight in another type or shape."""
    node: Node | None = tensor.grad_fn
    while node is not None and node.name() in VIEWS:
        node = node.next_functions[0][0]
    return node is not None and node.name() == "torch::autograd::AccumulateGrad"


def _peak(trace: profile) -> tuple[int, int]:
    """When most was allocated on top of what was there before the trace began, in ns since 1970, and how many bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        trace.export_chrome_trace(str(path))
        found = json.loads(path.read_text(encoding="utf-8"))
    events = [event for event in found["traceEvents"] if event.get("name") == "[memory]"]
    events.sort(key=lambda event: (event["ts"], event["args"]["Ev Idx"]))
    totals = [*accumulate(event["args"]["Bytes"] for event in events)]
    most = max(range(len(totals)), key=totals.__getitem__)
    return int(found.get("baseTimeNanoseconds", 0) + events[most]["ts"] * 1000), totals[most]
