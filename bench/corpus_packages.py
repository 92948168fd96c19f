"""Debian's packages as a source of web pages: fetched by `apt-get download`, opened by `dpkg-deb`, never installed."""

import gzip
import hashlib
import re
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

from gptrilogy.errors import DataError, RunError
from gptrilogy.files import replacing_folder, write_json

PACKAGES = Path(__file__).with_name("corpus_packages.txt")
LEAST_BYTES, MOST_BYTES = 1000, 2_000_000  # of a page
MOST_IMAGES = 200  # of a package


def download(packages: Sequence[str], folder: Path) -> list[Path]:
    """The packages' files, in the order of their names; those that the folder lacks are fetched.

    Raises: RunError where `apt-get` is missing or fails; DataError where the folder holds two versions of one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if missing := [package for package in packages if not _held(package, folder)]:
        _run(["apt-get", "download", "-q", *missing], folder)
    found = {package: _held(package, folder) for package in sorted(packages)}
    for package, paths in found.items():
        if len(paths) != 1:
            raise DataError(f"{folder} must hold one version of {package}, got {len(paths)}; ask for NAME=VERSION")
    return [path for paths in found.values() for path in paths]


def unpack(deb: Path, folder: Path) -> Path:
    """The pages and PNG images of a package in one file, with an index; done once."""
    if folder.exists():
        return folder
    command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    index: list[dict[str, Any]] = []
    images = 0
    with replacing_folder(folder) as new, (new / "content").open("wb") as store:
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                for path, content in _members(process.stdout):
                    images += path.endswith(".png")
                    if path.endswith(".png") and images > MOST_IMAGES:
                        continue
                    digest = hashlib.sha256(content).hexdigest()
                    index.append({"path": path, "offset": store.tell(), "size_bytes": len(content), "digest": digest})
                    store.write(content)
            except (tarfile.TarError, OSError) as error:
                process.kill()
                raise DataError(f"{deb} cannot be unpacked: {error}; delete it to fetch it again") from None
        if process.returncode:
            raise DataError(
                f"{deb} cannot be unpacked: dpkg-deb ended with {process.returncode}; delete it to fetch it again"
            )
        write_json(new / "index.json", {"package": split_name(deb)[0], "files": index})
    return folder


def split_name(deb: Path) -> tuple[str, str]:
    """A package's name and version, from its file's name.

    >>> split_name(Path("libreoffice-help-de_4%3a7.4.7-1_all.deb"))
    ('libreoffice-help-de', '4:7.4.7-1')
    """
    name, version, _ = deb.name.split("_")
    return name, unquote(version)


def _held(package: str, folder: Path) -> list[Path]:
    name, _, version = package.partition("=")
    return sorted(deb for deb in folder.glob("*.deb") if split_name(deb) in {(name, version or split_name(deb)[1])})


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RunError(
            f"{' '.join(command[:2])} failed: {error}; it needs Debian, its lists (apt-get update) and a network"
        ) from None


def _members(stream: IO[bytes] | None) -> Iterator[tuple[str, bytes]]:
    """The pages, uncompressed, and the images of a package's tar stream."""
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            path, zipped = re.subn(r"\.gz$", "", member.name.removeprefix("./"))
            if not (member.isreg() and re.search(r"\.(x?html?|png)$", path)):
                continue
            file = archive.extractfile(member)
            assert file is not None  # it is a regular file
            content = file.read()
            content = gzip.decompress(content) if zipped else content
            if path.endswith(".png") or (LEAST_BYTES <= len(content) <= MOST_BYTES and is_html(content)):
                yield path, content


def is_html(content: bytes) -> bool:
    """Whether a file that is named like a page begins like one."""
    return re.search(rb"<(!doctype\s+html|html|head|body)\b", content[:2048], re.IGNORECASE) is not None
