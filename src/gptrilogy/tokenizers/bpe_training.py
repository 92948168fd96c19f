"""Learn a byte-level BPE from text, in Rust. `reference.train_reference` is its readable twin."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain

from tokenizers import Tokenizer as Engine
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, FixedLength
from tokenizers.pre_tokenizers import Sequence as Chain
from tokenizers.trainers import BpeTrainer

from gptrilogy.errors import ConfigError, DataError
from gptrilogy.tokenizers.base import utf8
from gptrilogy.tokenizers.byte_bpe import ByteLevelBPE
from gptrilogy.tokenizers.pieces import pieces
from gptrilogy.tokenizers.symbols import MAX_TOKEN_BYTES

MIN_N_VOCAB = 257  # the bytes and <|endoftext|>


def train_byte_bpe(texts: Iterable[str], n_vocab: int) -> ByteLevelBPE:
    """The BPE of `n_vocab` ids, bytes and `<|endoftext|>` counted, that these texts suggest.

    The most frequent pair is merged first; of equally frequent ones, that of the older symbols. A pair
    seen once is left alone, so a small text fills less than `n_vocab`: see the `n_vocab` of the result.
    A word longer than 1024 bytes is read in parts, so no token grows longer. Equal texts in equal order
    give equal merges.

    Raises: ConfigError if `n_vocab` is below 257; DataError if there is no text; TokenizerError for a lone surrogate.
    Source: BPE Algorithm 1. The GPT papers do not say how ties or rare pairs were treated.

    >>> train_byte_bpe(["low low low lower lower"], n_vocab=259).merges
    (('l', 'o'), ('lo', 'w'))
    """
    if n_vocab < MIN_N_VOCAB:
        raise ConfigError(
            f"n_vocab must be at least {MIN_N_VOCAB}, got {n_vocab}: 256 bytes and <|endoftext|> come first"
        )
    engine = Engine(BPE())
    # A merge costs the engine the square of the longest word: a megabyte of one letter would take hours.
    engine.pre_tokenizer = Chain([ByteLevel(add_prefix_space=False), FixedLength(MAX_TOKEN_BYTES)])
    trainer = BpeTrainer(
        vocab_size=n_vocab - 1,  # <|endoftext|> is not the engine's business
        min_frequency=2,
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    engine.train_from_iterator(_checked(texts), trainer)
    merges: list[list[str]] = json.loads(engine.to_str())["model"]["merges"]
    return ByteLevelBPE((left, right) for left, right in merges)


def _checked(texts: Iterable[str]) -> Iterator[str]:
    """The texts in pieces that fit in memory many times over, once it is known that they are text."""
    filled = (text for text in texts if text)
    first = next(filled, None)
    if first is None:
        raise DataError(
            "there is no text to train a tokenizer on: 0 characters in all; give one text that is not empty"
        )
    for text in chain([first], filled):
        utf8(text)
        yield from pieces(text)
