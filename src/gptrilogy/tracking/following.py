"""One run and the tracker that is shown its rows; it reads the run's folder and writes nothing there but its own."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from gptrilogy.metrics import Row
from gptrilogy.runs import Run
from gptrilogy.tracking.tail import MetricsTail, News


class Tracker(Protocol):
    """Where the rows of one run go."""

    def log(self, row: Row) -> None: ...

    def take_back(self, news: News) -> None:
        """The rows from `news.cut_step` on are void; `news.kept` are all others so far."""
        ...

    def flush(self) -> None:
        """Show what there is."""
        ...

    def close(self) -> str:
        """Finish; -> one line: where it lies, and how it is looked at."""
        ...


class Follower:
    """A run, from its first row to its last, across every stop and resume."""

    def __init__(self, run: Run, begin: Callable[[Run, float], Tracker]) -> None:
        """`begin` makes a tracker of a run that began at that time, in seconds since 1970."""
        self.run = run
        self.has_ended = False
        self.n_rows = 0
        self._begin = begin
        self._tail = MetricsTail(run.metrics_path)
        self._tracker: Tracker | None = None

    def catch_up(self) -> None:
        """Show the tracker what is new. It begins when there is a config to show with the rows."""
        if not self.run.config_path.is_file():
            return
        news = self._tail.read()
        if self._tracker is None:
            self._tracker = self._begin(self.run, self._began_s(news.rows))
        if news.cut_step is not None:
            self._tracker.take_back(news)
            self.n_rows = len(news.kept)
        for row in news.rows:
            self._tracker.log(row)
            self.has_ended = row["event"] == "end"
        self.n_rows += len(news.rows)
        self._tracker.flush()

    def close(self) -> str | None:
        """The tracker's last line; None where the run never began."""
        self._tail.close()
        return None if self._tracker is None else self._tracker.close()

    def _began_s(self, rows: Sequence[Row]) -> float:
        """When the run would have begun, had it never stopped: the log has seconds since then, but no dates."""
        if not rows:
            return time.time()
        return self.run.metrics_path.stat().st_mtime - rows[-1].get("elapsed_s", 0.0)
