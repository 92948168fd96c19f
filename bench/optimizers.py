"""`python -m bench.optimizers`: what Muon and AdamW make of equal seconds, in the shapes that `auto` chooses from.

In three parts, of which only the first must not be disturbed: `time` measures a step by each optimizer, `train` makes
so many steps by Muon, and by AdamW as many as take as long by those times, and `report` compares the losses.
"""

import json
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.measure import Say
from bench.optimizers_report import Trained, page
from bench.record import Log, facts, write_record
from gptrilogy.config import parse
from gptrilogy.corpus.sotu import find_speeches
from gptrilogy.data.shards import PackedData
from gptrilogy.files import write_json
from gptrilogy.recipes.auto import SHAPES, Shape, fit_steps, with_shape
from gptrilogy.runs import Run
from gptrilogy.scaling.compute import n_parameters
from gptrilogy.scaling.plan import expected_bits_per_byte
from gptrilogy.studies.pretraining import Once, open_run
from gptrilogy.training.config import RunConfig
from gptrilogy.training.pretrain import pretrain
from gptrilogy.training.resolve import resolve
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.timing import Timing, time_steps

Text = Literal["sotu", "austen"]
Arm = Literal["muon", "adamw", "adamw, twice the rate", "adamw, half the rate"]
RATES = {"adamw, twice the rate": 2.0, "adamw, half the rate": 0.5}  # whether AdamW's own is a fair one
TEXTS, ARMS = get_args(Text), get_args(Arm)
SEEDS = (0, 1, 2)
N_VOCAB = 2048
STEPS = {128: 400, 192: 400}  # of Muon, by the width of the shape
VALID_SECONDS, WINDOW_S = 60.0, 1e-3  # a budget and a speed by which `auto` has 240 windows in a validation
FINAL_VALID_WINDOWS = 1000

app = App(name="bench.optimizers", help_format="plaintext", version_flags=[])


@dataclass(frozen=True, slots=True)
class Trial:
    """One run to be made."""

    text: Text
    shape: Shape
    arm: Arm
    seed: int

    @property
    def name(self) -> str:
        return f"{self.text}-{self.shape.n_embd}-{self.arm.replace(',', '').replace(' ', '-')}-{self.seed}"

    @property
    def optimizer(self) -> str:
        return self.arm.partition(",")[0]

    def asked(self, data: Path, steps: int) -> RunConfig:
        """What a user would have to say, from which `auto` makes the rest."""
        train: dict[str, Any] = {"optimizer": self.optimizer, "max_steps": steps}
        if self.arm in RATES:
            train["learning_rate"] = RATES[self.arm] * self.shape.learning_rate
        train["final_valid_windows"] = FINAL_VALID_WINDOWS
        return parse(RunConfig, {"seed": self.seed, "train": train, "data": {"sources": (str(data),)}})


@app.command
def time(*, data: Path, work: Path, repeats: Annotated[int, Parameter(validator=Number(gte=1))] = 5) -> None:
    """Measure a step of every shape by both optimizers in turn, into WORK/step_s.json.

    Args:
        data: the folder with text/austen.
        work: a folder for all three parts.
        repeats: medians of five steps, of each.
    """
    log = Log()
    log.say_load()
    folder, text = packed(work, "austen", data, log.say)
    found: dict[str, list[float]] = {}
    for trial in [Trial("austen", shape, arm, 0) for shape in shapes(STEPS) for arm in ("adamw", "muon")] * repeats:
        config, _ = resolve(with_shape(trial.asked(folder, 100), trial.shape, 100), text)
        found.setdefault(f"{trial.shape.n_embd} {trial.optimizer}", []).append(time_steps(config, text).step_s)
    for name, seconds in found.items():
        log.say(f"{name}: {min(seconds) * 1e3:.1f} ms a step")
    write_json(work / "step_s.json", found)


@app.command
def train(
    *,
    data: Path,
    work: Path,
    text: tuple[Text, ...] = TEXTS,
    arm: tuple[Arm, ...] = ARMS,
    seed: tuple[int, ...] = SEEDS,
    width: tuple[int, ...] = tuple(STEPS),
) -> None:
    """Make every run that WORK has no result of.

    Args:
        data: the folder with text/austen.
        work: a folder, in which `time` must have been before any run of AdamW.
        text: these alone; may be given more than once.
        arm: these alone; may be given more than once.
        seed: these alone; may be given more than once. AdamW's other rates have the first only.
        width: shapes of these widths alone; may be given more than once.
    """
    log = Log()
    for trial in trials(text, arm, seed, width):
        result = work / "results" / f"{trial.name}.json"
        if not result.exists():
            trained = run(trial, work, data, log.say)
            result.parent.mkdir(exist_ok=True)
            write_json(result, asdict(trained))
            log.say(f"{trial.name}: {trained.bits_per_byte:.4f} bits a byte after {trained.steps:,} steps")


