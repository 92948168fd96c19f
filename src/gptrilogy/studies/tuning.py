"""What the studies of fine-tuning share: a base, four data sets, one measured run.

A run is the product's own: the examples are prepared and trained on in a run folder, which is deleted once its score
is known. The score is that of the final weights, judged once: nothing is chosen by the examples it is judged on.
Intervals are over seeds, which differ in new weights, order and dropout; what another base, or other examples to judge
by, would change is not in them.
"""

import hashlib
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from gptrilogy.config import parse
from gptrilogy.corpus.sotu import find_speeches
from gptrilogy.data import permutation
from gptrilogy.devices import describe
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
from gptrilogy.metrics import Row, read_metrics
from gptrilogy.recipes.auto import Shape, with_shape
from gptrilogy.runs import Run
from gptrilogy.studies.pretraining import Once, Pupil, open_run
from gptrilogy.studies.study import Journal, Options, Say, data_folder
from gptrilogy.training.config import RunConfig
from gptrilogy.training.resolve import resolve
from gptrilogy.training.signals import StopRequest

BASE = Shape(n_layer=6, n_embd=128, n_head=4, n_ctx=128, batch_size=16, learning_rate=4e-3)
N_VOCAB = 4096
RATE = 1e-3  # of every condition of every task
EPOCHS = 3
AT_THE_END = 1_000_000  # more steps than any run has: it is judged after its last
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
        """How long a run trains, at whose end it is judged."""
        length: Row = {"max_steps": self.max_steps} if self.max_steps else {"epochs": EPOCHS}
        return {**length, "valid_every": AT_THE_END}


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
    "CoLA": Source("cola", "cola/in_domain_train.tsv", "cola/in_domain_dev.tsv", 1500),
    "STS-B": Source("stsb", "sts-b/stsb-en-train.csv", "sts-b/stsb-en-dev.csv", 300, max_valid=500),
    "SNLI": Source("snli", "snli/validation.tsv", "snli/test.tsv", 1000, max_valid=500),
    "OpenBookQA": Source("openbookqa", "openbookqa/train.jsonl", "openbookqa/dev.jsonl", 200, optional=True),
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
    packed = open_run(folder, config, say)
    config, _ = resolve(config, packed)
    say(f"the base is pretrained for {steps:,} steps in {folder}")
    return Pupil(config, Run(folder), packed).after(steps, say)


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


def measure(base: Base, trial: Trial, folder: Path, reporter: Once) -> Row:
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
    late = (config.train.max_steps or 0) * (EPOCHS - 1) / EPOCHS
    losses = [row["task_loss_nats"] for row in rows if row["event"] == "train" and row["step"] > late]
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
