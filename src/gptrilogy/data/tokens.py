"""Token ids on disk, read as one ring."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gptrilogy.errors import DataError

Ids: TypeAlias = NDArray[np.int64]


class Tokens:
    """The shards of one part of a packed corpus as one ring of token ids, read where they lie.

    >>> tokens = Tokens([np.array([5, 6, 7], "<u2"), np.array([8, 9], "<u2")], eot_id=9)
    >>> tokens.window(2, 4)
    array([7, 8, 9, 5])
    """

    def __init__(
        self, shards: Sequence[NDArray[Any]], *, eot_id: int | None, documents: int = 0, text_bytes: int = 0
    ) -> None:
        self.eot_id = eot_id
        self.documents = documents
        self.text_bytes = text_bytes  # UTF-8, without <|endoftext|>: the divisor of bits per byte
        self._shards = shards
        self._starts = [0, *accumulate(len(shard) for shard in shards)]

    def __len__(self) -> int:
        return self._starts[-1]

    def window(self, start: int, length: int) -> Ids:
        """`length` tokens from `start` on, going round the end as often as it takes.

        Shapes: -> (length,).
        Raises: DataError if there are no tokens at all.
        """
        if not len(self):
            raise DataError("there are no tokens to read: the text is empty; give more text")
        ids = np.empty(length, dtype=np.int64)
        filled = 0
        while filled < length:
            position = (start + filled) % len(self)
            shard = bisect_right(self._starts, position) - 1
            offset = position - self._starts[shard]
            piece = self._shards[shard][offset : offset + length - filled]
            ids[filled : filled + len(piece)] = piece
            filled += len(piece)
        return ids
