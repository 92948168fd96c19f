"""One file of any known format as pages and losses."""

from collections.abc import Iterator

from gptrilogy.corpus.documents import Loss, Page
from gptrilogy.corpus.readers.finding import SourceFile
from gptrilogy.corpus.readers.limits import Limits
from gptrilogy.corpus.readers.mediawiki import read_mediawiki
from gptrilogy.corpus.readers.plain import read_html, read_text
from gptrilogy.corpus.readers.tables import read_jsonl, read_parquet
from gptrilogy.corpus.readers.warc import read_warc


def read_pages(file: SourceFile, limits: Limits, *, text_field: str = "text") -> Iterator[Page | Loss]:
    """The pages of a file in their order, with a loss for each record that cannot become one.

    Whatever the file holds, reading it ends without an error and holds one record at a time. `text_field` names the
    text in JSONL and Parquet.

    Raises: DataError where the disk or the network does not give the bytes.
    """
    match file.format:
        case "warc":
            return read_warc(file, limits)
        case "html":
            return read_html(file, limits)
        case "text":
            return read_text(file, limits)
        case "jsonl":
            return read_jsonl(file, limits, text_field=text_field)
        case "parquet":
            return read_parquet(file, limits, text_field=text_field)
        case "mediawiki":
            return read_mediawiki(file, limits)
