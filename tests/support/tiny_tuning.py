"""A pretrained model of a few thousand weights and toy tasks: whole fine-tuning runs in a fraction of a second."""

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gptrilogy.checkpoints import best, checkpoint_folders, manifest, read_checkpoint
from gptrilogy.config import Tree, merge, parse
from gptrilogy.finetuning.config import FinetuneConfig
from gptrilogy.finetuning.finetune import finetune
from gptrilogy.finetuning.preparation import prepare, reopen
from gptrilogy.finetuning.tasks import Example, KindName
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.metrics import Row, read_metrics
from gptrilogy.models import GPT
from gptrilogy.runs import Run
from gptrilogy.tokenizers import BytesTokenizer
from gptrilogy.training.loop import Outcome
from gptrilogy.training.progress import ConsoleReporter
from gptrilogy.training.signals import StopRequest
from tiny_tasks import GPT2

TINY: Tree = {
    "task": {"kind": "classification"},
    "train": {
        "max_steps": 6,
        "batch_size": 5,
        "learning_rate": 1e-2,
        "warmup_fraction": 0.4,
        "precision": "fp32",
        "valid_every": 2,
    },
}


def ignore(*what: object) -> None: ...


def base_model() -> LanguageModel:
    """A pretrained model, as far as anybody can tell: no weight is as a new one would be."""
    model = GPT(GPT2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.01)
    return LanguageModel(model, BytesTokenizer())


def examples(kind: KindName = "classification", n: int = 40, *, seed: int = 0) -> list[Example]:
    """Examples whose label a letter gives away: x or z, at the end of a text."""
    source = random.Random(seed)
    return [_example(kind, source, place) for place in range(n)]


def _example(kind: KindName, source: random.Random, place: int) -> Example:
    right, where = place % 2, f"toy.jsonl:{place + 1}"
    noise = "".join(source.choices("abcde", k=source.randint(1, 9)))
    text = noise + "xz"[right] * 2
    match kind:
        case "classification":
            return Example((text,), label=("bad", "good")[right], where=where)
        case "choice":
            answers = ("xx", "zz", "ab")[: 2 + place % 3 // 2]
            return Example(("", text), answers, right, where)
        case "regression":
            return Example((noise, text), label=2.0 + 1.5 * right, where=where)
        case _:
            return Example((noise, text), label=str(right), where=where)


def write_page(folder: Path) -> Path:
    """Text as of the pretraining, in many files: hundreds of tokens to replay, and some to hold out."""
    source = random.Random(0)
    folder.mkdir()
    for number in range(20):
        words = " ".join(source.choices(["a", "truth", "universally", "acknowledged"], k=12))
        (folder / f"page-{number}.txt").write_text(words, encoding="utf-8")
    return folder


def prepared(folder: Path, changes: Tree | None = None, *, pretraining: Path | None = None) -> Run:
    """Make a run that is ready to train: `TINY` with some fields changed."""
    config = parse(FinetuneConfig, merge(TINY, changes or {}))
    run = Run.create(folder, config.model_dump(mode="json"), {})
    train, valid = (examples(config.task.kind, n, seed=seed) for n, seed in ((40, 0), (8, 1)))
    texts = [] if pretraining is None else [str(pretraining)]
    prepare(config, base_model(), train, valid, run, ignore, pretraining=texts)
    return run


class Listener(ConsoleReporter):
    """A reporter to nobody, which passes rows and progress on and keeps the warnings."""

    def __init__(self, on_row: Callable[[Row], Any] = ignore, on_progress: Callable[[int, int], Any] = ignore) -> None:
        super().__init__(stream=io.StringIO())
        self.on_row, self.on_progress = on_row, on_progress
        self.warnings: list[str] = []

    def row(self, row: Row) -> None:
        self.on_row(row)

    def within_step(self, step: int, done: int, batch_size: int) -> None:
        self.on_progress(step, done)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def tune(
    run: Run, *, stop_at: int | None = None, stop: StopRequest | None = None, listener: Listener | None = None
) -> Outcome:
    """Train a run out of its own folder, from its newest checkpoint if it has one."""
    config = parse(FinetuneConfig, run.config())
    stop = StopRequest() if stop is None else stop  # a request not yet made is false
    torch.seed()  # nothing is left of the random numbers before, as in a process of its own
    return finetune(config, run, reopen(config, run, ignore), listener or Listener(), stop, stop_at=stop_at)


def numbers(run: Run) -> list[Row]:
    """The rows of training and judgement, without what the clock decides."""
    rows = [row for row in read_metrics(run.metrics_path) if row["event"] in ("pretraining", "train", "valid", "end")]
    return [{key: row[key] for key in row if key not in ("elapsed_s", "examples_per_s")} for row in rows]


def last_state(run: Run) -> dict[str, Tensor]:
    """Everything the last checkpoint holds in tensors: weights, optimizer moments and random generators."""
    checkpoint = read_checkpoint(checkpoint_folders(run.checkpoints_folder)[-1])
    return {**checkpoint.model, **checkpoint.train_tensors}


def judgements(run: Run) -> dict[int, float]:
    """The validation score of each checkpoint that was judged, by step."""
    found = [manifest(folder) for folder in checkpoint_folders(run.checkpoints_folder)]
    return {each["step"]: each["valid_score"] for each in found if "valid_score" in each}


def chosen_and_last(run: Run) -> list[tuple[str, float | None]]:
    """The best and the newest checkpoint, each with its score. Those between depend on where a run stopped."""
    folders = best(run.checkpoints_folder), checkpoint_folders(run.checkpoints_folder)[-1]
    return [(folder.name, manifest(folder).get("valid_score")) for folder in folders if folder]


def assert_equal_runs(one: Run, other: Run) -> None:
    """Two runs logged the same numbers, chose the same checkpoint and ended in the same state, to the bit."""
    assert numbers(one) == numbers(other)
    left, right = last_state(one), last_state(other)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
    assert chosen_and_last(one) == chosen_and_last(other)
