"""`python -m bench.patterns`: models that differ in their attention pattern alone, trained for the same time.

The steps of all patterns are first timed side by side, in turn; each then trains for as many as fit into the same time
at its speed, with `gpt pretrain` on the demo's messages. So a busy moment of the machine favours no pattern. All begin
from the same weights and see the same text in the same order. Results go to stdout, progress to stderr.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cyclopts import App

from bench.record import Log, facts, write_record
from bench.report import table
from gptrilogy.config import parse
from gptrilogy.corpus.sotu import find_speeches
from gptrilogy.metrics import read_metrics
from gptrilogy.models.config import GPTConfig
from gptrilogy.scaling.compute import n_parameters
from gptrilogy.training.config import RunConfig

SIZES = {"n-layer": 4, "n-embd": 128, "n-head": 4, "n-ctx": 1024, "n-vocab": 2048}
TRAINING = {"batch-size": 2, "learning-rate": 4e-3, "valid-windows": 16, "final-valid-windows": 160}
ROUNDS = 7  # of timing
PATTERNS = {
    "dense": {"attention": "dense"},
    "dense, banded": {"attention": "dense,banded", "band-width": 128},
    "strided": {"attention": "strided", "stride": 64},
    "fixed": {"attention": "fixed", "stride": 64, "summary-width": 8},
}
COLORS = {"dense": "#1f4e8c", "dense, banded": "#c8452f", "strided": "#3f8f5b", "fixed": "#8a5aa8"}

METHOD = """\
Each row is n = {n} runs of `gpt pretrain` with other seeds: other initial weights, another order of the text, another
twentieth of the messages held out. Runs of one seed share all three, so patterns are compared seed by seed. Steps were
timed beforehand, all patterns in turn (medians of {rounds} rounds of 5 steps after 2 of warm-up), and each pattern
trains for as many steps as fit into {budget_s:g} s at its speed: the time of forward, backward and update alone.
Equal for all: {parameters:,} parameters; {sizes}; {training}."""

app = App(name="bench.patterns", help_format="plaintext", version_flags=[])


@dataclass(frozen=True, slots=True)
class Trained:
    """One run: what came of its steps."""

    pattern: str
    seed: int
    bits_per_byte: float
    steps: int
    tokens: int
    parameters: int
    valid: list[tuple[int, float]]  # tokens, and bits a byte on the fixed part of the held-out text


@dataclass(slots=True)
class Found:
    """The seconds of a step, each round's, and the runs."""

    budget_s: float
    step_s: dict[str, list[float]]
    runs: list[Trained]

    def steps(self, pattern: str) -> int:
        return int(self.budget_s / statistics.median(self.step_s[pattern]))


@app.default
def bench(*, budget_s: float = 60, seeds: int = 3, record: Path | None = None) -> None:
    """Train with each attention pattern for the same time, and compare bits a byte on held-out text.

    Args:
        budget_s: seconds of training steps in each run.
        seeds: runs of each pattern.
        record: write README.md, results.json, log.txt and patterns.png into this folder.
    """
    log = Log()
    log.say_load()
    with tempfile.TemporaryDirectory() as folder:
        found = Found(budget_s, time_patterns(Path(folder, "timed")), [])
    for pattern, seconds in found.step_s.items():
        log.say(f"{pattern}: {statistics.median(seconds) * 1e3:.1f} ms a step, so {found.steps(pattern)} steps")
    for seed in range(seeds):
        for pattern in PATTERNS:
            run = train(pattern, seed, found.steps(pattern))
            log.say(f"seed {seed}, {pattern}: {run.bits_per_byte:.4f} bits a byte after {run.tokens / 1e6:.2f}M tokens")
            found.runs.append(run)
    print(page(found))
    if record:
        command = f"python -m bench.patterns --budget-s {budget_s:g} --seeds {seeds} --record DIR"
        title = "Attention patterns, trained for the same time"
        write_record(record, title, page(found), facts(command, seeds), numbers(found), log.lines)
        draw(found, record / "patterns.png")


def time_patterns(out: Path) -> dict[str, list[float]]:
    """Seconds of a training step of each pattern, round by round, on real text."""
    from gptrilogy.data.shards import open_shards
    from gptrilogy.runs import Run
    from gptrilogy.tokenizers import load_tokenizer
    from gptrilogy.training.timing import time_steps

    pretrain("dense", 0, 1, out)
    run = Run(out)
    data = open_shards(run.data_folder, fingerprint=load_tokenizer(run.tokenizer_folder).fingerprint)
    config = parse(RunConfig, run.config())
    found: dict[str, list[float]] = {pattern: [] for pattern in PATTERNS}
    for _ in range(ROUNDS):
        for pattern, fields in PATTERNS.items():
            changed = config.replace(model={name.replace("-", "_"): value for name, value in fields.items()})
            found[pattern].append(time_steps(changed, data).step_s)
    return found


