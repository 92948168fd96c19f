"""The small GPT that a study pretrains for itself on presidential messages, in stages."""

from dataclasses import dataclass
from pathlib import Path

from gptrilogy.checkpoints import checkpoint_folders
from gptrilogy.config import parse
from gptrilogy.corpus.sotu import find_speeches
from gptrilogy.data.shards import PackedData
from gptrilogy.devices import describe
from gptrilogy.files import sha256_json
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.loading import load
from gptrilogy.metrics import Row
from gptrilogy.recipes.auto import Shape, with_shape
from gptrilogy.runs import Run
from gptrilogy.studies.study import Say
from gptrilogy.training.config import RunConfig
from gptrilogy.training.preparation import prepare, survey
from gptrilogy.training.pretrain import pretrain
from gptrilogy.training.resolve import resolve
from gptrilogy.training.signals import StopRequest

N_VOCAB = 2048
SMALL = Shape(n_layer=2, n_embd=128, n_head=4, n_ctx=128, batch_size=8, learning_rate=6.5e-3)
FINAL_VALID_WINDOWS = 200


@dataclass(frozen=True, slots=True)
class Pupil:
    """A run that is trained to one step after the other. One that is stopped goes on after its last checkpoint."""

    config: RunConfig
    run: Run
    data: PackedData

    @property
    def recipe_hash(self) -> str:
        """What its weights follow from beside the seed: model, optimisation, tokenizer and text."""
        config = self.config.model_dump(mode="json")
        index = self.data.index
        facts = [config["model"], config["train"], index.tokenizer.fingerprint, index.split.fingerprint]
        return sha256_json(facts)[:12]

    def after(self, updates: int, say: Say) -> LanguageModel:
        """The model after so many optimizer steps, trained until there; from the start again where it is further."""
        folders = checkpoint_folders(self.run.checkpoints_folder)
        if folders and folders[-1] > self.run.checkpoint_folder(updates):
            say(f"{self.run.folder} is trained past {updates:,} updates: it begins again")
            _create(self.run.folder, self.config, say)
        pretrain(self.config, self.run, self.data, Once(say), StopRequest(), stop_at=updates)
        return load(self.run.checkpoint_folder(updates), device=self.config.train.device)


def pack_speeches(folder: Path, say: Say) -> PackedData:
    """A run folder that only holds a tokenizer and the packed messages, for all seeds alike; made once.

    Raises: ConfigError where the messages are not installed.
    """
    config = parse(RunConfig, {"model": {"n_vocab": N_VOCAB}, "data": {"sources": (str(find_speeches()),)}})
    return open_run(folder, config, say)


def new_pupil(folder: Path, text: Path, packed: PackedData, *, seed: int, max_steps: int, say: Say) -> Pupil:
    """The run of one seed in `folder`, as far as it is; begun afresh where one with another config lies there.

    `text` is what `pack_speeches` made, and `packed` it returned.
    """
    asked = parse(
        RunConfig, {"seed": seed, "model": {"init_std": 0.02}, "data": {"sources": (str(Run(text).data_folder),)}}
    )
    config = with_shape(asked, SMALL, max_steps).replace(train={"final_valid_windows": FINAL_VALID_WINDOWS})
    config, _ = resolve(config, packed)
    return Pupil(config, Run(folder), open_run(folder, config, say))


def open_run(folder: Path, config: RunConfig, say: Say) -> PackedData:
    """The packed text of the run in `folder`, begun afresh where one with another config lies there."""
    run = Run(folder)
    if run.config_path.exists() and run.config() == config.model_dump(mode="json"):
        return prepare(config, survey(config.data, config.seed, say), run, say, say)[1]
    return _create(folder, config, say)


def _create(folder: Path, config: RunConfig, say: Say) -> PackedData:
    run = Run.create(folder, config.model_dump(mode="json"), describe(), force=True)
    return prepare(config, survey(config.data, config.seed, say), run, say, say)[1]


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
