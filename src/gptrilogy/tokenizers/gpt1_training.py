"""Learn a vocabulary of GPT-1's scheme from any text, in Rust. `reference.learn_merges` is the readable twin."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping

from tokenizers import Tokenizer as Engine
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from gptrilogy.errors import ConfigError, DataError
from gptrilogy.tokenizers.base import utf8
from gptrilogy.tokenizers.bpe_training import MAX_N_VOCAB
from gptrilogy.tokenizers.gpt1 import GPT1BPE
from gptrilogy.tokenizers.gpt1_symbols import WORD_END
from gptrilogy.tokenizers.gpt1_text import NEWLINE, words
from gptrilogy.tokenizers.symbols import Pair

MAX_WORD_CHARS = 256  # a merge costs the engine the square of the longest word, and no word of English is longer


def train_gpt1_bpe(texts: Iterable[str], n_vocab: int) -> GPT1BPE:
    """GPT-1's kind of tokenizer with `n_vocab` ids, `<unk>` and the line break counted, that these texts suggest.

    Its characters are those of the texts, the most frequent first. The most frequent pair is merged first; of equally
    frequent ones, that of the older symbols, which for characters are those of the smaller code point. A pair seen once
    is left alone, so a small text fills less than `n_vocab`. Words of more than 256 characters give characters, but no
    merges.

    Raises: ConfigError if the characters alone take more than `n_vocab`, or it exceeds 500,000; DataError if there is
        no word; TokenizerError and MissingExtraError as `encode`.
    Source: GPT1 §4.1; BPE Algorithm 1. Neither says how ties were broken.

    >>> train_gpt1_bpe(["Low, low, low, lower"], n_vocab=16).merges
    (('l', 'o'), ('lo', 'w</w>'))
    """
    if n_vocab > MAX_N_VOCAB:
        raise ConfigError(f"n_vocab must be at most {MAX_N_VOCAB:,}, got {n_vocab:,}; ask for fewer tokens")
    counts = count_words(texts)
    if not counts:
        raise DataError("there is no text to train a tokenizer on: 0 words in all; give one text that is not empty")
    least = 2 + 2 * len({character for word in counts for character in word})
    if n_vocab < least:
        raise ConfigError(
            f"n_vocab must be at least {least} for this text, got {n_vocab}: <unk>, the line break and each character "
            "in two forms come first"
        )
    return from_counts(counts, n_vocab - least)


def from_counts(counts: Mapping[str, int], n_merges: int) -> GPT1BPE:
    """The tokenizer of words that occur so often, with up to `n_merges` merges."""
    characters = Counter[str]()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
    ordered = sorted(characters, key=lambda character: (-characters[character], character))
    return GPT1BPE(ordered, _learned(counts, n_merges))


def count_words(texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs; line breaks are not words."""
    counts = Counter[str]()
    for text in texts:
        utf8(text)
        counts.update(words(text))
    del counts[NEWLINE]
    return counts


def _learned(counts: Mapping[str, int], n_merges: int) -> list[Pair]:
    kept = {word: count for word, count in counts.items() if len(word) <= MAX_WORD_CHARS}
    # Given as special tokens, symbols have ids in this order, by which the engine breaks ties; its own order is random.
    characters = {character for word in kept for character in word}
    symbols = sorted(characters | {character + WORD_END for character in characters})
    trainer = BpeTrainer(
        vocab_size=len(symbols) + n_merges,
        min_frequency=2,
        special_tokens=symbols,
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    engine = Engine(BPE())
    engine.train_from_iterator((word for word, count in kept.items() for _ in range(count)), trainer)
    merges: list[Pair] = json.loads(engine.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges[:n_merges]]
