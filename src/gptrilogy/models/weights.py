"""A model from its config and its weights, which must fit each other."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gptrilogy.errors import CheckpointError
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.gpt import GPT


def with_weights(config: GPTConfig, weights: Mapping[str, Tensor], device: torch.device) -> GPT:
    """The model, ready to train, without ever drawing initial weights.

    Raises: CheckpointError where tensors are missing, left over, or of another shape than the config says.
    """
    expected = shapes(config)
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if expected != found:
        odd = next(name for name in sorted({*expected, *found}) if expected.get(name) != found.get(name))
        raise CheckpointError(
            f"the weights do not fit the config: {odd} has shape {found.get(odd)}, expected {expected.get(odd)}"
        )
    with torch.device("meta"):
        model = GPT(config)
    model.load_state_dict(dict(weights), assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_()
    return model.to(device)


def shapes(config: GPTConfig) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every weight, without allocating any."""
    with torch.device("meta"):
        model = GPT(config)
    return {name: tuple(parameter.shape) for name, parameter in model.state_dict().items()}
