"""Every kind of source - web archives, wiki dumps, tables, folders of text - as one stream of pages and losses."""

from gptrilogy.corpus.readers.finding import SourceFile, find_files
from gptrilogy.corpus.readers.limits import Limits
from gptrilogy.corpus.readers.reading import read_pages

__all__ = ["Limits", "SourceFile", "find_files", "read_pages"]
