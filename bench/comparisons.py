"""Measurements held against targets: one row for each claim, both figures and their ratio in it. Needs no torch."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from bench.cases import OURS, PLAIN, TRANSFORMERS, TRANSFORMERS_FUSED
from bench.measure import Measurement
from bench.startup import StartUp

SPEED_AT_LEAST = {
    ("0.8M", PLAIN): 1.5,
    ("10.7M", PLAIN): 1.5,
    ("124M", TRANSFORMERS): 2.5,
    ("124M", TRANSFORMERS_FUSED): 1.15,
}
CEILING_AT_LEAST = {"10.7M": 0.5}
MEMORY_AT_MOST = {"124M": 0.9}
IMPORT_BELOW_S, HELP_BELOW_S = 0.2, 0.8


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `met` is None where nothing was promised."""

    what: str
    ours: str
    peer: str
    ratio: str
    target: str = ""
    met: bool | None = None


def training_rows(found: Measurement) -> Iterator[Row]:
    """Ours in bf16 against each peer, against the machine, and in memory."""
    name, ours = found.case.name, found.tokens_per_s(OURS)
    for peer in (PLAIN, TRANSFORMERS, TRANSFORMERS_FUSED):
        theirs = found.tokens_per_s(peer)
        ratio, target = ours / theirs, SPEED_AT_LEAST.get((name, peer))
        figures = (f"{ours:,.0f} tokens/s", f"{_title(peer)}: {theirs:,.0f} tokens/s", f"{ratio:.2f}")
        yield Row(f"train {name}", *figures, *_at_least(ratio, target, ".2f"))
    share, ceiling = found.share_of_ceiling(OURS), found.ceiling("bf16")
    figures = (
        f"{share * ceiling / 1e9:.0f} GFLOP/s",
        f"bf16 matrix product: {ceiling / 1e9:.0f} GFLOP/s",
        f"{share:.0%}",
    )
    yield Row(f"train {name}, share of ceiling", *figures, *_at_least(share, CEILING_AT_LEAST.get(name), ".0%"))
    ours_gb, theirs_gb = (found.results[who].peak_bytes / 1e9 for who in (OURS, TRANSFORMERS_FUSED))
    ratio, most = ours_gb / theirs_gb, MEMORY_AT_MOST.get(name)
    figures = (f"{ours_gb:.2f} GB", f"{_title(TRANSFORMERS_FUSED)}: {theirs_gb:.2f} GB", f"{ratio:.2f}")
    promise = ("", None) if most is None else (f"<= {most:.2f}", ratio <= most)
    yield Row(f"train {name}, peak memory", *figures, *promise)


def start_up_rows(found: StartUp) -> Iterator[Row]:
    """The two times, and that neither command loads torch."""
    beyond_s, help_s = found.import_beyond_bare_s, statistics.median(found.help_s)
    times = (f"{statistics.median(found.import_s):.3f} s", f"bare Python: {statistics.median(found.bare_s):.3f} s")
    promise = (f"< {IMPORT_BELOW_S} s more", beyond_s < IMPORT_BELOW_S)
    yield Row("import gptrilogy", *times, f"{beyond_s:+.3f} s", *promise)
    yield Row("gpt --help", f"{help_s:.3f} s", "", "", f"< {HELP_BELOW_S} s", help_s < HELP_BELOW_S)
    yield Row("torch loaded by either", "yes" if found.torch_loaded else "no", "", "", "no", not found.torch_loaded)


def contender_lines(found: Measurement) -> Iterator[tuple[str, ...]]:
    """Every contender's own figures, for the second table."""
    for name, result in found.results.items():
        speed, share = found.tokens_per_s(name), found.share_of_ceiling(name)
        figures = (f"{result.parameters:,}", f"{result.first_loss_nats:.4f}", f"{speed:,.0f}", f"{share:.0%}")
        yield found.case.name, _title(name), *figures, f"{result.peak_bytes / 1e9:.2f}"


def _title(contender: str) -> str:
    """A contender's name with its version."""
    titles = {
        PLAIN: "bench/plain.py fp32",
        TRANSFORMERS: f"transformers {version('transformers')} fp32",
        TRANSFORMERS_FUSED: f"transformers {version('transformers')} bf16 + fused AdamW",
    }
    return titles.get(contender, contender)


def _at_least(value: float, target: float | None, form: str) -> tuple[str, bool | None]:
    return ("", None) if target is None else (f">= {target:{form}}", value >= target)
