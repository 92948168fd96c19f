"""The models of the study of in-context learning: presidential messages and documents of tasks, read in one run."""

import json
from dataclasses import dataclass
from pathlib import Path

from gptrilogy.config import parse
from gptrilogy.corpus.sotu import find_speeches
from gptrilogy.data.shards import PackedData
from gptrilogy.errors import RunError
from gptrilogy.files import write_atomic
from gptrilogy.runs import Run
from gptrilogy.studies.in_context_tasks import documents
from gptrilogy.studies.pretraining import FINAL_VALID_WINDOWS, Pupil, open_run
from gptrilogy.studies.study import Say
from gptrilogy.training.config import RunConfig
from gptrilogy.training.resolve import resolve

N_VOCAB, N_CTX = 2048, 128  # 16 demonstrations of any task
HELD_OUT_EVERY = 20  # messages, of which one is for validation
INIT_STD = 0.06  # three times the papers': at widths around 100 attention forms sooner
BAND_WIDTH = 4  # of the first layer, GPT-3's banded one: a head that looks one word back forms many times sooner in it
TASKS_FILE = "tasks.jsonl"


@dataclass(frozen=True, slots=True)
class Size:
    """A model, and the peak rate it learns at."""

    n_layer: int
    n_embd: int
    n_head: int
    learning_rate: float

    @property
    def name(self) -> str:
        return f"{self.n_layer} x {self.n_embd}"


def pack_mixture(folder: Path, n_documents: int, say: Say) -> PackedData:
    """Write the documents of tasks, and pack them with the messages for all models alike; made once.

    All validation text is messages, so the loss of a run is one of plain text.

    Raises: ConfigError where the messages are not installed; RunError where the folder cannot be written.
    """
    tasks = folder / TASKS_FILE
    content = "".join(json.dumps({"text": text}) + "\n" for text in documents(n_documents, seed=0)).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not tasks.exists() or tasks.read_bytes() != content:
            write_atomic(tasks, content)
    except OSError as error:
        raise RunError(f"cannot write {tasks}: {error.strerror}; choose another --out") from None
    messages = [str(path) for path in sorted(find_speeches().glob("*.txt"))]
    valid = tuple(messages[HELD_OUT_EVERY // 2 :: HELD_OUT_EVERY])
    train = tuple(path for path in messages if path not in valid)
    asked = {"model": {"n_vocab": N_VOCAB}, "data": {"sources": (str(tasks), *train), "valid": valid}}
    return open_run(folder / "text", parse(RunConfig, asked), say)


def new_pupil(folder: Path, size: Size, packed: PackedData, *, max_steps: int, batch_size: int, say: Say) -> Pupil:
    """The run of a size in `folder`, on what `pack_mixture` made there, as far as it is."""
    asked = {
        "model": {
            "n_layer": size.n_layer,
            "n_embd": size.n_embd,
            "n_head": size.n_head,
            "n_ctx": N_CTX,
            "init_std": INIT_STD,
            "position_init_std": INIT_STD,
            "attention": ("banded", "dense"),
            "band_width": BAND_WIDTH,
        },
        "data": {"sources": (str(Run(folder / "text").data_folder),)},
        "train": {
            "max_steps": max_steps,
            "batch_size": batch_size,
            "learning_rate": size.learning_rate,
            "final_lr_fraction": 0.02,
            "warmup_steps": min(200, max(1, max_steps // 20)),
            "valid_every": max(1, max_steps // 10),
            "checkpoint_every": max(1, max_steps // 10),
            "final_valid_windows": FINAL_VALID_WINDOWS,
        },
    }
    config, _ = resolve(parse(RunConfig, asked), packed)
    run = folder / size.name.replace(" ", "")
    return Pupil(config, Run(run), open_run(run, config, say))
