"""What the kernels of attention took, as claims, tables, slopes and a picture. Needs no torch."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.attention_cases import BANDED, BLOCKS, DENSE, FIXED, KERNELS, MASKED, PRECISIONS, STRIDED, Precision, pattern
from bench.claims import Row, Target, at_least, claims_table, verdict
from bench.pictures import Panel
from bench.report import table

CLAIMED_N = 8192
TIMES_FASTER, TIMES_SMALLER = 8.0, 4.0
FASTER_TARGET = f">= {TIMES_FASTER:g} (goal 16)"
SLOPE_FROM = 2048
EXPECTED_SLOPE = {DENSE: 2.0, BLOCKS: 2.0, BANDED: 1.0, STRIDED: 1.5, FIXED: 1.5, MASKED: 2.0}

METHOD = """\
Forward and backward of attention alone, one text, 12 heads of 64 as in GPT-3 Small, inputs strided as a layer's
projections leave them. Bands are 256 keys wide; strides are the power of two nearest sqrt(n), at least 16; fixed
layers read 8 keys of each block (an eighth of a stride below 64), in as many sub-blocks as fit, at most 12. "{dense}"
is the path our models take without a sparse layer, "{blocks}" the one they take with dropout, and in bf16 at short
contexts or on CPUs without AMX. "{masked}" is PyTorch's scaled_dot_product_attention with a boolean
mask of the same band, made outside the timing and not counted in its memory.

Time: kernels take turns in one process for each length and precision, after a call each of warm-up. A sample is the
mean of as many calls as fill 0.1 s; figures are medians of n = {n} samples, or of fewer where the table says so, which
is where a call takes over 4 s. Threads are PyTorch's defaults.

Memory: the peak of one call, forward and backward, over what was resident before it, in a process of its own for each
figure (n = 1). What was resident before are the inputs and the libraries, which a small call has loaded; output,
gradients and all that is kept between the passes are counted. Here glibc gives freed tensors back at once
(MALLOC_MMAP_THRESHOLD_ = 131072), so that a figure is what the computation needs. By default it keeps freed pieces of
up to 32 MB: peaks are then larger, by up to 42% in trials, and differ as much from run to run.

