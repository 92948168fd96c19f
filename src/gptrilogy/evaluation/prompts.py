"""Prompts: demonstrations drawn for each question, then the question, as far as the context has room. Needs no torch.

The demonstrations of a draw are the first K of one random order of the training set, for all K alike: so a curve over K
asks about the same ones, and each prompt begins with the next smaller one, whose keys and values it can use.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

from gptrilogy.data.permutation import draw
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


Room = Callable[[Prompt], int]  # how many more tokens have room beside it; below 0, so many too many


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
        question = 0 if self.task.fixed_draw else record + 1
        ranks = draw(self.seed, draw_number, question, np.arange(n, dtype=np.uint64))
        first = np.argpartition(ranks, min(shots, n - 1))[: shots + spare]
        picked: list[int] = first[ranks[first].argsort()].tolist()
        return [number for number in picked if not (spare and number == record)][:shots]

    def prompt(self, record: int, shots: int, draw_number: int, *, room: Room, count: Count) -> Prompt:
        """The prompt of a record: as many of its demonstrations as leave the items room, the first drawn first.

        Raises: DataError as `picks`, and for records that are not as published.
        """
        items = items_of(self.task, self.test, record, shots)
        texts = [
            self._demonstration(number, shots) + self.task.separator
            for number in self.picks(record, shots, draw_number)
        ]
        opening = self.task.description + ("" if shots else self.task.zero_shot_description)
        return _fitting(Prompt(opening, items, 0), texts, room, count)

    def _demonstrate(self, number: int, shots: int) -> str:
        return demonstration_of(self.task, self.train or self.test, number, shots)


def _fitting(bare: Prompt, texts: Sequence[str], room: Room, count: Count) -> Prompt:
    """A prompt after as many of the texts as fit, from the first on.

    Where two texts meet tokens may join, but also part: GPT-2 has one for the blank line that ends a text, and needs
    two before a word. So what the texts come to one by one is an estimate, and is tried.
    """
    left = room(bare) if texts else 0
    kept = sum(total <= left for total in accumulate(map(count, texts)))
    while kept and room(_after(texts[:kept], bare)) < 0:
        kept -= 1
    return _after(texts[:kept], bare)


def _after(texts: Sequence[str], bare: Prompt) -> Prompt:
    return Prompt(bare.prefix + "".join(texts), bare.items, len(texts))
