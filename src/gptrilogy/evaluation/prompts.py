"""Prompts: demonstrations drawn for each question, then the question, as far as the context has room. Needs no torch.

The demonstrations of a draw are the first K of one random order of the training set, for all K alike: so a curve over K
asks about the same ones, and each prompt begins with the next smaller one, whose keys and values it can use.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gptrilogy.data.permutation import draw, permute
from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import Split, demonstration_of, items_of
from gptrilogy.evaluation.items import Item
from gptrilogy.evaluation.task import Task

Count = Callable[[str], int]  # how many tokens a text has


@dataclass(frozen=True, slots=True)
class Prompt:
    """What stands before each item of a record, and how many demonstrations that are."""

    prefix: str
    items: Sequence[Item]
    demonstrations: int


class Prompter:
    """Writes the prompts of one task.

    `train` None: demonstrations are the test's other records.
    """

    def __init__(self, task: Task, test: Split, train: Split | None, *, seed: int = 0) -> None:
        self.task = task
        self.test = test
        self.train = train
        self.seed = seed
        self._demonstration = lru_cache(maxsize=4096)(self._demonstrate)

    def picks(self, record: int, shots: int, draw_number: int) -> list[int]:
        """The records that demonstrate: the first `shots` of the draw's order, without the one that is asked about.

        Raises: DataError where there are not so many.
        """
        source = self.train or self.test
        n, spare = len(source.records), int(self.train is None)
        if shots > n - spare:
            raise DataError(
                f"{shots} demonstrations were asked for, but {source.origin} has {n} records"
                f"{', one of them the question' if spare else ''}; ask for fewer shots"
            )
        order = np.arange(min(n, shots + spare), dtype=np.uint64)
        question = 0 if self.task.fixed_draw else record + 1
        key = draw(self.seed, draw_number, np.full(len(order), question, dtype=np.uint64))
        picked: list[int] = permute(order, n, key).tolist()
        return [number for number in picked if not (spare and number == record)][:shots]

    def prompt(
        self, record: int, shots: int, draw_number: int, *, room: Callable[[Sequence[Item]], int], count: Count
    ) -> Prompt:
        """The prompt of a record: as many of its demonstrations as leave the items room, the first drawn first.

        `room` says how many tokens may stand before these items; `count` counts those of a text.

        Raises: DataError as `picks`, and for records that are not as published.
        """
        items = items_of(self.task, self.test, record, shots)
        texts = [
            self._demonstration(number, shots) + self.task.separator
            for number in self.picks(record, shots, draw_number)
        ]
        opening = self.task.description + ("" if shots else self.task.zero_shot_description)
        limit = room(items)
        kept = _fitting(opening, texts, limit, count) if texts else 0
        return Prompt(opening + "".join(texts[:kept]), items, kept)

    def _demonstrate(self, number: int, shots: int) -> str:
        return demonstration_of(self.task, self.train or self.test, number, shots)


def _fitting(opening: str, texts: Sequence[str], limit: int, count: Count) -> int:
    """How many of the texts fit, from the first on.

    Counted one by one, they never come to fewer tokens than as one text, where some may join.
    """
    total, kept = count(opening), 0
    for text in texts:
        total += count(text)
        if total > limit:
            break
        kept += 1
    return kept
