"""What does not become part of a corpus: counted, a few shown, and all of it written aside where that was asked for."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from gptrilogy.corpus.build.ledger import Ledger
from gptrilogy.corpus.build.plan import Build
from gptrilogy.corpus.build.samples import Samples
from gptrilogy.corpus.build.tables import DROPPED_COLUMNS, Table, writing_table
from gptrilogy.corpus.documents import Reason

DROPPED = "dropped.parquet"


class Refused:
    """The documents that one task drops."""

    def __init__(self, set_name: str, seed: int, table: Table | None) -> None:
        self.set = set_name
        self.ledger = Ledger(set_name)
        self.samples = Samples(seed)
        self._table = table

    @classmethod
    @contextmanager
    def writing(cls, build: Build, set_name: str, folder: Path) -> Generator["Refused"]:
        if not build.config.keep_dropped:
            yield cls(set_name, build.config.seed, None)
            return
        with writing_table(folder / DROPPED, DROPPED_COLUMNS) as table:
            yield cls(set_name, build.config.seed, table)

    def add(self, step: str, reason: Reason, *, id: str, url: str = "", text: str = "") -> None:  # noqa: A002
        self.ledger.dropped(step, reason.name)
        self.samples.offer(
            id, set=self.set, kept=False, step=step, reason=reason.name, detail=reason.detail, url=url, text=text
        )
        if self._table:
            row = {"id": id, "url": url, "step": step, "reason": reason.name, "detail": reason.detail, "text": text}
            self._table.add(row)
