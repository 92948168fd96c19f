"""GPT-2's tokenizer: byte-level BPE, run in Rust by one of two `engines`. `reference` is its readable twin."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self, cast

from gptrilogy.errors import TokenizerError
from gptrilogy.files import sha256_json
from gptrilogy.tokenizers.base import END_OF_TEXT, Encoder, IdArray, bytes_of, cut_special, utf8
from gptrilogy.tokenizers.engines import Engine, FastEngine, SteadyEngine, fast_engine
from gptrilogy.tokenizers.pieces import SPACE
from gptrilogy.tokenizers.symbols import Pair, parse_merge, to_bytes, vocabulary

# The steady engine encodes so much in the time that the fast one takes to build: a prompt never waits for it.
FAST_FROM_CHARS = 1 << 18


class ByteLevelBPE:
    """Ids: the 256 bytes in GPT-2's order, one for each new symbol that `merges` make, `<|endoftext|>` last.

    Every text can be encoded and comes back unchanged. `<|endoftext|>` written in a text is encoded as the
    characters it is made of, unless the caller allows it by name: a document cannot end itself.

    With GPT-2's merges the ids are tiktoken's. Letters and digits are those of Unicode 16, for both engines
    (`tokenizers` 0.22 to 0.23, `fastokens` 0.3.5) as for tiktoken (0.12 to 0.14); a younger letter is split off
    like punctuation.

    Raises: TokenizerError for merges that cannot have been learned one after the other.
    Source: GPT2 §2.2; openai/gpt-2 `encoder.py`.

    >>> tokenizer = ByteLevelBPE([("h", "e"), ("he", "n"), ("Ġ", "hen")])
    >>> tokenizer.encode("hen hen"), tokenizer.eot_id, tokenizer.n_vocab
    ([257, 258], 259, 260)
    >>> tokenizer.decode([258, 0])
    ' hen!'
    >>> tokenizer.decode([260])
    Traceback (most recent call last):
    ...
    gptrilogy.errors.TokenizerError: token id 260 is outside 0..259; were these ids made by another tokenizer?
    """

    separator = ""
    gap = SPACE

    def __init__(self, merges: Iterable[Pair]) -> None:
        merges = list(merges)
        ids = vocabulary(merges)
        self.merges: tuple[Pair, ...] = tuple((left, right) for left, right in merges)
        self._tokens = (*map(to_bytes, ids), END_OF_TEXT.encode())
        self._ids = ids
        self._engine: Engine = SteadyEngine(ids, self.merges)
        self.fingerprint = sha256_json(self.definition())

    @property
    def n_vocab(self) -> int:
        return len(self._tokens)

    @property
    def eot_id(self) -> int:
        return self.n_vocab - 1

    @property
    def name(self) -> str:
        return f"byte_bpe-{self.n_vocab}"

    @property
    def special_tokens(self) -> Mapping[str, int]:
        return MappingProxyType({END_OF_TEXT: self.eot_id})

    def encode(self, text: str, *, allowed_special: Collection[str] = ()) -> list[int]:
        utf8(text)  # a lone surrogate is refused with its place in the whole text
        pieces = list(cut_special(text, allowed_special, self.special_tokens))
        ids = iter(self.encode_batch([piece for piece in pieces if isinstance(piece, str)]))
        return [token for piece in pieces for token in ([piece] if isinstance(piece, int) else next(ids))]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [ids.tolist() for ids in self.encode_arrays(texts)]

    def encoder(self) -> Encoder:
        return lambda pieces, _: self.encode_arrays(pieces)

    def encode_arrays(self, texts: Sequence[str]) -> list[IdArray]:
        for text in texts:
            utf8(text)  # the engine's complaint about a lone surrogate would not say where it is
        return self._engine_for(sum(map(len, texts))).encode(texts)

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", errors="replace")

    def token_bytes(self, token_id: int) -> bytes:
        return bytes_of(token_id, self._tokens)

    def definition(self) -> dict[str, Any]:
        return {"kind": "byte_bpe", "merges": [" ".join(pair) for pair in self.merges]}

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any]) -> Self:
        """Raises: TokenizerError for unknown or missing fields, and as the class."""
        if set(definition) != {"kind", "merges"} or definition["kind"] != "byte_bpe":
            raise TokenizerError(
                f"a byte_bpe tokenizer has the fields 'kind' and 'merges', got {sorted(definition)!r:.100}"
            )
        merges = definition["merges"]
        if not isinstance(merges, list):
            raise TokenizerError(f"merges must be a list of strings like 'Ġ t', got {type(merges).__name__}")
        return cls(parse_merge(rank, line) for rank, line in enumerate(cast("list[object]", merges)))

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Pair, ...]]]:
        return type(self), (self.merges,)  # the fast engine cannot be pickled

    def _engine_for(self, n_chars: int) -> Engine:
        """The fast engine from the first text on that is worth building it."""
        if n_chars >= FAST_FROM_CHARS and not isinstance(self._engine, FastEngine):
            self._engine = fast_engine(self._ids, self.merges) or self._engine
        return self._engine
