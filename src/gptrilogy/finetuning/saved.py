"""Fine-tuned models on disk and back: a checkpoint as of any run, whose config names a task."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gptrilogy.checkpoints import Checkpoint, write_checkpoint
from gptrilogy.config import parse
from gptrilogy.errors import CheckpointError
from gptrilogy.finetuning.config import FinetuneConfig
from gptrilogy.finetuning.lora import add_adapters, merge_adapters
from gptrilogy.finetuning.model import FineTuned
from gptrilogy.finetuning.transforms import N_SPECIAL
from gptrilogy.models.gpt import GPT
from gptrilogy.models.weights import with_weights
from gptrilogy.runs import Run


def is_finetuned(config: Mapping[str, Any]) -> bool:
    """Whether a stored config is a fine-tuning run's."""
    return "task" in config


def write_initial(run: Run, config: FinetuneConfig, model: FineTuned, digests: Mapping[str, str]) -> None:
    """Keep the weights a run begins with: resume and L2-SP need them.

    `digests`, file name -> SHA-256, are those of the run's examples, by which damage is noticed.

    Raises: CheckpointError where the disk is full or cannot be written.
    """
    checkpoint = Checkpoint(config.model_dump(mode="json"), model.state_dict())
    summary = {"step": 0, "examples": dict(digests)}
    write_checkpoint(run.initial_folder, checkpoint, tokenizer=run.tokenizer_folder, summary=summary)


def rebuild(config: FinetuneConfig, weights: Mapping[str, Tensor], device: torch.device) -> FineTuned:
    """The model of stored weights, with adapters where they have some.

    Raises: CheckpointError where the weights do not fit the config.
    """
    with torch.device("meta"):
        model = FineTuned(GPT(config.model), config.task, config.train.head_dropout)
        if config.train.lora_rank and any(name.endswith("c_attn.A") for name in weights):
            add_adapters(model.gpt, config.train.lora_rank, config.train.lora_alpha)
    try:
        model.load_state_dict(dict(weights), assign=True)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"the weights do not fit the config of this fine-tuning run: {first}") from None
    return model.to(device)


def restore_finetuned(checkpoint: Checkpoint, device: torch.device) -> tuple[FinetuneConfig, FineTuned]:
    """The model of a checkpoint, its adapters merged.

    Raises: CheckpointError; ConfigError.
    """
    config = parse(FinetuneConfig, checkpoint.config)
    model = rebuild(config, checkpoint.model, device)
    merge_adapters(model.gpt)
    return config, model


def language_model(model: FineTuned) -> GPT:
    """The GPT inside, without the special tokens: it predicts text as the pretrained one did. Adapters are merged."""
    merge_adapters(model.gpt)
    config = model.gpt.config
    weights = model.gpt.state_dict()
    weights["wte.weight"] = weights["wte.weight"][: config.n_vocab - N_SPECIAL]
    return with_weights(config.replace(n_vocab=config.n_vocab - N_SPECIAL), weights, model.head.weight.device)
