"""What each part of a training step must do at the least, and how fast this machine could do it."""

import time
from dataclasses import dataclass

import torch

from gptrilogy.models.patterns import mean_keys
from gptrilogy.scaling.compute import n_parameters
from gptrilogy.training.config import RunConfig

LARGE_BYTES = 1 << 28  # far more than any cache holds
MASTER_BYTES = 4  # of a weight, a gradient, a moment and an entry of the residual stream: fp32


@dataclass(frozen=True, slots=True)
class Work:
    """Floating-point operations of matrix products; for the other parts, bytes read and written."""

    flops: float = 0.0
    moved_bytes: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.flops + other.flops, self.moved_bytes + other.moved_bytes)

    def best_s(self, flops_per_s: float, bytes_per_s: float) -> float:
        """Seconds at the machine's two ceilings."""
        return self.flops / flops_per_s + self.moved_bytes / bytes_per_s


def work_by_part(config: RunConfig) -> dict[str, Work]:
    """The work of a whole step, forward and backward, of all layers together, by `profiling.part_of`'s names.

    A product of the forward pass costs two of its size in the backward pass, and the output layer too, wherever its
    gradient is formed. An element-wise part reads what it must and writes once: a layer norm 2 passes over its tensor
    forward and 3 back, GELU the same over one four times as wide, a residual sum 3 each way. AdamW reads and writes 7
    numbers a weight, clipping 3. Where the data is in the cache, a part can be faster than memory allows.
    """
    model, tokens = config.model, config.train.batch_size * config.model.n_ctx
    C, L, V = model.n_embd, model.n_layer, model.n_vocab
    work_bytes = 2 if config.train.precision == "bf16" else 4
    stream = MASTER_BYTES * tokens * C  # one pass over the residual stream
    keys = sum(mean_keys(pattern, model.n_ctx) for pattern in model.patterns())
    n = MASTER_BYTES * n_parameters(model)

    def matrix(columns: int) -> Work:
        return Work(flops=6.0 * tokens * L * C * columns)

    return {
        "data loading": Work(),
        "embedding": Work(moved_bytes=5 * stream + 3 * MASTER_BYTES * V * C),
        "ln_1": Work(moved_bytes=5 * L * stream),
        "attn.c_attn": matrix(3 * C),
        "attn": Work(flops=12.0 * tokens * keys * C),
        "attn.c_proj": matrix(C),
        "ln_2": Work(moved_bytes=5 * L * stream),
        "mlp.c_fc": matrix(4 * C),
        "mlp": Work(moved_bytes=5.0 * L * tokens * 4 * C * work_bytes),
        "mlp.c_proj": matrix(4 * C),
        "h": Work(moved_bytes=12 * L * stream),
        "ln_f": Work(moved_bytes=5 * stream),
        "loss": Work(flops=6.0 * tokens * C * V),
        "clipping": Work(moved_bytes=3 * n),
        "optimizer": Work(moved_bytes=7 * n),
    }


def memory_bandwidth(repeats: int = 5) -> float:
    """Bytes a second that a sum in place reads and writes: the ceiling of all that is no matrix product.

    The best of several, since a shared machine can only make it look slower than it is.
    """
    numbers = torch.ones(LARGE_BYTES // 4)
    best_s = float("inf")
    for _ in range(repeats + 1):
        started = time.perf_counter()
        numbers.add_(1.0)
        best_s = min(best_s, time.perf_counter() - started)
    return 2 * LARGE_BYTES / best_s
