"""What can be read only once, standard input or a pipe, kept in a file for as long as it is needed."""

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TypeAlias, cast

from gptrilogy.corpus.readers.finding import SourceFile, is_run
from gptrilogy.corpus.readers.limits import Limits, UnreadableError
from gptrilogy.corpus.readers.opening import opened
from gptrilogy.corpus.sources import MAX_WINDOW_BYTES
from gptrilogy.errors import ConfigError, DataError, RunError
from gptrilogy.files import make_folder, read_json, replacing, write_json

STDIN = ("-", "/dev/stdin")
CONTENTS = "contents.json"  # of a spool, written last: the file of each source in it
READ_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 26  # of the first line, by which the format is told
BOM = b"\xef\xbb\xbf"

OnRead: TypeAlias = Callable[[int], None]


def is_passing(source: str) -> bool:
    """Whether a source can be read only once: standard input, a named pipe, or what a shell makes of <(...)."""
    path = Path(source)
    try:
        return source in STDIN or (path.exists() and not path.is_file() and not path.is_dir())
    except OSError:
        return False  # whoever reads it will say why


def called(source: str) -> str:
    """What a person calls a source."""
    return "standard input" if source in STDIN else source


def check_sources(sources: Iterable[str], out: Path | None = None) -> None:
    """What can be known to be wrong with sources before any is read.

    Raises: ConfigError where one is given twice, is a run or the place of the one to make, or standard input is a
        keyboard.
    """
    names = list(sources)
    counts = Counter(map(_identity, names))
    for name in names:
        if out is not None and Path(name).resolve() == out.resolve():
            raise ConfigError(f"--out {out} is also a source of text: name another folder for the run")
        if counts[_identity(name)] > 1:
            remedy = "it can be read once" if is_passing(name) else "a larger weight makes a set count for more"
            raise ConfigError(f"{called(name)} is given twice: leave one out; {remedy}")
        if is_run(Path(name)):
            raise ConfigError(f"{name} is a run, not a text: the text it has packed is {Path(name) / 'data'}")
    if any(name in STDIN for name in names) and (sys.stdin is None or sys.stdin.closed or sys.stdin.isatty()):
        raise ConfigError(
            "- is standard input, and nothing is piped into it: cat novels/*.txt | gpt ..., or name a file or folder"
        )


def spool(sources: Iterable[str], folder: Path, on_read: OnRead | None = None) -> dict[str, Path]:
    """Read those of the sources that can be read only once, in their order, into files of `folder`, made anew.

    The files are called stdin, or as the pipe, or pipe1 and so on, with the suffix of what they hold: JSON lines if
    the first line is a JSON object, Parquet if its mark is there, else text. `on_read(bytes)` is told how far it is.
    Interrupted or failed, it leaves nothing. -> the file of each.

    Raises: DataError for a source that gives nothing or cannot be read; RunError where the disk takes no more.
    """
    shutil.rmtree(folder, ignore_errors=True)
    passing = [source for source in sources if is_passing(source)]
    if not passing:
        return {}
    files: dict[str, str] = {}
    try:
        with _written(folder):
            make_folder(folder)
        for number, source in enumerate(passing, start=1):
            stem = _stem(source, number)
            taken = any(name.partition(".")[0] == stem for name in files.values())
            files[source] = _keep(source, folder / (f"{stem}{number}" if taken else stem), on_read)
        with _written(folder):
            write_json(folder / CONTENTS, files)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return {source: folder / name for source, name in files.items()}


def spooled(sources: Sequence[str], folder: Path) -> tuple[str, ...]:
    """The sources, each that is in the spool of `folder` by the name of its file.

    Raises: DataError for one that can be read only once and is not there.
    """
    files = _contents(folder)
    for source in sources:
        if source not in files and is_passing(source):
            raise DataError(f"{called(source)} was not read to its end, and is gone: begin the run again with --force")
    return tuple(str(folder / files[source]) if source in files else source for source in sources)


def _contents(folder: Path) -> Mapping[str, str]:
    try:
        return cast("dict[str, str]", read_json(folder / CONTENTS))
    except (OSError, ValueError):
        return {}  # nothing was read


@contextmanager
def held(sources: Sequence[str], on_read: OnRead | None = None) -> Generator[tuple[str, ...]]:
    """The sources, with what can be read only once held in a temporary file.

    Raises: ConfigError as `check_sources`; DataError and RunError as `spool`.
    """
    check_sources(sources)
    with TemporaryDirectory() as folder:
        place = Path(folder) / "spool"
        spool(sources, place, on_read)
        yield spooled(sources, place)


def _identity(source: str) -> str:
    return "-" if source in STDIN else os.path.realpath(source)


def _stem(source: str, number: int) -> str:
    """What the file of a source is called, without a suffix.

    >>> _stem("-", 1), _stem("/dev/fd/63", 2), _stem("pipes/web.jsonl", 3)
    ('stdin', 'pipe2', 'web')
    """
    if source in STDIN:
        return "stdin"
    name = Path(source).name.partition(".")[0]
    return f"pipe{number}" if source.startswith(("/dev/", "/proc/")) or not name else name


def _keep(source: str, path: Path, on_read: OnRead | None) -> str:
    """Copy a source to its end into a file, which then gets the suffix of what it holds; -> its name."""
    size_bytes = 0
    with _written(path), replacing(path) as temporary, temporary.open("wb") as file, _opened(source) as stream:
        while piece := _read(source, stream):
            file.write(piece)
            size_bytes += len(piece)
            if on_read:
                on_read(size_bytes)
    if not size_bytes:
        raise DataError(f"{called(source)} gave nothing: give it some text")
    return path.rename(path.with_name(f"{path.name}{_suffix(path)}")).name


@contextmanager
def _opened(source: str) -> Generator[IO[bytes]]:
    if source in STDIN:
        yield sys.stdin.buffer
        return
    try:
        stream = Path(source).open("rb")  # noqa: SIM115 - what goes wrong while it is read is told elsewhere
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror}") from None
    with stream:
        yield stream


def _read(source: str, stream: IO[bytes]) -> bytes:
    try:
        return cast("BufferedReader", stream).read1(READ_BYTES)
    except OSError as error:
        raise DataError(f"cannot read {called(source)}: {error.strerror}") from None


def _suffix(path: Path) -> str:
    """The suffix by which a file's content, unpacked, would be known."""
    file = SourceFile(path=str(path), name=path.name, source=str(path), format="text", size_bytes=0)
    try:
        with opened(file, Limits(max_window_bytes=MAX_WINDOW_BYTES)) as stream:
            if stream.peek(4).startswith(b"PAR1"):
                return ".parquet"
            first = b""
            while not first.removeprefix(BOM).strip() and (line := stream.readline(MAX_LINE_BYTES)):
                first = line
        return ".jsonl" if isinstance(json.loads(first.removeprefix(BOM)), dict) else ".txt"
    except (UnreadableError, ValueError, RecursionError):
        return ".txt"  # or damaged, which whoever reads it will say


@contextmanager
def _written(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"cannot write {path}: {reason}; what is read from a pipe needs room there") from None
