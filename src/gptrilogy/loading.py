"""From a path to a model that talks: a run folder or one of its checkpoints."""

from pathlib import Path

from gptrilogy.checkpoints import MANIFEST, best, read_checkpoint
from gptrilogy.devices import pick_device
from gptrilogy.errors import CheckpointError
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.runs import Run
from gptrilogy.tokenizers.saved import load_tokenizer
from gptrilogy.training.state import load_model


def load(path: str | Path, *, device: str = "auto") -> LanguageModel:
    """The best checkpoint of a run, or the checkpoint named.

    Raises: CheckpointError where there is none, or where a file is damaged.
    """
    folder = find_checkpoint(Path(path))
    checkpoint = read_checkpoint(folder, with_train_state=False)
    tokenizer = load_tokenizer(folder / "tokenizer")
    return LanguageModel(load_model(checkpoint, pick_device(device)), tokenizer, folder)


def find_checkpoint(path: Path) -> Path:
    """The checkpoint folder that a path stands for.

    Raises: CheckpointError where it stands for none.
    """
    if (path / MANIFEST).is_file():
        return path
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; give a run folder or a checkpoint folder")
    folder = best(Run(path).checkpoints_folder)
    if folder is None:
        raise CheckpointError(
            f"{path} holds no checkpoint; give a run folder that `gpt pretrain SOURCE --out {path}` has made"
        )
    return folder
