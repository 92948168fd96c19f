"""GPT-1's input transformations: a structured example as one or several token sequences a language model can read.

Source: GPT1 §3.3, Figure 1.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from gptrilogy.errors import ConfigError
from gptrilogy.finetuning.tasks import Example, KindName
from gptrilogy.tokenizers import Tokenizer

Ids: TypeAlias = Sequence[int]


class SpecialTokens(NamedTuple):
    """The three tokens fine-tuning appends to a vocabulary, in the order of the released code."""

    start: int
    delimiter: int
    extract: int

    @classmethod
    def after(cls, n_vocab: int) -> "SpecialTokens":
        """
        >>> SpecialTokens.after(40_478)
        SpecialTokens(start=40478, delimiter=40479, extract=40480)
        """
        return cls(n_vocab, n_vocab + 1, n_vocab + 2)


N_SPECIAL = len(SpecialTokens._fields)


class Transformed(NamedTuple):
    """The token sequences of one example, and whether some text had to be cut."""

    sequences: tuple[tuple[int, ...], ...]
    is_cut: bool


def transform(kind: KindName, examples: Sequence[Example], tokenizer: Tokenizer, *, n_ctx: int) -> list[Transformed]:
    """The sequences of each example, none longer than the context, of which only text is ever cut.

    classification, regression of one text    start text extract
    entailment                                start premise delimiter hypothesis extract
    similarity, regression of two texts       start first delimiter second extract, and the same with both exchanged
    choice                                    start context question delimiter answer extract, for each answer

    No delimiter stands between context and question. The paper joins their tokens; so that byte-level BPE sees two
    words there, the question is encoded with a space before it where a context precedes.

    Raises: ConfigError where the context has no room for a token of each text; TokenizerError for a lone surrogate.

    >>> from gptrilogy.tokenizers import BytesTokenizer
    >>> example = Example(("ab", "c"))
    >>> transform("similarity", [example], BytesTokenizer(), n_ctx=8)[0].sequences
    ((257, 97, 98, 258, 99, 259), (257, 99, 258, 97, 98, 259))
    """
    special = SpecialTokens.after(tokenizer.n_vocab)
    encoded = iter(
        tokenizer.encode_batch(
            [text for example in examples for text in (*_spaced(kind, example.texts), *example.answers)]
        )
    )
    return [_sequences(kind, example, encoded, special, n_ctx) for example in examples]


def _sequences(
    kind: KindName, example: Example, encoded: Iterator[list[int]], special: SpecialTokens, n_ctx: int
) -> Transformed:
    """One example from the ids of its texts and answers, the next in line."""
    texts = [next(encoded) for _ in example.texts]
    answers = [next(encoded) for _ in example.answers]
    made = [_assemble(parts, special, n_ctx) for parts in _parts(kind, texts, answers)]
    return Transformed(tuple(ids for ids, _ in made), any(is_cut for _, is_cut in made))


Parts: TypeAlias = list[list[Ids]]  # what stands between delimiters, each of one or several texts


def _parts(kind: KindName, texts: list[list[int]], answers: list[list[int]]) -> list[Parts]:
    """The parts of each sequence."""
    match kind, texts:
        case "choice", _:
            return [[[*texts], [answer]] for answer in answers]
        case _, [text]:
            return [[[text]]]
        case "entailment", [premise, hypothesis]:
            return [[[premise], [hypothesis]]]
        case _, [first, second]:
            return [[[first], [second]], [[second], [first]]]
        case _:
            raise AssertionError(f"{kind} of {len(texts)} texts")


def _spaced(kind: KindName, texts: tuple[str, ...]) -> tuple[str, ...]:
    if kind != "choice" or not all(texts):
        return texts
    context, question = texts
    return context, f" {question}"


def _assemble(parts: Parts, special: SpecialTokens, n_ctx: int) -> tuple[tuple[int, ...], bool]:
    """Join parts by delimiters between start and extract, and cut texts until they fit."""
    lengths = [len(text) for part in parts for text in part]
    room = n_ctx - len(parts) - 1  # start, extract, and a delimiter between two parts
    kept = iter(fit(lengths, room))
    ids = [special.start]
    for number, part in enumerate(parts):
        if number:
            ids.append(special.delimiter)
        for text in part:
            ids += text[: next(kept)]
    return (*ids, special.extract), sum(lengths) > room


def fit(lengths: Sequence[int], room: int) -> list[int]:
    """How many tokens each text keeps, from its beginning, so that together they are no more than `room`.

    The longest are cut to one length, shorter ones not at all. (GPT-1's released code gives both texts n_ctx/2 - 2
    each, also where the other needs less.)

    Raises: ConfigError where there is less room than one token a text.

    >>> fit([100, 5, 60], room=85)
    [40, 5, 40]
    """
    present = sum(length > 0 for length in lengths)
    if room < present:
        raise ConfigError(
            f"a context with room for {max(room, 0)} tokens of text cannot hold {present} texts; take a model with a "
            "larger n_ctx"
        )
    level, spare = room, 0
    if sum(lengths) > room:
        level = max(limit for limit in range(1, room + 1) if sum(min(n, limit) for n in lengths) <= room)
        spare = room - sum(min(n, level) for n in lengths)
    kept: list[int] = []
    for length in lengths:
        more = int(length > level and spare > 0)
        spare -= more
        kept.append(min(length, level + more))
    return kept