@app.command
def report(*, work: Path, record: Path | None = None) -> None:
    """Compare the losses of the runs that are there.

    Args:
        work: a folder in which `time` and `train` have been.
        record: write README.md, results.json and log.txt into this folder.
    """
    runs = [Trained(**json.loads(path.read_bytes())) for path in sorted((work / "results").glob("*.json"))]
    step_s = read_times(work)
    text = page(runs, step_s)
    print(text)
    if record:
        n = min(Counter((one.text, one.width, one.arm) for one in runs).values())
        known = facts("python -m bench.optimizers time --data DIR --work WORK; ... train ...; ... report ...", n)
        log = [f"{one.text} {one.width} {one.arm} {one.seed}: {one.bits_per_byte:.4f} bits a byte" for one in runs]
        numbers = {"step_s": step_s, "runs": [asdict(one) for one in runs]}
        write_record(record, "Muon beside AdamW, and AdamW alone", text, known, numbers, log)


def read_times(work: Path) -> dict[str, list[float]]:
    return json.loads((work / "step_s.json").read_bytes())


def shapes(widths: Collection[int]) -> list[Shape]:
    return [shape for shape in SHAPES if shape.n_embd in widths]


def trials(texts: Sequence[Text], arms: Sequence[Arm], seeds: Sequence[int], widths: Sequence[int]) -> Iterator[Trial]:
    """Seed by seed, so that what is cut short still compares."""
    for seed in seeds:
        for shape in shapes(widths):
            for text in texts:
                for arm in arms:
                    if arm not in RATES or seed == SEEDS[0]:
                        yield Trial(text, shape, arm, seed)


def packed(work: Path, text: Text, data: Path, say: Say) -> tuple[Path, PackedData]:
    """A text and its tokenizer, in a run folder from which all runs take them; made once. -> its data folder, and it.

    Raises: ConfigError or DataError where the text is not there.
    """
    source = find_speeches() if text == "sotu" else data.absolute() / "text" / text
    asked = {"model": {"n_vocab": N_VOCAB}, "data": {"sources": (str(source),)}}
    return Run(work / text).data_folder, open_run(work / text, parse(RunConfig, asked), say)


def n_steps(trial: Trial, work: Path) -> int:
    """As many as take the time of Muon's, by the fastest of the samples: neighbours only ever slow one down."""
    width = trial.shape.n_embd
    if trial.optimizer == "muon":
        return STEPS[width]
    muon_s, adamw_s = (min(read_times(work)[f"{width} {name}"]) for name in ("muon", "adamw"))
    return round(STEPS[width] * muon_s / adamw_s)


def run(trial: Trial, work: Path, data: Path, say: Say) -> Trained:
    """Make the steps at the pace of `auto`, and judge the model."""
    source, text = packed(work, trial.text, data, say)
    steps = n_steps(trial, work)
    asked = trial.asked(source, steps)
    shaped = with_shape(asked, trial.shape, steps)
    config = fit_steps(shaped, asked, text, seconds=VALID_SECONDS, timing=Timing(step_s=1.0, window_s=WINDOW_S))
    config, _ = resolve(config, text)
    folder = work / "run" / trial.name
    ended = pretrain(config, Run(folder), open_run(folder, config, say), Once(say), StopRequest()).last_row
    shutil.rmtree(folder)
    bytes_seen = ended["tokens"] / len(text.train) * text.train.text_bytes
    return Trained(
        text=trial.text,
        width=trial.shape.n_embd,
        arm=trial.arm,
        seed=trial.seed,
        parameters=n_parameters(config.model),
        steps=ended["step"],
        bytes_seen=bytes_seen,
        text_bytes=text.train.text_bytes,
        weight_decay=config.train.weight_decay,
        bits_per_byte=ended["bits_per_byte"],
        expected=expected_bits_per_byte(config.model, bytes_seen, text.train.text_bytes),
    )


if __name__ == "__main__":
    app()
