"""From a path to a model that talks: a run folder, one of its checkpoints, or another program's folder."""

import warnings
from pathlib import Path

from gptrilogy.checkpoints import MANIFEST, best, newest_valid, read_checkpoint, verify_checkpoint
from gptrilogy.devices import pick_device
from gptrilogy.errors import CheckpointError, FormatError
from gptrilogy.finetuning.saved import is_finetuned, language_model, restore_finetuned
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.interop.transfer import is_foreign, read_foreign
from gptrilogy.models.weights import with_weights
from gptrilogy.runs import Run
from gptrilogy.tokenizers.saved import load_tokenizer
from gptrilogy.training.state import load_model


def load(path: str | Path, *, device: str = "auto") -> LanguageModel:
    """The best checkpoint of a run, the checkpoint named, a Hugging Face folder, OpenAI's files, or `hf:NAME`.

    Of a fine-tuned one it is the language model inside, without its head and special tokens.

    Raises: CheckpointError where there is none, or where a file is damaged; FormatError for foreign files that
    cannot be read.
    """
    if is_foreign(path):
        return _load_foreign(path, device)
    folder = find_checkpoint(Path(path))
    checkpoint = read_checkpoint(folder, with_train_state=False)
    tokenizer = load_tokenizer(folder / "tokenizer")
    where = pick_device(device)
    if is_finetuned(checkpoint.config):
        _, finetuned = restore_finetuned(checkpoint, where)
        return LanguageModel(language_model(finetuned), tokenizer, folder)
    return LanguageModel(load_model(checkpoint, where), tokenizer, folder)


def _load_foreign(path: str | Path, device: str) -> LanguageModel:
    model = read_foreign(path)
    if model.tokenizer is None:
        raise FormatError(
            f"{model.origin} came without a tokenizer: `gpt import {path} --tokenizer gpt2 --out DIR` gives it one"
        )
    return LanguageModel(with_weights(model.config, model.weights, pick_device(device)), model.tokenizer)


def find_checkpoint(path: Path) -> Path:
    """The checkpoint folder that a path stands for: a run's best, or with a warning its newest where that is damaged.

    Raises: CheckpointError where it stands for none, or for none that is whole.
    """
    if (path / MANIFEST).is_file():
        return path
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; give a run folder or a checkpoint folder")
    checkpoints = Run(path).checkpoints_folder
    folder = best(checkpoints)
    if folder is None:
        raise CheckpointError(
            f"{path} holds no checkpoint; give a run folder that `gpt pretrain SOURCE --out {path}` has made"
        )
    try:
        verify_checkpoint(folder)
    except CheckpointError as error:
        whole = newest_valid(checkpoints, lambda _: None)
        if whole is None:
            raise
        warnings.warn(f"{error}; {whole} is used instead", stacklevel=3)
        return whole
    return folder