Slopes: least squares of log(figure) over log(n), for n >= {from_n:,}."""


@dataclass(slots=True)
class Result:
    """One kernel at one precision and length. `seconds` holds one number a sample, the mean of its calls; the peak is
    what came on top of what was resident before.
    """

    kernel: str
    precision: Precision
    n: int
    ran_as: str = ""
    seconds: list[float] = field(default_factory=list[float])
    calls: list[int] = field(default_factory=list[int])
    before_bytes: int = 0
    peak_bytes: int = 0

    @property
    def median_ms(self) -> float:
        return statistics.median(self.seconds) * 1e3

    @property
    def mb(self) -> float:
        return self.peak_bytes / 1e6


@dataclass(slots=True)
class Found:
    """All results of one call, and why others are missing."""

    repeats: int
    results: list[Result] = field(default_factory=list[Result])
    left_out: list[str] = field(default_factory=list[str])

    def of(self, precision: Precision, kernel: str) -> list[Result]:
        return [result for result in self.results if (result.precision, result.kernel) == (precision, kernel)]

    def kernels(self) -> list[str]:
        return [kernel for kernel in KERNELS if any(result.kernel == kernel for result in self.results)]

    def precisions(self) -> list[Precision]:
        return [precision for precision in PRECISIONS if any(result.precision == precision for result in self.results)]

    def page(self) -> str:
        """Everything a reader needs, in Markdown that also reads as it is."""
        claims = list(claim_rows(self))
        lines = [f"{verdict(claims)}.", claims_table(claims)] if claims else []
        for precision in self.precisions():
            lines += [_figures(self, precision, "ms"), _figures(self, precision, "MB")]
        lines += [_slopes(self), *_ways(self), *(f"Left out: {reason}." for reason in self.left_out)]
        method = METHOD.format(masked=MASKED, dense=DENSE, blocks=BLOCKS, n=self.repeats, from_n=SLOPE_FROM)
        return "\n\n".join([*lines, method])

    def numbers(self) -> dict[str, Any]:
        """Every raw sample, and what was made of them."""
        return {
            "results": [
                asdict(result) | {"median_ms": result.median_ms, "pattern": str(pattern(result.kernel, result.n))}
                for result in self.results
            ],
            "slopes": [
                {"kernel": kernel, "precision": precision, "time": time, "memory": memory}
                for precision, kernel, time, memory in _all_slopes(self)
            ],
            "left_out": self.left_out,
            "rows": [asdict(row) for row in claim_rows(self)],
        }

    def panels(self) -> list[list[Panel]]:
        """Time above memory, a column for each precision."""
        return [[_panel(self, precision, unit) for precision in self.precisions()] for unit in ("ms", "MB")]


def claim_rows(found: Found) -> Iterator[Row]:
    """The band against both dense kernels, in time and in memory, where all three were measured."""
    for precision in found.precisions():
        at = {
            result.kernel: result for result in found.results if (result.precision, result.n) == (precision, CLAIMED_N)
        }
        if BANDED not in at:
            continue
        for peer in (at[kernel] for kernel in (DENSE, BLOCKS) if kernel in at):
            ours, name = at[BANDED], peer.kernel if peer.kernel == BLOCKS else f"{DENSE} ({kind(peer)})"
            faster, smaller = peer.median_ms / ours.median_ms, peer.mb / ours.mb
            what = f"banded, n = {CLAIMED_N:,}, {precision}"
            times = (f"{ours.median_ms:,.0f} ms", f"{name}: {peer.median_ms:,.0f} ms", f"{faster:.1f}")
            yield Row(f"{what}, times faster", *times, Target(FASTER_TARGET, faster >= TIMES_FASTER))
            sizes = (f"{ours.mb:,.0f} MB", f"{name}: {peer.mb:,.0f} MB", f"{smaller:.1f}")
            yield Row(f"{what}, times less memory", *sizes, *at_least(smaller, TIMES_SMALLER, form="g"))


def kind(result: Result) -> str:
    """Which of the ways to compute it a kernel took, by the node of autograd that its output came from.

    >>> kind(Result(DENSE, "fp32", 512, "ScaledDotProductFlashAttentionForCpuBackward0"))
    'flash kernel'
    """
    if "Flash" in result.ran_as:
        return "flash kernel"
    return "blocks" if "RunAttention" in result.ran_as else result.ran_as


def slope(points: Sequence[tuple[int, float]]) -> float | None:
    """The power of n that figures grow by, where there are enough of them.

    >>> slope([(1024, 9.0), (2048, 2.0), (4096, 8.0), (8192, 32.0)])
    2.0
    """
    long = [(math.log2(n), math.log2(figure)) for n, figure in points if n >= SLOPE_FROM and figure > 0]
    if len(long) < 2:
        return None
    return statistics.linear_regression(*zip(*long, strict=True)).slope


def _ways(found: Found) -> Iterator[str]:
    """What the kernels that choose for themselves have chosen."""
    for kernel in (DENSE, MASKED):
        for precision in found.precisions():
            lengths: dict[str, list[str]] = {}
            for result in found.of(precision, kernel):
                lengths.setdefault(kind(result), []).append(f"{result.n:,}")
            ways = "; ".join(f"the {way} at n = {', '.join(where)}" for way, where in lengths.items())
            if ways:
                yield f"{kernel} in {precision} ran by {ways}."


def _points(results: Sequence[Result], unit: str) -> list[tuple[int, float]]:
    return [(result.n, result.median_ms if unit == "ms" else result.mb) for result in results]


def _all_slopes(found: Found) -> Iterator[tuple[Precision, str, float | None, float | None]]:
    for precision in found.precisions():
        for kernel in found.kernels():
            results = found.of(precision, kernel)
            yield precision, kernel, slope(_points(results, "ms")), slope(_points(results, "MB"))


def _slopes(found: Found) -> str:
    heading = ("grows as n to the", "precision", "time", "expected", "memory")
    lines = [
        (kernel, precision, _shown(time), f"{EXPECTED_SLOPE[kernel]:g}", _shown(memory))
        for precision, kernel, time, memory in _all_slopes(found)
    ]
    return table(heading, lines)


def _figures(found: Found, precision: Precision, unit: str) -> str:
    """A line for each kernel, a column for each length."""
    lengths = sorted({result.n for result in found.results})
    lines: list[list[str]] = []
    for kernel in found.kernels():
        cells = {result.n: _cell(found, result, unit) for result in found.of(precision, kernel)}
        lines.append([kernel, *(cells.get(n, "") for n in lengths)])
    return table([f"{unit}, {precision}", *(f"n = {n:,}" for n in lengths)], lines)


def _cell(found: Found, result: Result, unit: str) -> str:
    if unit == "MB":
        return f"{result.mb:,.1f}"
    few = f" (n = {len(result.seconds)})" if len(result.seconds) != found.repeats else ""
    return f"{result.median_ms:,.1f}{few}"


def _panel(found: Found, precision: Precision, unit: str) -> Panel:
    curves: dict[str, list[tuple[int, float]]] = {}
    for kernel in found.kernels():
        points = _points(found.of(precision, kernel), unit)
        curves[f"{kernel}: {_shown(slope(points))}"] = points
    what = "time" if unit == "ms" else "memory"
    return Panel(f"{what} of forward and backward, {precision}; slope in the legend", unit, curves)


def _shown(power: float | None) -> str:
    return "-" if power is None else f"{power:.2f}"
