"""What the studies of fine-tuning share: a base, four data sets, one measured run, and how results are told.

A run is the product's own: the examples are prepared and trained on in a run folder, which is deleted once its score
is known. The score is that of the best of its validations, one an epoch, on the examples it was chosen by; this
flatters every condition alike. Intervals are over seeds, which differ in new weights, order and dropout: what another
base, or other examples to judge by, would change is not in them.
"""

import hashlib
import math
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from gptrilogy.config import parse
from gptrilogy.corpus.sotu import find_speeches
from gptrilogy.data import permutation
from gptrilogy.devices import describe
from gptrilogy.evaluation.metrics import Estimate
from gptrilogy.extras import needs
from gptrilogy.files import sha256_json
from gptrilogy.finetuning.config import FinetuneConfig, MetricName
from gptrilogy.finetuning.finetune import finetune
from gptrilogy.finetuning.preparation import prepare
from gptrilogy.finetuning.published import read_published
from gptrilogy.finetuning.published_layouts import PUBLISHED
from gptrilogy.finetuning.published_questions import Split
from gptrilogy.finetuning.tasks import Example, KindName
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.loading import load
from gptrilogy.recipes.auto import Shape, with_shape
from gptrilogy.runs import Row, Run, read_metrics
from gptrilogy.studies.picture import COLOURS
from gptrilogy.studies.pretraining import Pupil
from gptrilogy.studies.study import Journal, Options, Say, data_folder
from gptrilogy.training.config import RunConfig
from gptrilogy.training.preparation import prepare as prepare_text
from gptrilogy.training.preparation import survey
from gptrilogy.training.resolve import resolve
from gptrilogy.training.signals import StopRequest

