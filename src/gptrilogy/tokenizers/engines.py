"""What turns text into the ids of byte-level BPE: one engine that is ready at once, one that is fast, equal ids.

Both read letters, digits and white space by Unicode 16, as tiktoken does (0.12 to 0.14).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Protocol

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from gptrilogy.tokenizers.base import IdArray
from gptrilogy.tokenizers.pieces import grouped, pieces
from gptrilogy.tokenizers.symbols import Pair

# The steady engine's own record of a token takes some hundred bytes: few enough at a time, many enough for every core.
GROUP_CHARS = 1 << 22


class Engine(Protocol):
    """Texts, known to be Unicode, to ids. Special tokens are unknown to it, so it can find none in a text."""

    def encode(self, texts: Sequence[str]) -> list[IdArray]: ...


class SteadyEngine:
    """Hugging Face `tokenizers`: built in a fifth of the time, some thirty times slower; the other's twin."""

    def __init__(self, ids: Mapping[str, int], merges: Sequence[Pair]) -> None:
        self._tokenizer = Tokenizer(BPE(dict(ids), list(merges)))
        self._tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)

    def encode(self, texts: Sequence[str]) -> list[IdArray]:
        """The ids of each text, on every core. Long texts go in pieces, which changes no id."""
        import numpy as np

        cut = [list(pieces(text)) for text in texts]
        ids = self._encode_pieces(chain.from_iterable(cut))
        return [np.fromiter(chain.from_iterable(islice(ids, len(parts))), np.uint32) for parts in cut]

    def _encode_pieces(self, parts: Iterable[str]) -> Iterator[list[int]]:
        for group in grouped(parts, GROUP_CHARS):
            for encoding in self._tokenizer.encode_batch_fast(group, add_special_tokens=False):
                yield encoding.ids


class FastEngine:
    """`fastokens`: the ids of words it has seen are kept, in a table of fixed size, and handed over as bytes.

    Raises: ImportError where it is not installed, as on a platform it has no wheel for.
    """

    def __init__(self, ids: Mapping[str, int], merges: Sequence[Pair]) -> None:
        from fastokens import Tokenizer as Fast

        self._tokenizer = Fast.from_json_str(json.dumps(description(ids, merges)))

    def encode(self, texts: Sequence[str]) -> list[IdArray]:
        """The ids of each text, on every core."""
        import numpy as np

        flat, offsets = self._tokenizer.encode_batch_flat(list(texts))
        ends = np.frombuffer(offsets, "<u8")[1:-1]
        return np.split(np.frombuffer(flat, "<u4"), ends) if texts else []


def fast_engine(ids: Mapping[str, int], merges: Sequence[Pair]) -> FastEngine | None:
    """None where the fast engine is not installed: the steady one gives the same ids."""
    try:
        return FastEngine(ids, merges)
    except ImportError:
        return None


def description(ids: Mapping[str, int], merges: Sequence[Pair]) -> dict[str, Any]:
    """Byte-level BPE as Hugging Face's `tokenizer.json` has it."""
    return {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "BPE", "vocab": dict(ids), "merges": [list(pair) for pair in merges]},
    }
