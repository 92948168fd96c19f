"""From a path to a model that talks: a run folder, one of its checkpoints, or another program's folder."""

import warnings
from pathlib import Path

import torch

from gptrilogy.checkpoints import MANIFEST, best, newest_valid, read_checkpoint, verify_checkpoint
from gptrilogy.devices import pick_device
from gptrilogy.errors import CheckpointError, ConfigError, FormatError, TokenizerError
from gptrilogy.finetuning.saved import is_finetuned, language_model, restore_finetuned
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.generation.native_model import FORMATS, Format
from gptrilogy.interop.transfer import is_foreign, read_foreign
from gptrilogy.models.weights import with_weights
from gptrilogy.runs import Run
from gptrilogy.tokenizers.saved import load_tokenizer
from gptrilogy.training.state import load_model


def load(path: str | Path, *, device: str = "auto", precision: Format = "fp32") -> LanguageModel:
    """The best checkpoint of a run, the checkpoint named, a Hugging Face folder, OpenAI's files, or `hf:NAME`.

    Of a fine-tuned one it is the language model inside, without its head and special tokens.

    `precision`: fp32 is exact; bf16 rounds all weights, and a token takes half the time; int8 rounds further the
    weights that continue a text, on a CPU, and a token takes a third.

    Raises: CheckpointError where there is none, or where a file is damaged; FormatError for foreign files that
    cannot be read; ConfigError for an unknown precision, or where int8 cannot be had.
    """
    if precision not in FORMATS:
        raise ConfigError(f"unknown precision {precision}: give {', '.join(FORMATS)}")
    loaded = _load_foreign(path, device) if is_foreign(path) else _load_own(path, device)
    if precision == "fp32":
        return loaded
    model = loaded.model.to(torch.bfloat16)
    rounded = LanguageModel(model, loaded.tokenizer, loaded.source, int8_weights=precision == "int8")
    if precision == "int8" and rounded.native is None:
        raise ConfigError("precision int8 needs a CPU and a C++ compiler; give bf16, or install one, for example g++")
    return rounded


def _load_own(path: str | Path, device: str) -> LanguageModel:
    folder = find_checkpoint(Path(path))
    try:
        checkpoint = read_checkpoint(folder, with_train_state=False)
        tokenizer = load_tokenizer(folder / "tokenizer")
    except (CheckpointError, TokenizerError):
        if folder.exists() or folder == Path(path):
            raise
        return _load_own(path, device)  # a run at work has pruned it since: another is there
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
        if not folder.exists():
            return find_checkpoint(path)  # pruned since
        whole = newest_valid(checkpoints)
        if whole is None:
            raise
        warnings.warn(f"{error}; {whole} is used instead", stacklevel=3)
        return whole
    return folder
