"""`python -m bench.patterns`: models that differ in their attention pattern alone, trained for the same time.

Each run is `gpt pretrain` on the demo's messages. All begin from the same weights and see the same text in the same
order; a pattern that makes steps cheaper gets more of them into its time. Results go to stdout, progress to stderr.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cyclopts import App

from bench.record import Log, facts, write_record
from bench.report import table
from gptrilogy.config import parse
from gptrilogy.demo import find_speeches
from gptrilogy.models.config import GPTConfig
from gptrilogy.runs import read_metrics
from gptrilogy.scaling.compute import n_parameters

SIZES = {"n-layer": 4, "n-embd": 128, "n-head": 4, "n-ctx": 1024, "n-vocab": 2048}
TRAINING = {"batch-size": 2, "learning-rate": 4e-3}
PATTERNS = {
    "dense": {"attention": "dense"},
    "dense, banded": {"attention": "dense,banded", "band-width": 128},
    "strided": {"attention": "strided", "stride": 64},
    "fixed": {"attention": "fixed", "stride": 64, "summary-width": 8},
}
COLORS = {"dense": "#1f4e8c", "dense, banded": "#c8452f", "strided": "#3f8f5b", "fixed": "#8a5aa8"}

METHOD = """\
Each row is n = {n} runs of `gpt pretrain` with other seeds: other initial weights, another order of the text, another
twentieth of the messages held out. Runs of one seed share all three, so patterns are compared seed by seed. A run's
time holds everything: tokenizer, packing, timing, training, validation. The number of steps follows from a few timed
ones, and the schedule from it. Equal for all: {parameters:,} parameters; {sizes}; {training}."""

app = App(name="bench.patterns", help_format="plaintext", version_flags=[])


@dataclass(frozen=True, slots=True)
class Trained:
    """One run: what it did in its time."""

    pattern: str
    seed: int
    bits_per_byte: float
    tokens: int
    parameters: int
    seconds: float
    valid: list[tuple[float, float]]  # seconds since training began, bits a byte on the fixed part of the held-out text


@app.default
def bench(*, budget: str = "180s", seeds: int = 3, record: Path | None = None) -> None:
    """Train with each attention pattern for the same time, and compare bits a byte on held-out text.

    Args:
        budget: wall-clock time of each run.
        seeds: runs of each pattern.
        record: write README.md, results.json, log.txt and patterns.png into this folder.
    """
    log = Log()
    log.say_load()
    found: list[Trained] = []
    for seed in range(seeds):
        for pattern in PATTERNS:  # in turn, so that a slow hour of the machine falls on all
            run = train(pattern, seed, budget)
            log.say(
                f"seed {seed}, {pattern}: {run.bits_per_byte:.4f} bits a byte after {run.tokens / 1e6:.2f}M tokens, "
                f"{run.seconds:.0f} s"
            )
            found.append(run)
    print(page(found))
    if record:
        command = f"python -m bench.patterns --budget {budget} --seeds {seeds} --record DIR"
        title = "Attention patterns, trained for the same time"
        write_record(record, title, page(found), facts(command, seeds), numbers(found), log.lines)
        draw(found, record / "patterns.png")


def train(pattern: str, seed: int, budget: str) -> Trained:
    """Raises: CalledProcessError where training fails; what it said is on stderr."""
    flags = {f"--model.{name}": value for name, value in (SIZES | PATTERNS[pattern]).items()}
    flags |= {f"--train.{name}": value for name, value in TRAINING.items()}
    words = [str(word) for pair in flags.items() for word in pair]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run")
        command = ["pretrain", str(find_speeches()), "--out", str(out), "--budget", budget, "--seed", str(seed), *words]
        start = time.monotonic()
        subprocess.run([sys.executable, "-m", "gptrilogy", *command], check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - start
        rows = read_metrics(out / "metrics.jsonl")
        model = parse(GPTConfig, json.loads((out / "config.json").read_text(encoding="utf-8"))["model"])
    end = rows[-1]
    valid = [(row["elapsed_s"], row["bits_per_byte"]) for row in rows if row["event"] == "valid"]
    return Trained(pattern, seed, end["bits_per_byte"], end["tokens"], n_parameters(model), seconds, valid)


def tables(found: list[Trained]) -> str:
    """Every pattern's mean over seeds, and how it differs from dense attention under the same seeds."""
    dense = {run.seed: run.bits_per_byte for run in found if run.pattern == "dense"}
    lines: list[tuple[str, ...]] = []
    for pattern in PATTERNS:
        runs = [run for run in found if run.pattern == pattern]
        bits = [run.bits_per_byte for run in runs]
        apart = [run.bits_per_byte - dense[run.seed] for run in runs]
        tokens = statistics.mean(run.tokens for run in runs)
        lines.append(
            (
                pattern,
                f"{statistics.mean(bits):.4f}",
                ", ".join(f"{value:.4f}" for value in bits),
                f"{statistics.mean(apart):+.4f} ({min(apart):+.4f} to {max(apart):+.4f})",
                f"{tokens / 1e6:.2f}M",
            )
        )
    return table(("attention", "bits a byte", "each seed", "against dense, by seed", "tokens in the time"), lines)


def page(found: list[Trained]) -> str:
    """Everything a reader needs, in Markdown that also reads as it is."""
    n = len({run.seed for run in found})
    (parameters,) = {run.parameters for run in found}  # equal, or this is no comparison
    method = METHOD.format(n=n, parameters=parameters, sizes=_spelled(SIZES), training=_spelled(TRAINING))
    shapes = "\n".join(f"- {pattern}: {_spelled(flags)}" for pattern, flags in PATTERNS.items())
    return f"![Held-out bits a byte](patterns.png)\n\n{tables(found)}\n\n{method}\n\n{shapes}"


def numbers(found: list[Trained]) -> dict[str, Any]:
    return {"sizes": SIZES, "training": TRAINING, "patterns": PATTERNS, "runs": [asdict(run) for run in found]}


def draw(found: list[Trained], picture: Path) -> None:
    """Left, held-out loss over time, a line a run; right, each run's end."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    curves, ends = figure.subplots(1, 2, width_ratios=(2, 1))
    for run in found:
        label = run.pattern if run.seed == 0 else None
        curves.plot(*zip(*run.valid, strict=True), color=COLORS[run.pattern], linewidth=1.1, alpha=0.8, label=label)
    for place, pattern in enumerate(PATTERNS):
        bits = [run.bits_per_byte for run in found if run.pattern == pattern]
        ends.plot([place] * len(bits), bits, "o", color=COLORS[pattern], markersize=5, alpha=0.8)
        ends.hlines(statistics.mean(bits), place - 0.25, place + 0.25, color=COLORS[pattern])
    curves.set_xlabel("seconds of training")
    curves.set_ylabel("bits per byte, held-out text")
    curves.set_ylim(top=sorted(bits for run in found for _, bits in run.valid)[-len(found)])  # the first steep moments
    curves.legend(frameon=False)
    ends.set_xticks(range(len(PATTERNS)), [pattern.replace(", ", ",\n") for pattern in PATTERNS])
    ends.set_xlim(-0.5, len(PATTERNS) - 0.5)
    ends.set_title("at the end, each seed and the mean", loc="left", fontsize=10)
    curves.set_title("the same wall-clock time, context 1,024", loc="left", fontsize=10)
    for axes in (curves, ends):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture)


def _spelled(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('-', '_')} {value}" for name, value in fields.items())


if __name__ == "__main__":
    app()
