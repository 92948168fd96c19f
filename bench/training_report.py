"""What training took, as claims, tables and raw numbers. Needs no torch."""

from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version

from bench.cases import ABSENT, DEFAULT, PLAIN, TRANSFORMERS, TRANSFORMERS_FUSED
from bench.claims import Findings, Row, at_least, at_most
from bench.measure import Measurement, precision_of
from bench.report import table

SPEED_AT_LEAST = {
    ("0.8M", PLAIN): (1.5, 2.2),
    ("10.7M", PLAIN): (1.5, 2.0),
    ("124M", TRANSFORMERS): (2.5, 3.2),
    ("124M", TRANSFORMERS_FUSED): (1.15, 1.5),
}
CEILING_AT_LEAST = {"10.7M": (0.5, 0.7)}
MEMORY_AT_MOST = {("124M", TRANSFORMERS_FUSED): (0.9, 0.6)}
HEADING = ("contender", "parameters", "first loss", "tokens/s", "of its ceiling", "peak GB")

METHOD = """\
Each contender trains in a process of its own; they take turns, one sample of {steps} each, and only one works at a
time. Figures are medians of n = {n} after warm-up. All begin from the same weights and batch, without dropout, with the
same AdamW and clipping at 1.0; a step is forward, backward, clipping, update and zeroing. Ours reads its batches
through its loader, the others have theirs ready. Threads and their waiting policy are PyTorch's defaults: one that
waits sleeps within milliseconds. Peak memory is that of the whole process, its libraries included. The ceiling is a
matrix product of 1,024 x 1,024 in the contender's precision, timed in the same rounds."""


def findings(found: Measurement) -> Findings:
    steps, n = found.case.sample_steps, len(found.results[DEFAULT].seconds)
    method = METHOD.format(steps="a step" if steps == 1 else f"{steps} steps", n=n)
    results = [
        asdict(result) | {"tokens_per_s": found.tokens_per_s(name), "share_of_ceiling": found.share_of_ceiling(name)}
        for name, result in found.results.items()
    ]
    numbers = {"case": found.case.model_dump(), "ceiling_flops": found.ceiling_flops, "contenders": results}
    return Findings([*rows(found)], f"{table(HEADING, [*_lines(found)])}\n\n{method}", numbers)


def rows(found: Measurement) -> Iterator[Row]:
    """Ours, in the precision it picks here, against each peer, against the machine, and in memory."""
    name, ours, precision = found.case.name, found.tokens_per_s(DEFAULT), precision_of(DEFAULT)
    for peer in (PLAIN, TRANSFORMERS, TRANSFORMERS_FUSED):
        theirs = None if peer in ABSENT else found.tokens_per_s(peer)
        ratio = None if theirs is None else ours / theirs
        figures = (f"{precision}: {ours:,.0f} tokens/s", _said(peer, theirs, ",.0f", "tokens/s"), _said_ratio(ratio))
        yield Row(f"train {name}", *figures, *at_least(ratio, *SPEED_AT_LEAST.get((name, peer), ())))
    share, ceiling = found.share_of_ceiling(DEFAULT), found.ceiling(precision)
    figures = (
        f"{share * ceiling / 1e9:.0f} GFLOP/s",
        f"{precision} matrix product: {ceiling / 1e9:.0f} GFLOP/s",
        f"{share:.0%}",
    )
    targets = at_least(share, *CEILING_AT_LEAST.get(name, ()), form=".0%")
    yield Row(f"train {name}, share of ceiling", *figures, *targets)
    ours_gb = found.results[DEFAULT].peak_bytes / 1e9
    for peer in (TRANSFORMERS, TRANSFORMERS_FUSED):
        theirs_gb = None if peer in ABSENT else found.results[peer].peak_bytes / 1e9
        ratio = None if theirs_gb is None else ours_gb / theirs_gb
        figures = (f"{precision}: {ours_gb:.2f} GB", _said(peer, theirs_gb, ".2f", "GB"), _said_ratio(ratio))
        yield Row(f"train {name}, peak memory", *figures, *at_most(ratio, *MEMORY_AT_MOST.get((name, peer), ())))


def _lines(found: Measurement) -> Iterator[tuple[str, ...]]:
    """Every contender's own figures."""
    for name, result in found.results.items():
        speed, share = found.tokens_per_s(name), found.share_of_ceiling(name)
        figures = (f"{result.parameters:,}", f"{result.first_loss_nats:.4f}", f"{speed:,.0f}", f"{share:.0%}")
        yield _title(name), *figures, f"{result.peak_bytes / 1e9:.2f}"


def _said(peer: str, value: float | None, form: str, unit: str) -> str:
    """A peer's figure, or why there is none."""
    return f"{_title(peer)}: " + (f"not measured, {ABSENT[peer]}" if value is None else f"{value:{form}} {unit}")


def _said_ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _title(contender: str) -> str:
    """A contender's name with its version."""
    titles = {
        PLAIN: "bench/plain.py fp32",
        TRANSFORMERS: f"transformers {version('transformers')} fp32",
        TRANSFORMERS_FUSED: f"transformers {version('transformers')} bf16 + fused AdamW",
    }
    return titles.get(contender, contender)
