"""What a reader of another program's files gives back."""

from dataclasses import dataclass

from torch import Tensor

from gptrilogy.models.config import GPTConfig
from gptrilogy.tokenizers.base import Tokenizer


@dataclass(frozen=True, slots=True)
class ForeignModel:
    """A model read from elsewhere: its config, its weights under our names, and its tokenizer where one came along."""

    config: GPTConfig
    weights: dict[str, Tensor]
    tokenizer: Tokenizer | None
    origin: str  # what it was, as in "OpenAI GPT-2 checkpoint models/124M"
