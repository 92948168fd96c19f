"""Text files, JSON lines and folders of both, read as one stream of documents in an order that never changes."""

import difflib
import gzip
import json
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

from gptrilogy.config import suggest
from gptrilogy.corpus.documents import Document
from gptrilogy.errors import DataError

TEXT_SUFFIXES = (".txt", ".text", ".md", ".markdown", ".rst", ".tex")
JSONL_SUFFIXES = (".jsonl", ".ndjson")

OnSkip: TypeAlias = Callable[[Path, str], None]


def read_documents(
    sources: Sequence[str | Path], *, text_field: str = "text", on_skip: OnSkip | None = None
) -> Iterator[Document]:
    r"""Every document of the sources, in the order given; a folder's files in the order of their names.

    A source is a text file of any name (one document), a `.jsonl` or `.ndjson` file (one JSON object a line, blank
    lines ignored, other fields kept as `meta`), either of them also as `.gz`, or a folder of these, hidden entries
    left out. Text is UTF-8; a byte-order mark is dropped; `\r\n` and a lone `\r` become `\n`. What is passed over
    (a file we do not know by its name, a hidden one, a blank document) is told to `on_skip(path, reason)`.
    A JSONL file is read line by line, a text file whole.

    Raises: DataError, at once for a source that is not there, while reading for bytes or lines that are not text.
    """
    skip = _say_nothing if on_skip is None else on_skip
    roots = [(str(source), _locate(source)) for source in sources]
    return chain.from_iterable(_read_source(name, root, text_field, skip) for name, root in roots)


def _say_nothing(path: Path, reason: str) -> None:
    del path, reason


def _locate(source: str | Path) -> Path:
    path = Path(source)
    with _explained(path):
        if str(source) and path.exists():
            if not (path.is_file() or path.is_dir()):  # text is read twice, so a pipe will not do
                raise DataError(f"{path} is neither a file nor a folder: save its text to a file first")
            return path
        raise DataError(f"{str(source)!r} does not exist: {_nearest(path)}")


def _nearest(path: Path) -> str:
    """The sibling whose name comes closest, or the advice to look again."""
    if path.parent.is_dir():
        near = difflib.get_close_matches(path.name, [sibling.name for sibling in path.parent.iterdir()], n=1)
        return f"did you mean {path.with_name(near[0])}?" if near else f"check the name, and look in {path.parent}"
    return f"there is no folder {path.parent} either"


def _read_source(source: str, root: Path, text_field: str, skip: OnSkip) -> Iterator[Document]:
    for path in _walk(root, skip) if root.is_dir() else [root]:
        name = (Path(root.name) / path.relative_to(root)).as_posix()
        name = name.encode("utf-8", "replace").decode("utf-8")  # a file's name may be any bytes, an id is text
        if _suffix(path) in JSONL_SUFFIXES:
            yield from _read_jsonl(path, name, source, text_field, skip)
        else:
            yield from _read_text(path, name, source, skip)


def _walk(root: Path, skip: OnSkip) -> Iterator[Path]:
    """The text files in and below a folder; a real folder is entered once, so that looping links end."""
    pending, entered, found = [root], set[tuple[int, int]](), False
    while pending:
        path = pending.pop()
        with _explained(path):
            if path.is_dir():
                pending += reversed(_enter(path, entered, skip))
                continue
            reason = _why_not(path)
        if reason:
            skip(path, reason)
        else:
            found = True
            yield path
    if not found:
        wanted = " ".join(f"*{suffix}" for suffix in TEXT_SUFFIXES + JSONL_SUFFIXES)
        raise DataError(f"{root} holds no text: looked there and in its subfolders for {wanted}, each also with .gz")


def _enter(folder: Path, entered: set[tuple[int, int]], skip: OnSkip) -> list[Path]:
    """What a folder holds, by name, without what is hidden; nothing if a link has led here before."""
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in entered:
        skip(folder, "a link to a folder that is already read")
        return []
    entered.add(identity)
    children = sorted(folder.iterdir(), key=lambda child: child.name)
    for child in children:
        if child.name.startswith("."):
            skip(child, "hidden")
    return [child for child in children if not child.name.startswith(".")]


def _why_not(path: Path) -> str | None:
    """Why a file found in a folder is passed over, if it is."""
    if _suffix(path) not in TEXT_SUFFIXES + JSONL_SUFFIXES:
        return "not a kind of text file known by its name"
    return None if path.is_file() else "not a regular file, or a broken link"


def _suffix(path: Path) -> str:
    """The suffix that tells what a file holds, once decompressed.

    >>> _suffix(Path("Posts.JSONL.gz"))
    '.jsonl'
    """
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _read_text(path: Path, name: str, source: str, skip: OnSkip) -> Iterator[Document]:
    with _explained(path), _open(path) as file:
        content = file.read()
    text = _one_newline(_decode(content, path).removeprefix("\ufeff"))
    if _is_blank(text):
        skip(path, "empty")
    else:
        yield Document(text, id=name, source=source)


def _read_jsonl(path: Path, name: str, source: str, text_field: str, skip: OnSkip) -> Iterator[Document]:
    offset_bytes = 0
    with _explained(path), _open(path) as file:
        for number, content in enumerate(file, start=1):
            line = _decode(content, path, offset_bytes)
            offset_bytes += len(content)
            if number == 1:
                line = line.removeprefix("\ufeff")
            if _is_blank(line):
                continue
            record = _parse(line.rstrip(), f"{path}:{number}")
            text = _one_newline(_text_of(record, text_field, f"{path}:{number}"))
            if _is_blank(text):
                skip(path, f"line {number} has an empty {text_field!r}")
                continue
            meta = {key: value for key, value in record.items() if key != text_field}
            yield Document(text, id=f"{name}:{number}", source=source, meta=meta)


def _decode(content: bytes, path: Path, offset_bytes: int = 0) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        where, byte = offset_bytes + error.start, content[error.start]
        raise DataError(
            f"{path} is not UTF-8 text: byte 0x{byte:02x} at offset {where}; "
            f"convert it, for example with iconv -f latin1 -t utf-8"
        ) from None


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def _one_newline(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except RecursionError:
        raise DataError(f"{where}: JSON nested too deeply: remove the line or flatten it") from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: not JSON ({error.msg} at column {error.colno}): each line must be one object"
        ) from None
    except ValueError as error:  # a number of thousands of digits
        raise DataError(f"{where}: not JSON that can be read ({error}): remove the line") from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: a JSON {type(record).__name__}, where each line must be one object")
    return cast("dict[str, Any]", record)


def _text_of(record: dict[str, Any], text_field: str, where: str) -> str:
    if text_field not in record:
        raise DataError(f"{where}: no field {text_field!r} to take the text from: {suggest(text_field, record)}")
    text = record[text_field]
    if not isinstance(text, str):
        raise DataError(f"{where}: field {text_field!r} must be a string, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        escape = f"\\u{ord(text[error.start]):04x}"
        raise DataError(f"{where}: {escape} is half a surrogate pair and no character: remove or replace it") from None
    return text


def _open(path: Path) -> IO[bytes]:
    """A file's bytes, decompressed if its name ends in .gz."""
    return cast("IO[bytes]", gzip.open(path)) if path.name.lower().endswith(".gz") else path.open("rb")


@contextmanager
def _explained(path: Path) -> Generator[None]:
    """Says in one line what the disk or the compression had against reading `path`."""
    try:
        yield
    except EOFError:
        raise DataError(f"{path} is cut short: compress or download it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is not a sound gzip file ({error}): compress or download it again") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the name and its permissions") from None
