"""What a reader of another program's files gives back."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gptrilogy.errors import FormatError
from gptrilogy.models.config import GPTConfig
from gptrilogy.tokenizers.base import Tokenizer
from gptrilogy.tokenizers.foreign import holds_tokenizer
from gptrilogy.tokenizers.saved import load_tokenizer


@dataclass(frozen=True, slots=True)
class ForeignModel:
    """A model read from elsewhere: its config, its weights under our names, and its tokenizer where one came along."""

    config: GPTConfig
    weights: dict[str, Tensor]
    tokenizer: Tokenizer | None
    origin: str  # what it was, as in "OpenAI GPT-2 models/124M"


def folder_tokenizer(folder: Path, config: GPTConfig) -> Tokenizer | None:
    """The tokenizer that lies beside a model's weights, None where there is none.

    Raises: TokenizerError where its files cannot be read; FormatError where it is not the model's.
    """
    if not holds_tokenizer(folder):
        return None
    tokenizer = load_tokenizer(folder)
    must_fit(tokenizer, config, where=str(folder))
    return tokenizer


def must_fit(tokenizer: Tokenizer, config: GPTConfig, *, where: str) -> None:
    """Raises: FormatError where a tokenizer and a model count their tokens differently."""
    if tokenizer.n_vocab != config.n_vocab:
        raise FormatError(
            f"{where}: the model has {config.n_vocab} tokens, its tokenizer {tokenizer.name} has {tokenizer.n_vocab}; "
            "find the tokenizer that it was trained with"
        )
