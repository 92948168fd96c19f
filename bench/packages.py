"""Published packages as sources of test data: fetched by name and version, read and never run."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from gptrilogy.errors import RunError


def fetch_sdist(name: str, version: str, folder: Path) -> Path:
    """The source archive of a package on PyPI.

    Raises: RunError where it cannot be had.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name]
    return _fetch([*command, "--dest", str(folder), f"{name}=={version}"], folder, f"{name}-{version}*.gz")


def fetch_wheel(name: str, version: str, folder: Path) -> Path:
    """The wheel of a package on PyPI.

    Raises: RunError where it cannot be had.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", name]
    return _fetch([*command, "--dest", str(folder), f"{name}=={version}"], folder, f"{name}-{version}*.whl")


def fetch_npm(name: str, version: str, folder: Path) -> Path:
    """The archive of a package on npm.

    Raises: RunError where it cannot be had.
    """
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), f"{name}@{version}"]
    return _fetch(command, folder, f"{name}-{version}*.tgz")


def read_files(archive: Path, part: str) -> dict[str, bytes]:
    """The files of an archive with `part` in their name, without the name of the folder around all; in memory."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name: wheel.read(name) for name in sorted(wheel.namelist()) if part in name}
    with tarfile.open(archive) as tar:
        members = [member for member in tar if member.isfile() and part in member.name]
        files = {member.name.partition("/")[2]: tar.extractfile(member) for member in members}
        return {name: file.read() for name, file in sorted(files.items()) if file}


def _fetch(command: list[str], folder: Path, pattern: str) -> Path:
    if not (found := sorted(folder.glob(pattern))):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = sorted(folder.glob(pattern))
        if not found:
            lines = done.stderr.strip().splitlines() or ["it said nothing"]
            raise RunError(f"{' '.join(command)} brought no {pattern}: {lines[-1]}")
    return found[0]
