"""GPT-1's tokenizer: spaCy's English words in lower case, each a byte-pair encoding of characters."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self, cast

from tokenizers.models import BPE

from gptrilogy.errors import TokenizerError
from gptrilogy.files import sha256_json
from gptrilogy.tokenizers.base import Encoder, IdArray, bytes_of, cut_special, utf8
from gptrilogy.tokenizers.gpt1_symbols import (
    UNKNOWN,
    WORD_END,
    characters_of,
    check_encoder,
    gpt1_vocabulary,
    symbol_bytes,
)
from gptrilogy.tokenizers.gpt1_text import Words, words
from gptrilogy.tokenizers.pieces import LINE
from gptrilogy.tokenizers.symbols import MAX_TOKEN_BYTES, Pair, parse_merge

FINETUNING_TOKENS = ("_start_", "_delimiter_", "_classify_")  # ids 40478, 40479 and 40480 in the released code
CACHED_WORDS = 1 << 17  # some 30 MB
CACHED_CHARS = 64
FIELDS = ("kind", "characters", "merges", "special")


class GPT1BPE:
    r"""Ids: `<unk>`, the characters, the same at a word's end, one for each new symbol of the merges, the line break,
    then the special tokens.

    A text does not come back as it was: it is repaired, lower-cased and cut into words, and each run of white space
    becomes one space, or ` \n ` where it held a line break. A character that was not learned is `<unk>`, which
    is decoded as these five letters without a space after it, since nobody knows whether a word ended there.

    The words are those of the installed spaCy and ftfy; in rare words they may differ from those of the versions of
    2018, with which the model was trained. Encoding needs the extra `gpt1`, decoding does not.

    Raises: TokenizerError for characters, merges or names that nobody can have learned.
    Source: GPT1 §4.1; openai/finetune-transformer-lm `text_utils.py`.

    >>> tokenizer = GPT1BPE("the.", [("t", "h"), ("th", "e</w>")])
    >>> tokenizer.encode("The thé.\nTHE"), tokenizer.n_vocab
    ([10, 9, 0, 8, 11, 10], 12)
    >>> tokenizer.decode([10, 9, 0, 8, 11, 10])
    'the th<unk>. \n the'
    >>> tokenizer.with_special(["_start_"]).encode("_start_the", allowed_special=["_start_"])
    [12, 10]
    """

    separator = " "
    gap = LINE
    eot_id = None

    def __init__(self, characters: Iterable[str], merges: Iterable[Pair], special: Iterable[str] = ()) -> None:
        self.characters, merges = tuple(characters), list(merges)
        symbols = gpt1_vocabulary(self.characters, merges)
        self.merges: tuple[Pair, ...] = tuple((left, right) for left, right in merges)
        self._symbols, self._special = symbols, _numbered(special, symbols)
        self._tokens = (*map(symbol_bytes, symbols), *(f"{name} ".encode() for name in self._special))
        self._engine = BPE(symbols, self.merges, unk_token=UNKNOWN, end_of_word_suffix=WORD_END, cache_capacity=0)
        self._known: dict[str, tuple[int, ...]] = {}
        self.fingerprint = sha256_json(self.definition())

    @classmethod
    def from_pair(cls, encoder: Mapping[str, int], merges: Iterable[Pair]) -> Self:
        """The tokenizer of a published encoder (token -> id) and its merges.

        Raises: TokenizerError naming the token or merge where the two are not what characters and merges build.
        """
        merges = list(merges)
        characters = characters_of(encoder, merges)
        check_encoder(encoder, gpt1_vocabulary(characters, merges))
        return cls(characters, merges)

    def with_special(self, names: Iterable[str]) -> Self:
        """The same tokenizer with more special tokens after its last id.

        >>> dict(GPT1BPE("a", []).with_special(FINETUNING_TOKENS).special_tokens)
        {'_start_': 4, '_delimiter_': 5, '_classify_': 6}
        """
        return type(self)(self.characters, self.merges, (*self.special_tokens, *names))

    @property
    def n_vocab(self) -> int:
        return len(self._tokens)

    @property
    def name(self) -> str:
        return f"gpt1_bpe-{self.n_vocab}"

    @property
    def special_tokens(self) -> Mapping[str, int]:
        return MappingProxyType(self._special)

    @property
    def vocabulary(self) -> Mapping[str, int]:
        """Every token as the published files write it, with its id; special tokens last."""
        return MappingProxyType(self._symbols | self._special)

    def encode(self, text: str, *, allowed_special: Collection[str] = ()) -> list[int]:
        """The ids of a text; names in `allowed_special` become their one id, all others stay plain characters.

        Raises: TokenizerError for an unknown name, a lone surrogate, or a text that would take spaCy or ftfy minutes;
            MissingExtraError where they are not installed.
        """
        utf8(text)  # a lone surrogate is refused with its place in the whole text
        ids: list[int] = []
        for piece in cut_special(text, allowed_special, self.special_tokens):
            if isinstance(piece, int):
                ids.append(piece)
            else:
                ids.extend(self._ids(words(piece)))
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def encode_arrays(self, texts: Sequence[str]) -> list[IdArray]:
        import numpy as np

        return [np.array(ids, np.uint32) for ids in self.encode_batch(texts)]

    def encoder(self) -> Encoder:
        import numpy as np

        text = Words()

        def encode(pieces: Sequence[str], begins: Sequence[bool]) -> list[IdArray]:
            nonlocal text
            found: list[IdArray] = []
            for piece, is_first in zip(pieces, begins, strict=True):
                utf8(piece)
                text = Words() if is_first else text
                found.append(np.fromiter(self._ids(text.read(piece)), np.uint32))
            return found

        return encode

    def decode(self, ids: Iterable[int]) -> str:
        text = b"".join(map(self.token_bytes, ids))
        return text.removesuffix(b" ").decode()

    def token_bytes(self, token_id: int) -> bytes:
        return bytes_of(token_id, self._tokens)

    def definition(self) -> dict[str, Any]:
        return {
            "kind": "gpt1_bpe",
            "characters": list(self.characters),
            "merges": [" ".join(pair) for pair in self.merges],
            "special": list(self.special_tokens),
        }

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any]) -> Self:
        """Raises: TokenizerError for unknown or missing fields, and as the class."""
        if set(definition) != set(FIELDS) or definition["kind"] != "gpt1_bpe":
            raise TokenizerError(
                f"a gpt1_bpe tokenizer has the fields {', '.join(FIELDS)}, got {sorted(definition)!r:.100}"
            )
        characters, merges, special = (_strings(definition, field) for field in FIELDS[1:])
        return cls(characters, (parse_merge(rank, line) for rank, line in enumerate(merges)), special)

    def _ids(self, words: Iterable[str]) -> Iterator[int]:
        for word in words:
            yield from self._known.get(word) or self._encode_word(word)

    def _encode_word(self, word: str) -> tuple[int, ...]:
        ids = tuple(token.id for token in self._engine.tokenize(word))
        if len(word) <= CACHED_CHARS:
            if len(self._known) >= CACHED_WORDS:
                self._known.clear()
            self._known[word] = ids
        return ids


def _numbered(names: Iterable[str], symbols: Mapping[str, int]) -> dict[str, int]:
    ids: dict[str, int] = {}
    for name in names:
        if not name or name in ids or name in symbols:
            raise TokenizerError(
                f"the special token {name!r:.60} is empty or there already; give every one its own name"
            )
        if (size := len(utf8(name))) > MAX_TOKEN_BYTES:
            raise TokenizerError(f"the special token {name!r:.60} has {size} bytes; the limit is {MAX_TOKEN_BYTES}")
        ids[name] = len(symbols) + len(ids)
    return ids


def _strings(definition: Mapping[str, Any], field: str) -> list[str]:
    values = definition[field]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in cast("list[object]", values)):
        raise TokenizerError(f"{field} must be a list of strings, got {values!r:.60}")
    return cast("list[str]", values)
