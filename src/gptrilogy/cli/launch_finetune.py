"""A fine-tuning run from what was asked for to its end: examples, base, folder, training, report. Imports torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from gptrilogy.cli.output import print_json, print_table, print_text
from gptrilogy.config import parse, suggest
from gptrilogy.data.index import INDEX
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.finetuning.config import FinetuneConfig, MetricName, Regression, TaskConfig
from gptrilogy.finetuning.finetune import FinetuneData, finetune
from gptrilogy.finetuning.judging import default_metrics
from gptrilogy.finetuning.picture import draw_tuning
from gptrilogy.finetuning.preparation import decide, held_out, prepare, reopen
from gptrilogy.finetuning.published import read_hub, read_published
from gptrilogy.finetuning.published_layouts import PUBLISHED
from gptrilogy.finetuning.published_questions import Split
from gptrilogy.finetuning.reading import read_examples
from gptrilogy.finetuning.tasks import KINDS, Example
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.loading import load
from gptrilogy.metrics import Row, read_metrics
from gptrilogy.models.config import PRESETS, GPTConfig
from gptrilogy.models.gpt import GPT
from gptrilogy.runs import Run
from gptrilogy.tokenizers import load_tokenizer
from gptrilogy.training.loop import Outcome
from gptrilogy.training.progress import ConsoleReporter
from gptrilogy.training.signals import StopRequest

HUB = "hf:"
MOST_CLASSES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Sources:
    """Examples to learn from, and others to judge by."""

    train: Sequence[Example]
    valid: Sequence[Example]


@dataclass(frozen=True, slots=True)
class Prepared:
    config: FinetuneConfig
    data: FinetuneData


def asked_task(name: str, columns: str | None, regression: Regression | None, metric: MetricName | None) -> TaskConfig:
    """The task a command line names: a kind, or a published data set with its columns and metrics.

    Raises: ConfigError for an unknown name, columns that are not field=column, or a metric that does not fit.
    """
    known = PUBLISHED.get(name)
    if known is None and name not in KINDS:
        raise ConfigError(f"unknown task {name}: {suggest(name, [*KINDS, *PUBLISHED])}")
    task = parse(TaskConfig, {"name": name, "kind": known.kind if known else name})
    own = known.metrics if known else default_metrics(task)
    metrics = tuple(dict.fromkeys((metric, *own))) if metric else own
    how = {"regression": regression} if regression else {}
    return task.replace(columns=parsed_columns(columns), metrics=metrics, **how)


def parsed_columns(text: str | None) -> dict[str, str]:
    """What `--columns premise=sentence1,hypothesis=sentence2` says.

    Raises: ConfigError where a part is not field=column.

    >>> parsed_columns("label=1, text=3")
    {'label': '1', 'text': '3'}
    """
    columns: dict[str, str] = {}
    for part in text.split(",") if text else []:
        field, equals, column = (piece.strip() for piece in part.partition("="))
        if not (field and equals and column):
            raise ConfigError(f"--columns must be field=column, several by commas, got {part!r}")
        if field in columns:
            raise ConfigError(f"--columns names {field} twice")
        columns[field] = column
    return columns


def find_examples(task: TaskConfig, train: str, valid: str | None, seed: int, reporter: ConsoleReporter) -> Sources:
    """Read what to learn from and what to judge by.

    Raises: DataError naming file and row of what cannot be used.
    """
    examples = _read(task, train, "train", reporter)
    if not examples:
        raise DataError(f"{train} holds no examples: give a file with some")
    if valid is None and task.name in PUBLISHED and (train.startswith(HUB) or Path(train).is_dir()):
        valid = train
    if valid is not None:
        judged = _read(task, valid, "valid", reporter)
        if not judged:
            raise DataError(f"{valid} holds no examples to validate on: give a file with some")
    else:
        examples, judged = held_out(examples, seed)
        reporter.note(f"no --valid: {len(judged):,} of {len(examples) + len(judged):,} examples are held out for it")
    reporter.note(f"{len(examples):,} training examples, {len(judged):,} for validation")
    return Sources(examples, judged)


def _read(task: TaskConfig, place: str, split: Split, reporter: ConsoleReporter) -> list[Example]:
    if task.name not in PUBLISHED or task.columns:
        return list(read_examples(Path(place), task.kind, task.columns))
    if place.startswith(HUB):
        return list(read_hub(task.name, split, note=reporter.note))
    return list(read_published(task.name, Path(place), split, note=reporter.note))


def load_base(model: str, seed: int) -> LanguageModel:
    """A pretrained model, or for a preset's name one with new weights from the seed and the published tokenizer.

    Raises: CheckpointError; FormatError; TokenizerError.
    """
    if model in PRESETS and not Path(model).exists():
        tokenizer = load_tokenizer("gpt1" if model == "gpt1" else "gpt2")
        return LanguageModel(GPT(GPTConfig.preset(model), torch.Generator().manual_seed(seed)), tokenizer)
    return load(model)


def own_text(model: str) -> list[str]:
    """The packed text a pretraining run keeps, if the model is one."""
    path = Path(model)
    if path.parent.name == "checkpoints":
        path = path.parents[1]
    return [str(Run(path).data_folder)] if (Run(path).data_folder / INDEX).exists() else []


def decided(
    config: FinetuneConfig, base: LanguageModel, sources: Sources, reporter: ConsoleReporter, *, has_text: bool
) -> FinetuneConfig:
    """The complete config, before a folder is made for it.

    Raises: DataError; ConfigError.
    """
    config, notes = decide(config, base.model, sources.train, sources.valid, has_text=has_text)
    for line in notes:
        reporter.note(line)
    return config


def prepare_run(
    config: FinetuneConfig,
    base: LanguageModel,
    sources: Sources,
    run: Run,
    reporter: ConsoleReporter,
    pretraining: Sequence[str],
) -> Prepared:
    """Fill in the run folder, and say what will happen.

    Raises: DataError; ConfigError; CheckpointError.
    """
    resolved, data = prepare(config, base, sources.train, sources.valid, run, reporter.note, pretraining=pretraining)
    train = resolved.train
    reporter.note(
        f"{train.max_steps:,} steps of {train.batch_size} examples at a rate of {train.learning_rate:g}, lambda "
        f"{train.lm_weight:g}; {_outputs(resolved.task)}"
    )
    if data.pretraining is None:
        reporter.note("forgetting is not measured: there is no pretraining text; name some with --pretraining")
    return Prepared(resolved, data)


def reopen_run(run: Run, reporter: ConsoleReporter) -> Prepared:
    """A run that was prepared before.

    Raises: RunError; DataError; ConfigError.
    """
    config = parse(FinetuneConfig, run.config())
    return Prepared(config, reopen(config, run, reporter.note))


def tune_run(
    prepared: Prepared, run: Run, reporter: ConsoleReporter, *, stop_at: int | None = None, json: bool = False
) -> int:
    """Train a prepared run and tell how it went; -> the exit code."""
    reporter.expect(max_steps=prepared.config.train.max_steps or 0)
    with StopRequest() as stop:
        outcome = finetune(prepared.config, run, prepared.data, reporter, stop, stop_at=stop_at)
    if not outcome.finished:
        reason = f"stopped by {stop.name}" if stop else "stopped"
        reporter.note(f"{reason} and saved; `gpt resume {run.folder}` continues exactly here")
    else:
        _draw(prepared, run, reporter)
        if not json:
            _show_end(prepared, run, outcome)
    if json:
        best = str(outcome.best_checkpoint) if outcome.best_checkpoint else None
        print_json({**outcome.last_row, "best_checkpoint": best})
    return stop.exit_code


def _outputs(task: TaskConfig) -> str:
    """What the head will say, in words.

    >>> _outputs(TaskConfig(labels=("bad", "good")))
    '2 classes: bad, good'
    """
    match task.kind:
        case "choice":
            return "one score an answer"
        case "regression":
            levels = f"levels {task.low:g} to {task.high:g}" if task.regression == "classes" else "one number"
            return f"scores as {levels}"
        case _:
            shown = ", ".join(task.labels[:8]) + (" ..." if len(task.labels) > 8 else "")
            return f"{len(task.labels)} classes: {shown}"


def _draw(prepared: Prepared, run: Run, reporter: ConsoleReporter) -> None:
    task = prepared.config.task
    title = f"{task.name}, from {prepared.config.base}"
    reporter.picture(run.picture_path, lambda: draw_tuning(run.metrics_path, run.picture_path, task, title=title))


def _show_end(prepared: Prepared, run: Run, outcome: Outcome) -> None:
    """The scores of the best checkpoint with their intervals, what was confused, and what was forgotten."""
    task, row = prepared.config.task, outcome.last_row
    n = len(prepared.data.valid)
    scores = [(name, f"{row[name]:.4f}", "{:.4f} to {:.4f}".format(*row[f"{name}_95"])) for name in task.metrics]
    print_table(f"best checkpoint, {n:,} validation examples", [("", "score", "95% interval"), *scores])
    if len(task.labels) <= MOST_CLASSES_SHOWN and row.get("confusion"):
        print_table("truth in rows, predictions in columns", confusion_rows(task.labels, row["confusion"]))
    show_forgetting(run, row)
    print_text(f"\ntry: gpt predict {run.folder} FILE")


def confusion_rows(labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[tuple[str, ...]]:
    """A table of counts with the names of the classes."""
    rows = [(label, *map(str, counts)) for label, counts in zip(labels, confusion, strict=True)]
    return [("", *labels), *rows]


def show_forgetting(run: Run, last: Row) -> None:
    """Perplexity on held-out pretraining text, before and after."""
    before = [row["pretraining_loss_nats"] for row in read_metrics(run.metrics_path) if row["event"] == "pretraining"]
    after = last.get("pretraining_loss_nats")
    if not before or after is None:
        return
    rows = [("before", before[0]), ("after", after)]
    table = [(name, f"{math.exp(nats):,.2f}", f"{nats:.4f}") for name, nats in rows]
    print_table("held-out pretraining text", [("", "perplexity", "nats a token"), *table])
