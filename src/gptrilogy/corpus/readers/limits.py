"""How much one record may hold once it is unpacked, so that no source can fill the memory."""

from pydantic import Field

from gptrilogy.config import Config
from gptrilogy.corpus.documents import Reason

MIB = 1 << 20


class Limits(Config):
    """Sizes beyond which a record is a loss; all of them ours, the papers name none."""

    max_record_bytes: int = Field(default=16 * MIB, ge=1)  # a web record and its decoded body, an HTML file, a row
    max_line_bytes: int = Field(default=16 * MIB, ge=1)  # a line of a JSONL file
    max_text_bytes: int = Field(default=64 * MIB, ge=1)  # a text file, which is one document: a long book has 10 MiB
    max_window_bytes: int = Field(default=8 * MIB, ge=1024)  # how far a .zst file may refer back; ask `zstd -lv`
    max_group_bytes: int = Field(default=2048 * MIB, ge=1)  # one row group of a Parquet file, unpacked


class UnreadableError(Exception):
    """Why a record, or the rest of a file, cannot be read; its reader turns it into a loss."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(name, detail)
        self.reason = Reason(name, detail)


def over(limit: int, *, compressed: bool, size: int | None = None) -> UnreadableError:
    """The refusal of a record larger than its limit.

    >>> over(1000, compressed=True).reason
    Reason(name='inflates past the limit', detail='more than 1,000 bytes')
    """
    name = "inflates past the limit" if compressed else "larger than the limit"
    return UnreadableError(name, f"more than {limit:,} bytes" if size is None else f"{size:,} bytes, at most {limit:,}")
