"""How far a task is, and how long it will take."""

import time
from collections.abc import Callable

from gptrilogy.training.progress import duration


class Clock:
    """How far a task is, in questions: prompts with all their items."""

    def __init__(self, task: str, total: int, passing: Callable[[str], None]) -> None:
        self.task, self.total, self._passing = task, total, passing
        self.done = self.fresh = 0
        self._start_s = time.monotonic()

    def count(self, done: int, *, fresh: int) -> None:
        self.done += done
        self.fresh += fresh
        how_fast = ""
        if self.fresh:  # the others were answered before, which says nothing of those to come
            rate = self.fresh / max(time.monotonic() - self._start_s, 1e-9)
            how_fast = f", {rate:,.1f} questions/s, {duration((self.total - self.done) / rate)} left"
        self._passing(f"{self.task}: {self.done:,}/{self.total:,} questions{how_fast}")
