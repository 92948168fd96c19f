"""What this machine can do: where to run, at which precision, on how many threads, and its matrix-product ceiling."""

import hashlib
import os
import platform
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gptrilogy import __version__
from gptrilogy.errors import ConfigError
from gptrilogy.files import sha256_file

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16"]
DECIDING_CODE = ("data", "finetuning", "models", "native", "training")  # packages
NO_BF16 = "this CPU has no native bf16 products"
TIMING_S = 2.0
BF16_MIN_WIDTH = 128  # below this the casts of autocast cost more than the faster products save


def pick_device(name: str = "auto") -> "torch.device":
    """The device a name stands for; `auto` is the first GPU, else the CPU.

    Raises: ConfigError for a name torch does not know, or a device this machine does not have.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        count = torch.get_device_module(device).device_count()
    except RuntimeError:
        raise ConfigError(f"unknown device {name}: give auto, cpu, cuda, or one GPU of several as cuda:1") from None
    if (device.index or 0) >= count:
        raise ConfigError(f"torch finds {count} devices of type {device.type} here, got {name}; give auto or cpu")
    return device


def pick_precision(device: "torch.device", n_embd: int) -> tuple[Precision, str]:
    """The precision this device multiplies best, and the reason in a few words.

    It depends on the hardware and the model's width alone, never on a timing, so that a run can be repeated.
    """
    import torch

    if device.type == "cuda":
        good = torch.cuda.is_bf16_supported()
        return ("bf16", "this GPU multiplies bf16 natively") if good else ("fp32", "this GPU has no native bf16")
    unit = bf16_unit()
    if unit is None:
        return "fp32", NO_BF16
    if n_embd < BF16_MIN_WIDTH:
        return "fp32", f"at width {n_embd} the casts to bf16 would cost more than they save"
    return "bf16", f"this CPU multiplies bf16 natively ({unit})"


def why_slow(precision: str, device: "torch.device") -> str | None:
    """What speaks against a precision that was asked for on this device, in a line, or None."""
    if precision == "bf16" and device.type == "cpu" and bf16_unit() is None:
        return f"{NO_BF16}: a step in bf16 takes many times as long as with --train.precision fp32"
    return None


@cache
def bf16_unit() -> str | None:
    """The instruction set with which this CPU multiplies bf16, or None."""
    flags = cpu_flags()
    names = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512", "bf16": "Arm"}
    return next((names[flag] for flag in names if flag in flags), None)


def matmul_flops(precision: Precision, device: "torch.device", *, size: int = 1024, repeats: int = 20) -> float:
    """FLOP/s of a square matrix product: the ceiling against which a training step is judged.

    The best of many repeats, since a shared machine can only make it look slower than it is; of fewer where they take
    more than two seconds together, as in bf16 on a CPU that has no products for it.
    """
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a = torch.ones(size, size, dtype=dtype, device=device)
    best_s, left_s = float("inf"), TIMING_S
    for _ in range(repeats + 1):
        start = time.perf_counter()
        product = a @ a
        float(product[0, 0])  # waits for a GPU to finish
        seconds = time.perf_counter() - start
        best_s, left_s = min(best_s, seconds), left_s - seconds
        if left_s < 0:
            break
    return 2 * size**3 / best_s


def describe() -> dict[str, Any]:
    """The facts on which the bits of a result depend; stored with every run and compared on resume."""
    import torch

    return {
        "gptrilogy": __version__,
        "code": code_sha256(),
        "cpu": cpu_model(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


@cache
def code_sha256() -> str:
    """One hash of all our files that decide the numbers of a training run."""
    digest, root = hashlib.sha256(), Path(__file__).parent
    for part in DECIDING_CODE:
        for path in sorted(path for path in (root / part).iterdir() if path.suffix in (".py", ".cpp", ".h")):
            digest.update(f"{part}/{path.name} {sha256_file(path)}\n".encode())
    return digest.hexdigest()


@cache
def cpu_model() -> str:
    """The processor's name and its vector extensions: two machines with the same line give the same bits."""
    fields = _cpuinfo()
    name = fields.get("model name") or platform.processor() or platform.machine()
    stepping = "/".join(fields.get(key, "?") for key in ("cpu family", "model", "stepping"))
    return f"{name} ({stepping})" if fields else name


def memory_bytes() -> int:
    """Physical memory of this machine, or what its container allows."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return total
    return min(total, limit)


def cpu_flags() -> frozenset[str]:
    """What this CPU can do, in the system's words; of machines with equal processors some hide a part of it."""
    fields = _cpuinfo()
    return frozenset((fields.get("flags") or fields.get("Features") or "").split())


@cache
def _cpuinfo() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    first_core = text.split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first_core.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
