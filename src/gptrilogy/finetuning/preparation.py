"""From examples and a pretrained model to a run folder that can be trained, and resumed when its sources are gone."""

import json
import math
import shutil
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from gptrilogy.checkpoints import manifest
from gptrilogy.corpus.sources import read_documents
from gptrilogy.data.index import INDEX
from gptrilogy.data.shards import link_shards, open_shards, pack
from gptrilogy.devices import pick_device, pick_precision
from gptrilogy.errors import ConfigError, DataError, RunError
from gptrilogy.files import make_folder, sha256_file, write_atomic
from gptrilogy.finetuning.batches import Item, chosen
from gptrilogy.finetuning.config import EPOCHS, FinetuneConfig, TaskConfig
from gptrilogy.finetuning.finetune import FinetuneData, forgetting
from gptrilogy.finetuning.judging import default_metrics
from gptrilogy.finetuning.model import extended, initial_model
from gptrilogy.finetuning.reading import check_labels, class_labels
from gptrilogy.finetuning.saved import write_initial
from gptrilogy.finetuning.tasks import Example
from gptrilogy.finetuning.transforms import transform
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.metrics import MetricsLog
from gptrilogy.models.gpt import GPT
from gptrilogy.runs import Run
from gptrilogy.tokenizers import Tokenizer, load_tokenizer, save_tokenizer
from gptrilogy.training.config import DataConfig
from gptrilogy.training.preparation import packed_source, survey

Note = Callable[[str], None]
VALID_FRACTION = 0.1  # of the examples, held out where no file for validation is given
TRAIN, VALID = "train.jsonl", "valid.jsonl"  # in RUN/data
MOST_LEVELS = 100  # of a soft target: more are better served by a squared error


def held_out(examples: Sequence[Example], seed: int) -> tuple[list[Example], list[Example]]:
    """Training and validation examples, by a pseudo-random draw that the seed names.

    Raises: DataError where there are too few to hold any out.
    """
    n = len(examples)
    n_valid = round(VALID_FRACTION * n)
    if not n_valid:
        raise DataError(f"{n} examples are too few to hold some out for validation: give a file with --valid")
    out = set(chosen(n, 0, n, seed=seed)[:n_valid])
    return [x for i, x in enumerate(examples) if i not in out], [x for i, x in enumerate(examples) if i in out]


def resolved_task(task: TaskConfig, examples: Sequence[Example], source: str) -> TaskConfig:
    """Set what follows from the training examples: classes, or the range of scores.

    Raises: DataError for one class only, for scores where classes should be, or for too wide a range of levels.
    """
    found: dict[str, object] = {"metrics": task.metrics or default_metrics(task)}
    if task.kind == "regression":
        scores = [float(example.label) for example in examples if example.label is not None]
        low, high = math.floor(min(scores)), math.ceil(max(scores))
        if low == high or min(scores) == max(scores):
            raise DataError(f"every score in {source} is {scores[0]:g}: there is nothing to learn")
        if task.regression == "classes" and high - low >= MOST_LEVELS:
            raise DataError(
                f"scores in {source} span {low} to {high}, and a soft target has at most {MOST_LEVELS} whole levels; "
                "give --regression mse"
            )
        found |= {"low": low, "high": high, "mean": statistics.fmean(scores), "std": statistics.pstdev(scores)}
    elif task.kind != "choice":
        found["labels"] = class_labels(examples, source)
    return task.replace(**found)


def decide(
    config: FinetuneConfig, base: GPT, train: Sequence[Example], valid: Sequence[Example], *, has_text: bool
) -> tuple[FinetuneConfig, list[str]]:
    """Everything the config leaves open, and what was chosen and why. Decided once more, it stays as it is.

    Raises: DataError for examples that cannot be learnt from; ConfigError for settings that do not fit the model.
    """
    task = resolved_task(config.task, train, train[0].where.rpartition(":")[0] or "the training examples")
    if task.labels:
        check_labels(valid, task.labels)
    if config.train.replay and not has_text:
        raise ConfigError(
            "train.replay needs text of the pretraining, which this model did not bring: name some with --pretraining"
        )
    return resolved(config.replace(task=task.model_dump()), base, len(train))


def resolved(config: FinetuneConfig, base: GPT, n_train: int) -> tuple[FinetuneConfig, list[str]]:
    """Set the sizes, the steps, the rhythm and the precision; say what was chosen and why.

    Raises: ConfigError where the model has fewer blocks than are to be frozen or taken over.
    """
    train, sizes = config.train, base.config
    for name, n in (("transfer_layers", train.transfer_layers), ("freeze_blocks", train.freeze_blocks)):
        if n is not None and n > sizes.n_layer:
            raise ConfigError(f"train.{name} must be at most {sizes.n_layer}, the blocks of the model, got {n}")
    precision, notes = train.precision, list[str]()
    if precision == "auto":
        precision, reason = pick_precision(pick_device(train.device), sizes.n_embd)
        notes.append(f"precision {precision}: {reason}")
    steps = train.max_steps or max(1, round((train.epochs or EPOCHS) * n_train / train.batch_size))
    every = train.valid_every or min(steps, math.ceil(n_train / train.batch_size))
    saved = train.checkpoint_every or every
    if every % saved:
        raise ConfigError(
            f"train.valid_every must be a multiple of train.checkpoint_every, or the best model could be lost; got "
            f"{every} and {saved}"
        )
    changes = {
        "precision": precision,
        "max_steps": steps,
        "epochs": None,
        "valid_every": every,
        "checkpoint_every": saved,
    }
    return config.replace(model=extended(sizes, train).model_dump(), train=changes), notes


