"""Compile our C++ for this very CPU at first use, and keep the result for every later process.

Nothing depends on it: where there is no compiler, the caller takes its way in PyTorch, and one line says so.
"""

import ctypes
import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from gptrilogy.devices import cpu_flags, cpu_model
from gptrilogy.files import replacing, user_cache

SWITCH = "GPTRILOGY_NATIVE"  # "off": never compile, never load
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-fopenmp", "-Wall", "-Wextra")
FLAGS += ("-fno-math-errno", "-fno-trapping-math")  # else loops with a condition stay a number at a time on AVX2
COMPILERS = ("g++", "c++", "clang++")  # GCC's code calls the OpenMP that PyTorch brings on Linux, Clang's another
COMPILE_S = 900
COMPILING = threading.Lock()  # the second thread to need a kernel waits for the first, and finds it kept
SEAL_BYTES = hashlib.sha256().digest_size


class UnavailableError(Exception):
    """Why there is no library, in a few words."""


@cache
def compiled(name: str) -> ctypes.CDLL | None:
    """The functions of `native/NAME.cpp`, or None where this machine cannot compile, which is said once.

    Threads are those of PyTorch's own OpenMP, so that `torch.set_num_threads` holds here too.
    """
    if os.environ.get(SWITCH) == "off":
        return None
    try:
        return load(Path(__file__).with_name(f"{name}.cpp"))
    except UnavailableError as why:
        warnings.warn(
            f"{why}: {name} goes on without its kernel, more slowly; install a C++ compiler, such as g++, or name "
            f"one in CXX ({SWITCH}=off hides this line)",
            stacklevel=2,
        )
        return None


def load(source: Path) -> ctypes.CDLL:
    """Our source as a library, compiled unless a whole one is kept.

    Raises: UnavailableError where it cannot be compiled, kept or loaded.
    """
    compiler = _compiler()
    name = f"{source.stem}-{_key(source, compiler)}.so"
    with COMPILING:
        library = next((place / name for place in _places() if _is_whole(place / name)), None)
        return _opened(library or _compiled(source, compiler, name))


def _compiler() -> list[str]:
    """CXX, which may be a command with arguments, else the first one there is."""
    named = os.environ.get("CXX") or shlex.quote(next(filter(None, map(shutil.which, COMPILERS)), ""))
    try:
        compiler = shlex.split(named)
    except ValueError as error:
        raise UnavailableError(f"CXX={named} is no command ({error})") from None
    if not any(compiler):
        raise UnavailableError("there is no C++ compiler here")
    return compiler


def _compiled(source: Path, compiler: Sequence[str], name: str) -> Path:
    library = _folder() / name
    _say(f"compiling {source.name} for this CPU, once; it takes some seconds")
    try:
        with replacing(library) as temporary:
            build(compiler, source, temporary)
            temporary.write_bytes(_sealed(temporary.read_bytes()))
    except OSError as error:
        raise UnavailableError(f"{library} cannot be made ({error})") from None
    return library


def _opened(library: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise UnavailableError(f"{library} cannot be loaded ({error})") from None


def build(compiler: Sequence[str], source: Path, library: Path, *flags: str) -> None:
    """Compile with OpenMP but link without: its functions are found in the library that PyTorch has already loaded.

    Raises: UnavailableError where the compiler does not run, or fails.
    """
    made = library.with_suffix(".o")
    try:
        _run([*compiler, *FLAGS, *flags, "-c", str(source), "-o", str(made)], made.parent)
        _run([*compiler, "-shared", str(made), "-o", str(library)], made.parent)
    finally:
        made.unlink(missing_ok=True)


def _run(command: list[str], folder: Path) -> None:
    """Run a compiler, which finds its linker and keeps its own files in a folder that can be written."""
    known = {**os.environ, "PATH": os.environ.get("PATH", os.defpath), "TMPDIR": str(folder)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=COMPILE_S, check=False, env=known
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{command[0]} did not run ({error})") from None
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line), f"code {done.returncode}")
        raise UnavailableError(f"{command[0]} failed ({first.strip()[:200]})")


def _sealed(code: bytes) -> bytes:
    """With its hash behind it, which loaders ignore: half a library would take the process along."""
    return code + hashlib.sha256(code).digest()


def _is_whole(library: Path) -> bool:
    """Whether it is there, a file of this user in a folder where nobody else writes, and as it was written."""
    try:
        found = library.lstat()
        if not (_is_safe(library.parent) and stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid()):
            return False
        content = library.read_bytes()
    except OSError:
        return False
    return content == _sealed(content[:-SEAL_BYTES])


def _is_safe(folder: Path) -> bool:
    """Whether this user alone says what is in a folder, so that nobody else's code is ever loaded from it.

    Raises: OSError where there is none.
    """
    found = folder.lstat()
    others = stat.S_IWGRP | stat.S_IWOTH
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & others


def _say(line: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"gptrilogy: {line}\n")


def _places() -> list[Path]:
    """Where results may be kept: the user's cache, and a folder of this user alone under the temporary one."""
    cache = user_cache()
    places = [cache / "gptrilogy" / "kernels"] if cache else []
    with suppress(OSError):  # there is none that can be written
        places.append(Path(tempfile.gettempdir()) / f"gptrilogy-{os.getuid()}")
    return places


def _folder() -> Path:
    """The first of them that can be written.

    Raises: UnavailableError.
    """
    for place in _places():
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_safe(place) and os.access(place, os.W_OK):
                return place
        except OSError:
            continue
    raise UnavailableError("no folder can be written to keep compiled code in")


def _key(source: Path, compiler: Sequence[str]) -> str:
    """A name that changes with the code, the compiler, the CPU and PyTorch, whose OpenMP our code calls."""
    code = [path.read_text(encoding="utf-8") for path in (source, *sorted(source.parent.glob("*.h")))]
    facts = (*code, *compiler, *FLAGS, cpu_model(), *sorted(cpu_flags()), _openmp(source), sys.platform)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _openmp(source: Path) -> str:
    """The PyTorch whose OpenMP the code calls, which is loaded; nothing for code that calls none."""
    code = source.read_text(encoding="utf-8")
    if "#pragma omp" not in code and '#include "' not in code:
        return ""
    import torch

    return torch.__version__
