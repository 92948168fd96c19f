"""Documents as Parquet, written and read a few megabytes at a time; the same documents give the same bytes."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from gptrilogy.extras import needs

Row: TypeAlias = Mapping[str, Any]

COLUMNS = ("id", "url", "set", "text", "meta")  # of a finished corpus; meta is a JSON object
READ_COLUMNS = ("id", "url", "text", "meta", "language")
DROPPED_COLUMNS = ("id", "url", "step", "reason", "detail", "text")

_GROUP_CHARS = 8 << 20
_GROUP_ROWS = 10_000


class Table:
    """Rows gathered into groups of about eight megabytes."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        with needs("corpus", purpose="a corpus in Parquet"):
            pa: Any = import_module("pyarrow")
            pq: Any = import_module("pyarrow.parquet")

        self.rows = 0
        self._schema = pa.schema([(name, pa.large_string()) for name in columns])
        self._writer: Any = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._table: Any = pa.Table
        self._pending: list[Row] = []
        self._chars = 0

    def add(self, row: Row) -> None:
        self._pending.append(row)
        self._chars += len(row["text"])
        self.rows += 1
        if self._chars >= _GROUP_CHARS or len(self._pending) >= _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._pending:
            self._writer.write_table(self._table.from_pylist(self._pending, schema=self._schema))
            self._pending, self._chars = [], 0


@contextmanager
def writing_table(path: Path, columns: Sequence[str]) -> Generator[Table]:
    table = Table(path, columns)
    try:
        yield table
    finally:
        table.close()


def read_table(path: Path, columns: Sequence[str] | None = None, *, rows: int = 512) -> Iterator[list[dict[str, Any]]]:
    """Batches of at most `rows` rows in order, no more than one group in memory."""
    with needs("corpus", purpose="a corpus in Parquet"):
        pq: Any = import_module("pyarrow.parquet")

    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(rows, row_groups=[group], columns=columns):
                yield batch.to_pylist()


def numbered(batches: Iterable[list[dict[str, Any]]]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Batches with the number of their first row."""
    first = 0
    for batch in batches:
        yield first, batch
        first += len(batch)