BASE = Shape(n_layer=6, n_embd=128, n_head=4, n_ctx=128, batch_size=16, learning_rate=4e-3)
N_VOCAB = 4096
RATE = 1e-3  # of every condition of every task
EPOCHS = 3
VERBS = "helps", "hurts", "has no settled effect on"
DRAWN_FOR = 7  # what a number is drawn for: the order of a data set, the same in all runs


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a study is: which tasks, and at most how much of each."""

    tasks: tuple[str, ...]
    base_steps: int = 6000
    max_seeds: int | None = None
    max_steps: int | None = None  # none: EPOCHS passes over the examples
    max_train: int | None = None
    max_valid: int | None = None

    def seeds(self, options: Options) -> range:
        return range(min(options.seeds, self.max_seeds or options.seeds))

    @property
    def length(self) -> Row:
        """How long a run trains."""
        return {"max_steps": self.max_steps} if self.max_steps else {"epochs": EPOCHS}


def quick_scale(task: str) -> Scale:
    """So little of one task that only the path is tried."""
    return Scale((task,), base_steps=20, max_seeds=2, max_steps=4, max_train=64, max_valid=64)


@dataclass(frozen=True, slots=True)
class Source:
    """A published data set, where its files lie below the data folder, and how much of it a study takes."""

    published: str
    train: str
    valid: str
    max_train: int
    max_valid: int | None = None
    optional: bool = False


SOURCES = {
    "CoLA": Source("cola", "cola/in_domain_train.tsv", "cola/in_domain_dev.tsv", 4000),
    "STS-B": Source("stsb", "sts-b/stsb-en-train.csv", "sts-b/stsb-en-dev.csv", 1500),
    "SNLI": Source("snli", "snli/validation.tsv", "snli/test.tsv", 2500, max_valid=2000),
    "OpenBookQA": Source("openbookqa", "openbookqa/train.jsonl", "openbookqa/dev.jsonl", 1000, optional=True),
}


@dataclass(frozen=True, slots=True)
class DataSet:
    """Examples to learn from and to judge by, both in an order drawn once."""

    name: str
    published: str
    kind: KindName
    metric: MetricName
    train: Sequence[Example]
    valid: Sequence[Example]

    def first(self, n_train: int | None) -> "DataSet":
        """The same with so many training examples; of two sizes the larger holds all of the smaller."""
        return replace(self, train=self.train[:n_train])

    @property
    def title(self) -> str:
        return f"{self.name} {self.metric if self.metric == 'accuracy' else self.metric.capitalize()}"

    @property
    def digest(self) -> str:
        """Names the examples and their order."""
        rows = [[(one.texts, one.answers, one.label) for one in part] for part in (self.train, self.valid)]
        return sha256_json(rows)[:12]


@dataclass(frozen=True, slots=True)
class Base:
    """The model every condition starts from, and a name of its weights."""

    model: LanguageModel
    sha256: str

    @property
    def n_layer(self) -> int:
        return self.model.model.config.n_layer


@dataclass(frozen=True, slots=True)
class Trial:
    """One run to make: `changes` of the defaults of fine-tuning are what its condition is."""

    data: DataSet
    condition: str
    seed: int
    changes: Row = field(default_factory=dict[str, object])

    def config(self, base: Base) -> FinetuneConfig:
        task = {"name": self.data.published, "kind": self.data.kind, "metrics": (self.data.metric,)}
        train = {"learning_rate": RATE, **self.changes}
        source = str(base.model.source or "")
        return parse(FinetuneConfig, {"base": source, "seed": self.seed, "task": task, "train": train})

    def place(self, base: Base) -> Row:
        """What the measurement is found by. The recipe is all that its score follows from beside the seed."""
        config = self.config(base)
        facts = [base.sha256, config.task.model_dump(mode="json"), config.train.model_dump(mode="json")]
        recipe = sha256_json([*facts, self.data.digest])[:12]
        where = {"task": self.data.name, "condition": self.condition, "seed": self.seed}
        return {**where, "base": base.sha256[:12], "recipe": recipe}


def find_base(options: Options, scale: Scale, say: Say) -> Base:
    """The model that `--model` names, else one pretrained on presidential messages below `out`.

    Raises: CheckpointError; ConfigError where the messages are not installed; what pretraining raises.
    """
    model = load(options.model) if options.model else _pretrained(options.out / "pretrained", scale.base_steps, say)
    digest = hashlib.sha256(model.tokenizer.fingerprint.encode())
    for name, weight in sorted(model.model.state_dict().items()):
        digest.update(name.encode() + weight.float().cpu().numpy().tobytes())
    return Base(model, digest.hexdigest())


def _pretrained(folder: Path, steps: int, say: Say) -> LanguageModel:
    """The model after so many steps, trained now, or as far as it is not yet."""
    asked = parse(RunConfig, {"model": {"n_vocab": N_VOCAB}, "data": {"sources": (str(find_speeches()),)}})
    config = with_shape(asked, BASE, steps)
    stored = config.model_dump(mode="json")
    run = Run(folder)
    if not run.config_path.exists() or run.config() != stored:
        Run.create(folder, stored, describe(), force=True)
    _, packed = prepare_text(config, survey(config.data, config.seed, say), run, say, say)
    config, _ = resolve(config, packed)
    say(f"the base is pretrained for {steps:,} steps in {folder}")
    return Pupil(config, run, packed).after(steps, say)


def read_data_sets(options: Options, scale: Scale, say: Say, *, whole: bool = False) -> list[DataSet]:
    """The data sets of a study, `whole` or as much as is usual; one that may be missing is left out, which is said.

    Raises: ConfigError where nobody said where they lie; DataError for what is missing or broken.
    """
    folder = data_folder(options) / "finetune"
    found: list[DataSet] = []
    for name in scale.tasks:
        source = SOURCES[name]
        missing = [path for part in (source.train, source.valid) if not (path := folder / part).is_file()]
        if missing and source.optional:
            say(f"{name} is left out: {' and '.join(map(str, missing))} missing")
            continue
        known = PUBLISHED[source.published]
        max_train = scale.max_train or (None if whole else source.max_train)
        train = _drawn(source.published, folder / source.train, "train", say)[:max_train]
        valid = _drawn(source.published, folder / source.valid, "valid", say)[: scale.max_valid or source.max_valid]
        found.append(DataSet(name, source.published, known.kind, known.metrics[0], train, valid))
    return found


def _drawn(name: str, path: Path, split: Split, say: Say) -> list[Example]:
    """All examples of a file, in an order that is drawn once for all studies."""
    examples = list(read_published(name, path, split, note=say))
    n = len(examples)
    key = permutation.draw(0, np.full(n, DRAWN_FOR, dtype=np.uint64))
    order = permutation.permute(np.arange(n, dtype=np.uint64), n, key)
    return [examples[int(place)] for place in order]


def measured(options: Options, base: Base, trials: Sequence[Trial], say: Say) -> Iterator[Row]:
    """The row of each trial, in their order: run now, unless it was before.

    Raises: what fine-tuning raises; rows until then are kept, and the same command goes on from there.
    """
    journal = Journal(options.out / "rows.jsonl")
    reporter = Once(say)
    for number, trial in enumerate(trials, start=1):
        place = {"quick": options.quick, **trial.place(base)}
        row = journal.find(place)
        if row is None:
            row = {**place, **measure(base, trial, options.out / "run", reporter)}
            journal.add(row)
        say(
            f"{number} of {len(trials)}: {trial.data.title} {100 * row['score']:.1f} after {row['train_examples']:,} "
            f"examples, {trial.condition}, seed {trial.seed} ({row['seconds']:.0f} s)"
        )
        yield row


def measure(base: Base, trial: Trial, folder: Path, reporter: "Once") -> Row:
    """Fine-tune once, in a folder that is gone afterwards; -> the score and what it cost.

    Raises: what fine-tuning raises.
    """
    data, config, started = trial.data, trial.config(base), time.perf_counter()
    shutil.rmtree(folder, ignore_errors=True)  # what a killed process left
    try:
        run = Run.create(folder, config.model_dump(mode="json"), describe())
        config, prepared = prepare(config, base.model, data.train, data.valid, run, reporter.note)
        outcome = finetune(config, run, prepared, reporter, StopRequest())
        rows = read_metrics(run.metrics_path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert outcome.finished, "nothing asked the run to stop"
    last_epoch = (config.train.max_steps or 0) - (config.train.valid_every or 0)
    losses = [row["task_loss_nats"] for row in rows if row["event"] == "train" and row["step"] > last_epoch]
    return {
        "metric": data.metric,
        "score": outcome.last_row[data.metric],
        "train_examples": len(data.train),
        "valid_examples": len(data.valid),
        "steps": config.train.max_steps,
        "train_loss_nats": fmean(loss for loss in losses if loss is not None),  # of the task, over the last epoch
        "valid_loss_nats": outcome.last_row["loss_nats"],
        "seconds": round(time.perf_counter() - started, 2),
    }


class Once:
    """A reporter that passes on notes and warnings, each the first time; how far it is, the study says itself."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._said: set[str] = set()

    def row(self, row: Row) -> None: ...
    def within_step(self, step: int, done: int, batch_size: int) -> None: ...
    def sample(self, step: int, text: str) -> None: ...

    def warn(self, message: str) -> None:
        self.note(f"warning: {message}")

    def note(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            self._say(message)


def scores(rows: Iterable[Row], **where: object) -> list[float]:
    """Scores times 100, as the papers print them, of the rows with these fields, in their order."""
    return [100 * row["score"] for row in rows if where.items() <= row.items()]


def cell(estimate: Estimate, *, signed: bool = False) -> str:
    """A mean with half its interval, where it has one.

    >>> cell(Estimate(4.5, 4.2, 4.8)), cell(Estimate(4.5, math.nan, math.nan), signed=True)
    ('4.5 ± 0.3', '+4.5')
    """
    mean = f"{estimate.value:{'+' if signed else ''}.1f}"
    return mean if math.isnan(estimate.high) else f"{mean} ± {estimate.high - estimate.value:.1f}"


def judged(what: str, gains: Mapping[str, Estimate], verbs: tuple[str, str, str] = VERBS) -> str:
    """What each gain's interval says, with its numbers; `verbs` for one above 0, below 0, and around it.

    >>> judged("rain", {"wheat": Estimate(2, 1, 3), "roofs": Estimate(-2, -3, -1), "stones": Estimate(1, -1, 3)})
    'rain helps wheat (+2.0 ± 1.0), hurts roofs (-2.0 ± 1.0), has no settled effect on stones (+1.0 ± 2.0)'
    """
    sorted_by_sign: dict[str, list[str]] = {verb: [] for verb in verbs}
    up, down, neither = verbs
    for name, gain in gains.items():
        verb = up if gain.low > 0 else down if gain.high < 0 else neither
        sorted_by_sign[verb].append(f"{name} ({cell(gain, signed=True)})")
    return f"{what} " + ", ".join(f"{verb} {', '.join(names)}" for verb, names in sorted_by_sign.items() if names)


def opening(rows: Sequence[Row], *, quick: bool) -> str:
    """How a verdict begins: what it is worth."""
    seeds = len({row["seed"] for row in rows})
    where = f"With {seeds} seed{'s' if seeds > 1 else ''} of one base, in points out of 100 with 95% intervals, "
    return f"A test of the path, whose numbers mean nothing. {where}" if quick else where


def draw(
    lines: Mapping[str, Sequence[tuple[float, Estimate]]],
    ticks: Mapping[float, str],
    picture: Path,
    *,
    title: str,
    labels: tuple[str, str],
    bands: bool = False,
    log: bool = False,
) -> None:
    """Draw means with their intervals, and a line through those of one name, or with `bands` a band around it.

    Raises: MissingExtraError without matplotlib.
    """
    with needs("plot", purpose="the picture of a study"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11)
    axes.axhline(0, color="#999999", linewidth=0.8)
    if log:
        axes.set_xscale("log")
    for colour, (name, points) in zip(COLOURS, lines.items(), strict=False):
        x, (mean, low, high) = [place for place, _ in points], zip(*(estimate for _, estimate in points), strict=True)
        style: dict[str, Any] = {"label": name, "color": colour, "markersize": 4}
        if bands:
            axes.plot(x, mean, "o-", **style)
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        else:
            axes.errorbar(x, mean, np.abs(np.subtract([low, high], mean)), fmt="o", capsize=3, **style)
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, -100), min(top, 100))  # the interval of a few runs reaches far beyond what can be
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(picture)
