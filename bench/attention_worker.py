"""The process that runs the kernels, and says in one JSON object a line what it saw.

`python -m bench.attention_worker time PRECISION N REPEATS KERNEL...` lets kernels take turns;
`python -m bench.attention_worker memory PRECISION N KERNEL` runs one, once, for its memory.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.attention_cases import BAND, BLOCKS, D_HEAD, DENSE, MASKED, N_HEAD, pattern
from gptrilogy.models.attention import attend, visible
from gptrilogy.models.blocked_attention import blocked_attention
from gptrilogy.models.patterns import Banded

Kernel: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]

SAMPLE_S = 0.1  # a sample is as many calls as fill it
LONG_S, LONG_REPEATS = 4.0, 3  # a call that takes longer is sampled no more often
WARM_UP_N = 512


class Inputs(NamedTuple):
    """Queries, keys and values, and the gradient of what comes out, strided as a layer's projections leave them.

    Shapes: each (1, n_head, n, D).
    """

    q: Tensor
    k: Tensor
    v: Tensor
    dy: Tensor

    @classmethod
    def drawn(cls, n: int, precision: str, n_head: int = N_HEAD) -> Self:
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        generator = torch.Generator().manual_seed(n)
        qkv = torch.randn(1, n, 3, n_head, D_HEAD, dtype=dtype, generator=generator)
        q, k, v = (x.detach().requires_grad_() for x in qkv.permute(2, 0, 3, 1, 4))
        return cls(q, k, v, torch.randn(1, n, n_head, D_HEAD, dtype=dtype, generator=generator).transpose(1, 2))


def kernel_of(name: str, n: int) -> Kernel:
    """The attention that a name stands for; the mask of the one that needs it is made here, ahead of any timing."""
    if name == DENSE:
        return attend
    if name == BLOCKS:
        return blocked_attention
    if name == MASKED:
        return partial(F.scaled_dot_product_attention, attn_mask=visible(n, n, Banded(BAND))[0])
    return partial(attend, pattern=pattern(name, n))


def step(kernel: Kernel, inputs: Inputs) -> tuple[str, tuple[Tensor, ...]]:
    """Forward and backward: which node of autograd made the output, and the output with the three gradients."""
    q, k, v, dy = inputs
    y = kernel(q, k, v)
    assert y.grad_fn is not None
    return y.grad_fn.name(), (y, *torch.autograd.grad(y, (q, k, v), dy))


def samples(names: list[str], precision: str, n: int, repeats: int) -> Iterator[dict[str, Any]]:
    """One sample of each kernel after the other, over and over; round 0 is one call each, to warm up."""
    inputs = Inputs.drawn(n, precision)
    kernels = {name: kernel_of(name, n) for name in names}
    rounds = dict.fromkeys(names, repeats)
    for number in range(repeats + 1):
        for name in names:
            if number > rounds[name]:
                continue
            calls, ran_as, start = 0, "", time.perf_counter()
            while calls == 0 or (number > 0 and time.perf_counter() - start < SAMPLE_S):
                ran_as = step(kernels[name], inputs)[0]
                calls += 1
            seconds = (time.perf_counter() - start) / calls
            if number == 0 and seconds > LONG_S:
                rounds[name] = min(repeats, LONG_REPEATS)
            yield {"kernel": name, "round": number, "seconds": seconds, "calls": calls, "ran_as": ran_as}


def memory(name: str, precision: str, n: int) -> dict[str, Any]:
    """The most that one forward and backward had resident beyond its inputs and its libraries.

    A small call loads the libraries. Where the system cannot forget the peak so far, it stands for what was resident.
    """
    step(kernel_of(name, WARM_UP_N), Inputs.drawn(WARM_UP_N, precision, n_head=1))
    inputs, kernel = Inputs.drawn(n, precision), kernel_of(name, n)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak becomes what is resident now
    before = _peak_bytes()
    made = step(kernel, inputs)  # held, so that the output and the gradients count
    peak = _peak_bytes()
    del made
    return {"kernel": name, "before_bytes": before, "peak_bytes": peak - before}


def _peak_bytes() -> int:
    """The most that this process has had resident."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    what, precision, n, *rest = sys.argv[1:]
    stdout = sys.stdout
    with redirect_stdout(sys.stderr):  # what libraries print is no answer
        if what == "time":
            for sample in samples(rest[1:], precision, int(n), int(rest[0])):
                print(json.dumps(sample), file=stdout, flush=True)
        else:
            print(json.dumps(memory(rest[0], precision, int(n))), file=stdout, flush=True)
