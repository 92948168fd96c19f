"""Initial weights as the papers draw them."""

import math

import torch
from torch import nn

from gptrilogy.models.config import GPTConfig


@torch.no_grad()
def initialize(model: nn.Module, config: GPTConfig, generator: torch.Generator | None = None) -> None:
    """Draw every weight from N(0, init_std), positions from their own width, gains 1 and biases 0.

    With `scale_residual_init`, weights that write into the residual stream start smaller by 1/sqrt(N), N = 2 n_layer
    counting both sums of each block. The same count is used by the Sparse Transformer, from the same group.

    Source: GPT1 §4.1 (N(0, 0.02)), GPT2 §2.3 (residual scaling) and its released code (positions 0.01).
    """
    if next(model.parameters()).is_meta:
        return  # a model of shapes alone has no numbers to draw
    residual_std = config.init_std / math.sqrt(2 * config.n_layer)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.dim() == 1:
            nn.init.ones_(parameter)
        elif name == "wpe.weight":
            nn.init.normal_(parameter, std=config.position_init_std, generator=generator)
        elif config.scale_residual_init and name.endswith("c_proj.weight"):
            nn.init.normal_(parameter, std=residual_std, generator=generator)
        else:
            nn.init.normal_(parameter, std=config.init_std, generator=generator)