def encode(
    task: TaskConfig, examples: Sequence[Example], tokenizer: Tokenizer, *, n_ctx: int, note: Note, what: str
) -> list[Item]:
    """Examples as a model sees them; how many lost text to fit the context is told to `note`."""
    transformed = transform(task.kind, examples, tokenizer, n_ctx=n_ctx)
    n_cut = sum(one.is_cut for one in transformed)
    if n_cut:
        note(f"{n_cut:,} of {len(examples):,} {what} examples were cut to the model's context of {n_ctx} tokens")
    return [Item(one.sequences, target(task, example)) for one, example in zip(transformed, examples, strict=True)]


def target(task: TaskConfig, example: Example) -> float:
    """What the model should say, as a number; nan where nobody knows."""
    if example.label is None:
        return math.nan
    if task.kind in ("choice", "regression"):
        return float(example.label)
    return float(task.labels.index(str(example.label)))


def prepare(
    config: FinetuneConfig,
    base: LanguageModel,
    train: Sequence[Example],
    valid: Sequence[Example],
    run: Run,
    note: Note,
    *,
    pretraining: Sequence[str] = (),
) -> tuple[FinetuneConfig, FinetuneData]:
    """Decide what the config leaves open, and give the run its tokenizer, examples, initial weights and text.

    `pretraining` are sources of text as the base was pretrained on, or one packed shard folder.

    Raises: DataError; ConfigError; TokenizerError; CheckpointError where the folder cannot be written.
    """
    for earlier in (run.initial_folder, run.pretraining_folder):  # what an interrupted preparation left
        shutil.rmtree(earlier, ignore_errors=True)
    config, notes = decide(config, base.model, train, valid, has_text=bool(pretraining))
    for line in notes:
        note(line)
    save_tokenizer(base.tokenizer, run.tokenizer_folder)
    make_folder(run.data_folder)
    _write_examples(run.data_folder / TRAIN, train)
    _write_examples(run.data_folder / VALID, valid)
    if pretraining:
        _take_text(pretraining, base.tokenizer, run.pretraining_folder, config.seed, note)
    data = read_data(config, run, base.tokenizer, note)
    found = forgetting(base.model, data.pretraining)
    if found is not None:
        row = {"event": "pretraining", "step": 0, "examples": 0, "pretraining_loss_nats": found.loss_nats}
        MetricsLog(run.metrics_path).append(row)
    run.write_config(config.model_dump(mode="json"))
    model = initial_model(config.model, base.model.state_dict(), config.task, config.train, config.seed)
    digests = {name: sha256_file(run.data_folder / name) for name in (TRAIN, VALID)}
    write_initial(run, config, model, digests)  # the last: it says that all is there
    return config, data


def reopen(config: FinetuneConfig, run: Run, note: Note) -> FinetuneData:
    """What a prepared run reads, from its own folder.

    Raises: RunError where the preparation was interrupted; DataError where a file is missing or damaged;
    CheckpointError; TokenizerError.
    """
    initial = run.initial_folder
    if not initial.exists():
        raise RunError(
            f"{run.folder} was interrupted before its training began: call `gpt finetune` again with --force"
        )
    digests = manifest(initial).get("examples", {})
    for name in (TRAIN, VALID):
        _verify(run.data_folder / name, digests.get(name))
    data = read_data(config, run, load_tokenizer(run.tokenizer_folder), note)
    if config.train.replay and data.pretraining is None:
        raise DataError(f"{run.pretraining_folder} is gone, whose text train.replay mixes in: put it back")
    return data


def _verify(path: Path, sha256: str | None) -> None:
    """See that a file is as it was written.

    Raises: DataError where it is not.
    """
    try:
        found = sha256_file(path)
    except OSError as error:
        raise DataError(f"cannot read the run's own examples in {path}: {error.strerror}; put the file back") from None
    if found != sha256:
        raise DataError(f"{path} is damaged or was changed: its SHA-256 is not the one the run wrote down; put it back")


def read_data(config: FinetuneConfig, run: Run, tokenizer: Tokenizer, note: Note) -> FinetuneData:
    """The examples of a run as tokens, and its pretraining text."""
    parts: list[list[Item]] = []
    for name, what in ((TRAIN, "training"), (VALID, "validation")):
        examples = _read_examples(run.data_folder / name)
        parts.append(encode(config.task, examples, tokenizer, n_ctx=config.model.n_ctx, note=note, what=what))
    folder = run.pretraining_folder
    text = open_shards(folder, fingerprint=tokenizer.fingerprint) if (folder / INDEX).exists() else None
    return FinetuneData(parts[0], parts[1], text)


def _write_examples(path: Path, examples: Iterable[Example]) -> None:
    """One JSON object a line: the run's own copy, so that it can be resumed after its sources have moved."""
    lines = (json.dumps(asdict(example), ensure_ascii=False) for example in examples)
    write_atomic(path, "".join(f"{line}\n" for line in lines).encode())


def _read_examples(path: Path) -> list[Example]:
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return [Example(tuple(row["texts"]), tuple(row["answers"]), row["label"], row["where"]) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"cannot read the run's own examples in {path}: {error}") from None


def _take_text(sources: Sequence[str], tokenizer: Tokenizer, folder: Path, seed: int, note: Note) -> None:
    """Link packed shards into the run, or pack text for it."""
    config = DataConfig(sources=tuple(sources))
    packed = packed_source(config)
    if packed is not None:
        open_shards(packed, fingerprint=tokenizer.fingerprint)
        link_shards(packed, folder)
        return
    split = survey(config, seed, note)
    assert split is not None
    pack(read_documents(sources), tokenizer, folder, split=split)
