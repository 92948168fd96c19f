"""`python -m bench.shakespeare`: what two minutes make of one megabyte, beside a plain GPT over characters.

The table goes to stdout, progress to stderr. This process loads no torch.
"""

import json
import math
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.claims import Findings, Row, Target, at_most
from bench.measure import ROOT, Say
from bench.record import Log, facts, write_record
from bench.report import table
from gptrilogy.config import parse
from gptrilogy.files import read_sealed
from gptrilogy.scaling.compute import n_parameters
from gptrilogy.training.config import RunConfig

BUDGET_S = 110  # for the command; on a machine that slows down by a tenth its end must still stay below the limit
LIMIT_S = 127
TRAIN_SHARE = 0.9
LOSS_AT_MOST = (1.75, 1.60)
OURS, PEER = "ours", "plain GPT, 0.8M, characters, fp32"
METHOD = """\
`gpt pretrain train.txt --valid valid.txt --budget {budget}s` on the first 90% of the text, as a user runs it; the loss
is that of every character of the last 10%, in nats. The figure is the median of the seeds, and targets are held against
the worst of them. The plain GPT is `bench/plain.py` over characters, trained as long."""
AtLeastOne = Annotated[int, Parameter(validator=Number(gte=1))]

app = App(name="bench.shakespeare", help_format="plaintext", version_flags=[])


@dataclass(frozen=True, slots=True)
class Trained:
    """One run: its loss over all held-out characters, its wall-clock from process start to exit, and what it was."""

    who: str
    seed: int
    nats_per_character: float
    wall_s: float
    what: str


@app.default
def shakespeare(
    *, text: Path, seeds: AtLeastOne = 3, peers: AtLeastOne = 1, before: str = "", record: Path | None = None
) -> None:
    """Train on the first 90% of a text with `gpt pretrain --budget 110s`, and a plain GPT as long, in turn.

    Args:
        text: ASCII, such as tiny shakespeare's input.txt; its last 10% are held out.
        seeds: runs of ours, with the seeds 0, 1 and so on.
        peers: the first of these seeds, with which the plain GPT is trained too.
        before: what to put before each command, such as "nice -n -10"; the seconds it takes itself are not counted.
        record: write README.md, results.json and log.txt into this folder.
    """
    log = Log()
    log.say_load()
    found = findings(measure(text, seeds, peers, log.say, shlex.split(before)))
    print(found.page())
    if record:
        known = facts(
            f"python -m bench.shakespeare --text input.txt --seeds {seeds} --peers {peers} --record DIR", seeds
        )
        write_record(record, "Two minutes on one megabyte", found.page(), known, found.results(), log.lines)


def measure(text: Path, seeds: int, peers: int, say: Say, launcher: Sequence[str] = ()) -> list[Trained]:
    """Runs of ours with the seeds 0, 1 and so on, and of the peer with the first of them.

    Raises: RuntimeError where a run ends in error, or judges less than all of the held-out text.
    """
    runs: list[Trained] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        train, valid = halves(text, folder)

        def tell(line: str) -> None:
            say(line.replace(name, "FOLDER"))

        for seed in range(seeds):
            runs.append(ours(folder, train, valid, seed, launcher, tell))
            if seed < peers:
                runs.append(peer(train, valid, seed, launcher, tell))
    return runs


def halves(text: Path, folder: Path) -> tuple[Path, Path]:
    """The two files that the split writes; -> their paths.

    Raises: UnicodeDecodeError where a byte is not a character.
    """
    whole = text.read_bytes()
    whole.decode("ascii")
    at = int(TRAIN_SHARE * len(whole))
    train, valid = folder / "train.txt", folder / "valid.txt"
    train.write_bytes(whole[:at])
    valid.write_bytes(whole[at:])
    return train, valid


