"""What the faults are done to: a run of a few thousand weights on a page of text, and the same run undisturbed."""

import json
import random
import shutil
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import safetensors.numpy

from gptrilogy.checkpoints import checkpoint_folders, manifest
from gptrilogy.metrics import read_metrics
from gptrilogy.runs import Run
from torture.commands import Ended, Warm

WORDS = ["a", "truth", "universally", "acknowledged", "single", "man", "in", "possession", "of", "good", "fortune"]
MAX_STEPS, CHECKPOINT_EVERY, VALID_EVERY = 50, 7, 10
FLAGS = (
    "--recipe gpt1 --tokenizer bytes --model.n-layer 1 --model.n-embd 16 --model.n-head 2 "
    "--model.n-ctx 16 --train.batch-size 3 --train.micro-batch-size 2 --train.warmup-steps 5 "
    f"--train.learning-rate 1e-2 --train.valid-every {VALID_EVERY} --train.valid-windows 4 --train.sample-every 20 "
    f"--train.checkpoint-every {CHECKPOINT_EVERY} --max-steps {MAX_STEPS}"
).split()
TUNE_FLAGS = (
    *("--task", "classification", "--train.epochs", "3", "--train.batch-size", "4", "--train.precision", "fp32"),
    *("--train.valid-every", "14", "--train.checkpoint-every", "7"),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to train: the words of the command that begins a run, and what an undisturbed one ended with."""

    name: str
    words: tuple[str, ...]
    ending: "Ending"


@dataclass(frozen=True, slots=True)
class Ending:
    """Everything that must not depend on what happened on the way: logged numbers, and the last state's bytes."""

    rows: tuple[str, ...]
    tensors: dict[str, bytes]

    @classmethod
    def of(cls, folder: Path) -> "Ending":
        run = Run(folder)
        rows = [row for row in read_metrics(run.metrics_path) if row["event"] in ("train", "valid", "end")]
        timeless = [{key: row[key] for key in row if not key.endswith(("elapsed_s", "_per_s"))} for row in rows]
        last = checkpoint_folders(run.checkpoints_folder)[-1]
        tensors: dict[str, bytes] = {}
        for path in (last / "model.safetensors", last / "train_state" / "tensors.safetensors"):
            tensors |= {name: array.tobytes() for name, array in safetensors.numpy.load_file(path).items()}
        return cls(tuple(json.dumps(row, sort_keys=True) for row in timeless), tensors)

    def differs_from(self, other: "Ending") -> str:
        """In what, in a few words; nothing where both are equal to the bit."""
        if self.rows != other.rows:
            at = next((i for i, (a, b) in enumerate(zip(self.rows, other.rows, strict=False)) if a != b), "the end")
            return f"the logs differ from row {at} on ({len(self.rows)} and {len(other.rows)} rows)"
        names = [name for name in self.tensors | other.tensors if self.tensors.get(name) != other.tensors.get(name)]
        return f"tensors differ: {', '.join(names[:3])}" if names else ""


class Subject:
    """Runs to copy and to spoil, all below one folder."""

    def __init__(self, folder: Path, warm: Warm) -> None:
        self.folder, self.warm = folder, warm
        self._numbers = count()
        self.text = folder / "page.txt"
        chosen = random.Random(0).choices(WORDS, k=400)
        self.text.write_text(" ".join(chosen), encoding="utf-8")
        self.labels = folder / "labels.jsonl"
        rows = [{"text": " ".join(chosen[i : i + 3]), "label": chosen[i]} for i in range(60)]
        self.labels.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        self.whole = self.begun("whole", self._pretraining())
        self.pretraining = Kind("pretrain", self._pretraining(), Ending.of(self.whole))
        self._tuned: Kind | None = None

    def _pretraining(self) -> tuple[str, ...]:
        return ("pretrain", str(self.text), *FLAGS)

    @property
    def finetuning(self) -> Kind:
        """The other loop's objective, whose runs are made when first asked for."""
        if self._tuned is None:
            words = ("finetune", str(self.whole), str(self.labels), *TUNE_FLAGS)
            self._tuned = Kind("finetune", words, Ending.of(self.begun("whole-tuned", words)))
        return self._tuned

    def begun(self, name: str, words: tuple[str, ...], *more: object) -> Path:
        """A run made by a command that nothing disturbs."""
        folder = self.folder / name
        self.must(self.warm.run(*words, "--out", folder, *more))
        return folder

    def stopped(self, kind: Kind, step: int) -> Path:
        """A run that was stopped after a step; made once."""
        folder = self.folder / f"{kind.name}-stopped-{step}"
        return folder if folder.exists() else self.begun(folder.name, kind.words, "--stop-at", step)

    def copy(self, run: Path) -> Path:
        """A run to spoil; the last such is gone."""
        target = self.folder / f"spoilt-{next(self._numbers)}"
        shutil.rmtree(self.folder / f"spoilt-{int(target.name.removeprefix('spoilt-')) - 1}", ignore_errors=True)
        return Path(shutil.copytree(run, target))

    def fresh(self) -> Path:
        """A place where no run is yet."""
        return self.folder / f"fresh-{next(self._numbers)}"

    def finish(self, run: Path, kind: Kind) -> str:
        """Resume a run to its end with nothing in the way; what is then wrong with it, if anything."""
        ended = self.warm.run("resume", run)
        if ended.code:
            return f"resume ended with {ended.code}: {ended.err[-200:]}"
        left = leftovers(run)
        return Ending.of(run).differs_from(kind.ending) or (f"left over: {left[0]}" if left else "")

    @staticmethod
    def must(ended: Ended) -> Ended:
        if ended.code:
            raise RuntimeError(f"an undisturbed command ended with {ended.code}: {ended.err}")
        return ended


def leftovers(run: Path) -> list[Path]:
    """What no run should hold: temporary files and half-written folders."""
    return [path for path in run.rglob(".*") if path.name != ".lock"]


def newest_step(run: Path) -> int:
    """The step of the last checkpoint that has a manifest; -1 where there is none."""
    folders = checkpoint_folders(Run(run).checkpoints_folder)
    return int(manifest(folders[-1])["step"]) if folders else -1


def events(run: Path) -> list[dict[str, Any]]:
    return read_metrics(Run(run).metrics_path)
