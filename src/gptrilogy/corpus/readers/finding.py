"""The files of a source, local or remote, with what is needed to read each one and to notice that it changed."""

import difflib
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias, cast

from gptrilogy.config import Config
from gptrilogy.errors import DataError, MissingExtraError
from gptrilogy.extras import needs

Format: TypeAlias = Literal["warc", "html", "text", "jsonl", "parquet", "mediawiki"]
OnSkip: TypeAlias = Callable[[str, str], None]

COMPRESSED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
FORMATS: dict[str, Format] = {
    **dict.fromkeys((".warc", ".wet", ".wat", ".arc"), "warc"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    **dict.fromkeys((".txt", ".text", ".md", ".markdown", ".rst", ".tex"), "text"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    ".xml": "mediawiki",
}
VERSION_KEYS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")


class SourceFile(Config):
    """One file of a source: plain values that any process can read it by."""

    path: str  # local, or a URL that fsspec opens
    name: str  # its id within the source: "crawl/2019/a.warc.gz"
    source: str  # as the user named it
    format: Format
    size_bytes: int  # as stored, so of what is compressed
    version: str = ""  # the time of the last change or the server's tag: with the size it tells a changed input


def find_files(sources: Sequence[str], *, on_skip: OnSkip | None = None) -> list[SourceFile]:
    """The readable files of the sources in the order given, those in and below a folder by name, hidden ones left out.

    A source is a file or a folder, by its local path or a URL like `s3://bucket/crawl`. A file named directly is read
    whatever its suffix, as text if that is unknown. What a folder holds besides is told to `on_skip(path, reason)`.

    Raises: DataError for a source that is missing or a folder without one readable file.
    """
    skip = _say_nothing if on_skip is None else on_skip
    return [file for source in sources for file in (_remote if "://" in source else local_files)(source, skip)]


def local_files(
    source: str, on_skip: OnSkip, formats: Collection[Format] = frozenset(FORMATS.values())
) -> Iterator[SourceFile]:
    """As `find_files`, one after another: a file or what a folder holds of these formats, or a file named directly.

    Raises: DataError.
    """
    root = locate(source)
    with _explained(source):
        if root.is_file():
            yield _local_file(root, root.name, source, format_of(root.name) or "text")
            return
        found = False
        for path in _walk(root, on_skip):
            kind = format_of(path.name)
            if kind is None or kind not in formats:
                on_skip(
                    str(path), "not a kind of file known by its name" if kind is None else f"{kind}, which is not text"
                )
            elif not path.is_file():
                on_skip(str(path), "not a regular file, or a broken link")
            else:
                found = True
                yield _local_file(path, (Path(root.absolute().name) / path.relative_to(root)).as_posix(), source, kind)
    if not found:
        raise _nothing_in(source, formats)


def locate(source: str) -> Path:
    """The file or folder of this name.

    Raises: DataError where there is none.
    """
    root = Path(source)
    with _explained(source):
        if not source or not root.exists():
            raise DataError(f"{source!r} does not exist: {_nearest(root)}")
        if not (root.is_file() or root.is_dir()):
            raise DataError(f"{source} is neither a file nor a folder: save what it gives to a file first")
    return root


def is_run(folder: Path) -> bool:
    """Whether a folder is what training has made, whose files are no text to train on."""
    return (folder / "config.json").is_file() and (folder / "environment.json").is_file()


def format_of(name: str) -> Format | None:
    """What a file holds by its name, compressed or not.

    >>> format_of("CC-MAIN-0001.warc.wet.gz"), format_of("enwiki.xml.bz2"), format_of("cover.png")
    ('warc', 'mediawiki', None)
    """
    return FORMATS.get(PurePosixPath(name.lower().removesuffix(compression_of(name))).suffix)


def compression_of(name: str) -> str:
    """The suffix that says how a file is compressed, or nothing."""
    return next((suffix for suffix in COMPRESSED_SUFFIXES if name.lower().endswith(suffix)), "")


def _say_nothing(path: str, reason: str) -> None:
    del path, reason


@contextmanager
def _explained(source: str) -> Generator[None]:
    """Says in one line what the disk had against looking."""
    try:
        yield
    except OSError as error:
        path = error.filename or source
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the name and its permissions") from None


def _nearest(path: Path) -> str:
    """The sibling whose name comes closest, or the advice to look again."""
    if path.parent.is_dir():
        near = difflib.get_close_matches(path.name, [sibling.name for sibling in path.parent.iterdir()], n=1)
        return f"did you mean {path.with_name(near[0])}?" if near else f"check the name, and look in {path.parent}"
    return f"there is no folder {path.parent} either"


def _nothing_in(source: str, formats: Collection[Format]) -> DataError:
    wanted = " ".join(f"*{suffix}" for suffix, kind in FORMATS.items() if kind in formats)
    compressed = ", ".join(COMPRESSED_SUFFIXES)
    return DataError(
        f"{source} holds nothing to read: looked there and below for {wanted}, each also with {compressed}"
    )


def _walk(root: Path, skip: OnSkip) -> Iterator[Path]:
    """What is in and below a folder, by name; a real folder is entered once, so that looping links end."""
    pending, entered = [root], set[tuple[int, int]]()
    while pending:
        path = pending.pop()
        if not path.is_dir():
            yield path
            continue
        status = path.stat()
        if (identity := (status.st_dev, status.st_ino)) in entered:
            skip(str(path), "a link to a folder that is already read")
            continue
        entered.add(identity)
        if path != root and is_run(path):
            skip(str(path), "a run")
            continue
        children = sorted(path.iterdir(), key=lambda child: child.name, reverse=True)
        for hidden in (child for child in reversed(children) if child.name.startswith(".")):
            skip(str(hidden), "hidden")
        pending += [child for child in children if not child.name.startswith(".")]


def _local_file(path: Path, name: str, source: str, kind: Format) -> SourceFile:
    status = path.stat()
    name = name.encode("utf-8", "replace").decode("utf-8")  # a file's name may be any bytes, an id is text
    version = str(status.st_mtime_ns)
    return SourceFile(path=str(path), name=name, source=source, format=kind, size_bytes=status.st_size, version=version)


def _remote(source: str, skip: OnSkip) -> Iterator[SourceFile]:
    system, root = filesystem(source)
    try:
        if not system.exists(root):
            raise DataError(f"{source!r} does not exist: check the address, and that you may read it")
        info = cast("dict[str, Any]", system.info(root))
        if info["type"] != "directory":
            kind = format_of(root) or "text"
            yield _remote_file(system, info, PurePosixPath(root).name, source, kind)
            return
        below = cast("dict[str, dict[str, Any]]", system.find(root, detail=True))
    except OSError as error:
        raise DataError(f"cannot read {source}: {error}; check the address and your access") from None
    found, base = False, PurePosixPath(root)
    for path, info in sorted(below.items(), key=lambda item: PurePosixPath(item[0]).parts):
        inner = PurePosixPath(path).relative_to(base)
        if any(part.startswith(".") for part in inner.parts):
            skip(path, "hidden")
        elif (kind := format_of(path)) is None:
            skip(path, "not a kind of file known by its name")
        else:
            found = True
            yield _remote_file(system, info, (base.name / inner).as_posix(), source, kind)
    if not found:
        raise _nothing_in(source, FORMATS.values())


def _remote_file(system: Any, info: dict[str, Any], name: str, source: str, kind: Format) -> SourceFile:
    version = next((str(info[key]) for key in VERSION_KEYS if info.get(key) is not None), "")
    size, path = int(info["size"] or 0), str(system.unstrip_protocol(info["name"]))
    return SourceFile(path=path, name=name, source=source, format=kind, size_bytes=size, version=version)


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system that a URL names, and the path on it.

    Raises: DataError for a kind of address nobody knows; MissingExtraError for one that needs another package.
    """
    with needs("corpus", purpose=f"reading {url}"):
        from fsspec.core import url_to_fs  # pyright: ignore[reportUnknownVariableType]
        from fsspec.registry import known_implementations
    try:
        return cast("tuple[Any, str]", url_to_fs(url))
    except ImportError as error:
        protocol = url.partition("://")[0]
        advice = known_implementations.get(protocol, {}).get("err") or str(error)
        raise MissingExtraError(f"reading {url} needs another package: {advice}") from None
    except ValueError as error:
        raise DataError(f"cannot read {url}: {error}; use a local path or an address that fsspec knows") from None