def train(pattern: str, seed: int, steps: int) -> Trained:
    """Raises: CalledProcessError where training fails; what it said is on stderr."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run")
        pretrain(pattern, seed, steps, out)
        rows = read_metrics(out / "metrics.jsonl")
        model = parse(GPTConfig, json.loads((out / "config.json").read_text(encoding="utf-8"))["model"])
    end = rows[-1]
    valid = [(row["tokens"], row["bits_per_byte"]) for row in rows if row["event"] == "valid"]
    return Trained(pattern, seed, end["bits_per_byte"], end["step"], end["tokens"], n_parameters(model), valid)


def pretrain(pattern: str, seed: int, steps: int, out: Path) -> None:
    flags = {f"--model.{name}": value for name, value in (SIZES | PATTERNS[pattern]).items()}
    flags |= {f"--train.{name}": value for name, value in TRAINING.items()}
    words = [str(word) for pair in flags.items() for word in pair]
    command = ["pretrain", str(find_speeches()), "--out", str(out), "--max-steps", str(steps), "--seed", str(seed)]
    subprocess.run([sys.executable, "-m", "gptrilogy", *command, *words], check=True, stdout=subprocess.DEVNULL)


def tables(found: Found) -> str:
    """Every pattern's mean over seeds, and how it differs from dense attention under the same seeds."""
    dense = {run.seed: run.bits_per_byte for run in found.runs if run.pattern == "dense"}
    lines: list[tuple[str, ...]] = []
    for pattern in PATTERNS:
        runs = [run for run in found.runs if run.pattern == pattern]
        bits = [run.bits_per_byte for run in runs]
        apart = [run.bits_per_byte - dense[run.seed] for run in runs]
        lines.append(
            (
                pattern,
                f"{statistics.mean(bits):.4f}",
                ", ".join(f"{value:.4f}" for value in bits),
                f"{statistics.mean(apart):+.4f} ({min(apart):+.4f} to {max(apart):+.4f})",
                f"{statistics.median(found.step_s[pattern]) * 1e3:.0f}",
                f"{runs[0].tokens / 1e6:.2f}M",
            )
        )
    return table(("attention", "bits a byte", "each seed", "against dense, by seed", "ms a step", "tokens"), lines)


def page(found: Found) -> str:
    """Everything a reader needs, in Markdown that also reads as it is."""
    (parameters,) = {run.parameters for run in found.runs}  # equal, or this is no comparison
    method = METHOD.format(
        n=len({run.seed for run in found.runs}),
        rounds=ROUNDS,
        budget_s=found.budget_s,
        parameters=parameters,
        sizes=_spelled(SIZES),
        training=_spelled(TRAINING),
    )
    shapes = "\n".join(f"- {pattern}: {_spelled(flags)}" for pattern, flags in PATTERNS.items())
    return f"![Held-out bits a byte](patterns.png)\n\n{tables(found)}\n\n{method}\n\n{shapes}"


def numbers(found: Found) -> dict[str, Any]:
    return {"sizes": SIZES, "training": TRAINING, "patterns": PATTERNS, **asdict(found)}


def draw(found: Found, picture: Path) -> None:
    """Left, held-out loss over the seconds of training steps, a line a run; right, each run's end."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    curves, ends = figure.subplots(1, 2, width_ratios=(2, 1))
    for run in found.runs:
        label = run.pattern if run.seed == 0 else None
        seconds = [found.budget_s * tokens / run.tokens for tokens, _ in run.valid]
        curves.plot(
            seconds, [bits for _, bits in run.valid], color=COLORS[run.pattern], linewidth=1.1, alpha=0.8, label=label
        )
    for place, pattern in enumerate(PATTERNS):
        bits = [run.bits_per_byte for run in found.runs if run.pattern == pattern]
        ends.plot([place] * len(bits), bits, "o", color=COLORS[pattern], markersize=5, alpha=0.8)
        ends.hlines(statistics.mean(bits), place - 0.25, place + 0.25, color=COLORS[pattern])
    curves.set_xlabel("seconds of training steps")
    curves.set_ylabel("bits per byte, held-out text")
    curves.set_ylim(top=max(run.valid[1][1] for run in found.runs))  # the first steep moments
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
