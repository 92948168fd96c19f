"""Learn a byte-level BPE from text, in bounded memory. `reference.train_reference` is its readable twin."""

import json
from collections.abc import Callable, Iterable, Iterator
from ctypes import CDLL
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from tokenizers import Tokenizer as Engine
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, FixedLength
from tokenizers.pre_tokenizers import Sequence as Chain
from tokenizers.trainers import BpeTrainer

from gptrilogy.errors import ConfigError, DataError, TokenizerError
from gptrilogy.tokenizers.base import utf8
from gptrilogy.tokenizers.byte_bpe import ByteLevelBPE
from gptrilogy.tokenizers.pieces import grouped, pieces
from gptrilogy.tokenizers.symbols import MAX_TOKEN_BYTES, Pair

if TYPE_CHECKING:
    from gptrilogy.tokenizers.piece_counts import PieceCounts

MIN_N_VOCAB = 257  # the bytes and <|endoftext|>
MAX_N_VOCAB = 500_000  # twice the largest published ones; a tokenizer's file is read up to 600,000 values
SMALL_CHARS = 1 << 20  # Hugging Face's trainer is done with so much before our own is loaded, or even compiled
GROUP_CHARS = 1 << 22

OnProgress: TypeAlias = Callable[[str], None]


def train_byte_bpe(texts: Iterable[str], n_vocab: int, *, on_progress: OnProgress | None = None) -> ByteLevelBPE:
    """The BPE of `n_vocab` ids, bytes and `<|endoftext|>` counted, that these texts suggest.

    The most frequent pair is merged first; of equally frequent ones, that of the older symbols. A pair
    seen once is left alone, so a small text fills less than `n_vocab`: see the `n_vocab` of the result.
    A word longer than 1024 bytes is read in parts, so no token grows longer. Equal texts in equal order
    give equal merges.

    Memory is bounded however long the texts together are: beyond some two million different pieces (words
    with the space before them; in Chinese, all between two punctuation marks), counts are estimates, see
    `PieceCounts`; up to there they are exact. Where no C++ compiler is, Hugging Face's trainer learns from exact
    counts always, and takes the time and memory that needs. `on_progress` is told what has been done.

    Raises: ConfigError if `n_vocab` is not in 257..500,000; DataError if there is no text; TokenizerError for a lone
        surrogate.
    Source: BPE Algorithm 1. The GPT papers do not say how ties or rare pairs were treated.

    >>> train_byte_bpe(["low low low lower lower"], n_vocab=259).merges
    (('l', 'o'), ('lo', 'w'))
    """
    check_size(n_vocab)
    from gptrilogy.tokenizers.native_bpe import learn_merges, library  # numpy is for those who train

    groups = grouped(_checked(texts), GROUP_CHARS)
    first = next(groups)
    native = library() if sum(map(len, first)) > SMALL_CHARS else None
    n_merges = n_vocab - MIN_N_VOCAB
    if native is None:
        return ByteLevelBPE(learn_exactly(chain(first, chain.from_iterable(groups)), n_merges))
    table = _counts(native, chain([first], groups), on_progress)

    def on_merges(n_done: int) -> None:
        if on_progress:
            on_progress(f"learned {n_done:,} of {n_merges:,} merges")

    found = table.estimate()
    del table
    return ByteLevelBPE(learn_merges(native, found, n_merges, on_merges))


def check_size(n_vocab: int) -> None:
    """Raises: ConfigError for a vocabulary that nobody can learn here."""
    if n_vocab < MIN_N_VOCAB:
        raise ConfigError(
            f"n_vocab must be at least {MIN_N_VOCAB}, got {n_vocab}: 256 bytes and <|endoftext|> come first"
        )
    if n_vocab > MAX_N_VOCAB:
        raise ConfigError(f"n_vocab must be at most {MAX_N_VOCAB:,}, got {n_vocab:,}; ask for fewer tokens")


def learn_exactly(texts: Iterable[str], n_merges: int) -> list[Pair]:
    """The same by Hugging Face's trainer, from exact counts, in memory that grows with the texts."""
    engine = Engine(BPE())
    # A merge costs the engine the square of the longest word: a megabyte of one letter would take hours.
    engine.pre_tokenizer = Chain([ByteLevel(add_prefix_space=False), FixedLength(MAX_TOKEN_BYTES)])
    trainer = BpeTrainer(
        vocab_size=256 + n_merges,
        min_frequency=2,
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    engine.train_from_iterator(texts, trainer)
    merges: list[list[str]] = json.loads(engine.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]


def _counts(native: CDLL, groups: Iterable[list[str]], on_progress: OnProgress | None) -> "PieceCounts":
    from gptrilogy.tokenizers.native_bpe import counted
    from gptrilogy.tokenizers.piece_counts import PieceCounts

    table = PieceCounts()
    done_bytes = 0
    for n_bytes, group in counted(native, groups):
        table.add(group)
        done_bytes += n_bytes
        if on_progress:
            kept = f", of which 1 in {table.one_in} counts" if table.one_in > 1 else ""
            on_progress(f"counted {done_bytes / 1e6:,.0f} MB: {len(table):,} different pieces{kept}")
    return table


def _checked(texts: Iterable[str]) -> Iterator[str]:
    """The texts in pieces that fit in memory many times over, once it is known that they are text."""
    filled = (text for text in texts if text)
    first = next(filled, None)
    if first is None:
        raise DataError(
            "there is no text to train a tokenizer on: 0 characters in all; give one text that is not empty"
        )
    for text in chain([first], filled):
        for piece in pieces(text):
            if not piece.isascii():
                _check(piece, text)
            yield piece


def _check(piece: str, text: str) -> None:
    try:
        utf8(piece)
    except TokenizerError:
        utf8(text)  # says where in the whole text
        raise
