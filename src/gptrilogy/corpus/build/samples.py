"""A few documents drawn at random, the same however the input was cut: those whose ids have the smallest hashes."""

import heapq
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from gptrilogy.corpus.draws import draw

Sample: TypeAlias = dict[str, Any]

PURPOSE = "shown"
N_SAMPLES = 20
TEXT_CHARS = 1_000


class Samples:
    """Keeps the `count` offers with the smallest numbers."""

    def __init__(self, seed: int, count: int = N_SAMPLES) -> None:
        self.seed = seed
        self.count = count
        self._heap: list[tuple[int, int, Sample]] = []  # of negated numbers, so that the largest goes first
        self._offered = 0

    def offer(self, document_id: str, **sample: object) -> None:
        number = -draw(PURPOSE, document_id, self.seed)
        self._offered += 1
        if len(self._heap) == self.count and number <= self._heap[0][0]:
            return
        text = sample.pop("text", "")
        assert isinstance(text, str)
        kept = {"id": document_id, **sample, "characters": len(text), "text": text[:TEXT_CHARS]}
        push = heapq.heappushpop if len(self._heap) == self.count else heapq.heappush
        push(self._heap, (number, self._offered, kept))

    def rows(self) -> list[Sample]:
        return [sample for _, _, sample in sorted(self._heap, key=lambda row: (-row[0], row[2]["id"]))]


def merged(rows: Iterable[Mapping[str, Any]], seed: int, count: int = N_SAMPLES) -> list[Sample]:
    """The samples that would have been drawn from all documents at once."""
    return [
        dict(row) for row in heapq.nsmallest(count, rows, key=lambda row: (draw(PURPOSE, row["id"], seed), row["id"]))
    ]
