"""Attention as it is measured: by which kernels, over which keys, at which lengths. Needs no torch."""

import math
from typing import Literal

from gptrilogy.models.patterns import Banded, Dense, Fixed, Pattern, Strided

DENSE, BLOCKS = "dense", "dense in blocks"
BANDED, STRIDED, FIXED = "banded", "strided", "fixed"
MASKED = "SDPA with a band mask"
KERNELS = (DENSE, BLOCKS, BANDED, STRIDED, FIXED, MASKED)

Precision = Literal["fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
ITEM_BYTES = {"fp32": 4, "bf16": 2}

N_HEAD, D_HEAD = 12, 64  # GPT-3 Small, GPT3 Table 2.1
BAND = 256
SHORTEST = 2 * BAND
LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)
MASKED_LENGTH = 8192  # beyond it the peer's mask alone is a gigabyte in fp32
MARGIN_BYTES = 2 << 30  # the process itself, its inputs, and the blocks at work


def stride(n: int) -> int:
    """The power of two nearest to sqrt(n), where strided and fixed layers work least; at least 16.

    >>> [stride(n) for n in LENGTHS]
    [16, 32, 32, 64, 64, 128]
    """
    below = 1 << int(math.log2(math.sqrt(n)))
    return max(16, below if math.sqrt(n) - below <= 2 * below - math.sqrt(n) else 2 * below)


def pattern(kernel: str, n: int) -> Pattern:
    """What a kernel's queries see in a text of n tokens.

    >>> pattern(FIXED, 512), pattern(FIXED, 16384)
    (Fixed(stride=16, summary=2, sub_blocks=8), Fixed(stride=128, summary=8, sub_blocks=12))
    """
    if kernel in (DENSE, BLOCKS):
        return Dense()
    if kernel in (BANDED, MASKED):
        return Banded(BAND)
    width = stride(n)
    if kernel == STRIDED:
        return Strided(width)
    assert kernel == FIXED, f"no kernel {kernel}"
    summary = 8 if width >= 64 else width // 8
    return Fixed(width, summary, min(N_HEAD, width // summary))


def why_not(kernel: str, precision: Precision, n: int, available_bytes: int) -> str | None:
    """Why a kernel is not measured at a length, if so.

    The probabilities that blocks keep are the one thing that outgrows a machine. In bf16 the dense path counts as
    blocks, which it is on some CPUs.

    >>> why_not(BLOCKS, "fp32", 16384, 4 << 30)
    'it needs about 8.6 GB, and 4.3 are free'
    """
    if kernel == MASKED and n > MASKED_LENGTH:
        return f"measured up to n = {MASKED_LENGTH:,}"
    in_blocks = kernel == BLOCKS or (kernel == DENSE and precision == "bf16")
    need = MARGIN_BYTES + (N_HEAD * n * n // 2 * ITEM_BYTES[precision] if in_blocks else 0)
    if need > available_bytes:
        return f"it needs about {need / 1e9:.1f} GB, and {available_bytes / 1e9:.1f} are free"
    return None