def ours(folder: Path, train: Path, valid: Path, seed: int, launcher: Sequence[str], say: Say) -> Trained:
    """The command of the README, as a user runs it."""
    run = folder / f"run-{seed}"
    asked = [str(train), "--valid", str(valid), "--out", str(run), "--budget", f"{BUDGET_S}s", "--seed", str(seed)]
    row, wall_s = timed([sys.executable, "-m", "gptrilogy", "pretrain", *asked, "--json"], launcher, say)
    config = parse(RunConfig, read_sealed(run / "config.json"))
    if config.train.final_valid_windows is not None:
        raise RuntimeError(f"only {config.train.final_valid_windows} windows of the held-out text were judged, not all")
    model = config.model
    what = (
        f"{n_parameters(model) / 1e6:.2f}M: {model.n_layer} layers of {model.n_embd}, context {model.n_ctx}, "
        f"{model.n_vocab:,} tokens; {row['step']:,} steps, {row['tokens']:,} tokens"
    )
    return said(Trained(OURS, seed, row["bits_per_byte"] * math.log(2), wall_s, what), say)


def peer(train: Path, valid: Path, seed: int, launcher: Sequence[str], say: Say) -> Trained:
    """What a GPT written from memory makes of the same time: `shakespeare_peer`."""
    command = [sys.executable, "-m", "bench.shakespeare_peer", str(train), str(valid), str(BUDGET_S), str(seed)]
    row, wall_s = timed(command, launcher, say)
    return said(Trained(PEER, seed, row["nats"], wall_s, f"{row['steps']:,} steps, {row['tokens']:,} tokens"), say)


def timed(command: list[str], launcher: Sequence[str], say: Say) -> tuple[dict[str, Any], float]:
    """Run a command to its end; -> the last line it printed, as JSON, and its seconds. What it said goes to the log.

    Raises: RuntimeError where it ends in error.
    """
    clocked = [*launcher, "bash", "-c", 'time -p "$@"', "bash", *command]
    done = subprocess.run(clocked, cwd=ROOT, check=False, capture_output=True, text=True)
    for line in done.stderr.splitlines():
        say(f"  {line}")
    clock = re.search(r"^real ([\d.]+)$", done.stderr, re.MULTILINE)
    if done.returncode or not clock:
        said_last = done.stderr[: clock.start() if clock else None].strip().rpartition("\n")[2]
        raise RuntimeError(f"{' '.join(command[1:4])} ended with code {done.returncode}: {said_last}")
    return json.loads(done.stdout.splitlines()[-1]), float(clock[1])


def said(run: Trained, say: Say) -> Trained:
    say(f"{run.who}, seed {run.seed}: {run.nats_per_character:.4f} nats a character in {run.wall_s:.1f} s")
    return run


def findings(runs: Sequence[Trained]) -> Findings:
    """The worst seed against the targets, and every run."""
    nats, theirs = ([run.nats_per_character for run in runs if run.who == who] for who in (OURS, PEER))
    seconds = [run.wall_s for run in runs if run.who == OURS]
    middle, peers = statistics.median(nats), statistics.median(theirs)
    spread = f"{middle:.3f}, of {len(nats)} seeds {min(nats):.3f} to {max(nats):.3f}"
    loss = (spread, f"{PEER}: {peers:.3f} (n = {len(theirs)})", f"{middle / peers:.2f}")
    times = (f"{min(seconds):.0f} to {max(seconds):.0f} s", "", "")
    rows = [
        Row("tiny shakespeare, nats a character", *loss, *at_most(max(nats), *LOSS_AT_MOST)),
        Row("tiny shakespeare, start to exit", *times, Target(f"<= {LIMIT_S} s", max(seconds) <= LIMIT_S)),
    ]
    lines = [(run.who, str(run.seed), f"{run.nats_per_character:.4f}", f"{run.wall_s:.1f}", run.what) for run in runs]
    runs_table = table(("who", "seed", "nats a character", "seconds in all", "what"), lines)
    method = METHOD.format(budget=BUDGET_S)
    return Findings(rows, f"{runs_table}\n\n{method}", {"runs": [*map(asdict, runs)]})


if __name__ == "__main__":
    app()
