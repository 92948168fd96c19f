"""The tests against one mutant after the other, each in a process of its own, in a copy of the tree."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from torture.mutants_made import Mutant

Verdict: TypeAlias = Literal["test", "import", "CPU time", "crash", "lived", "not reached"]
KILLED: tuple[Verdict, ...] = ("test", "import", "CPU time", "crash")
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".hypothesis", ".pytest_cache", ".ruff_cache", "__pycache__", "runs")
SOURCES = Path("src", "gptrilogy")


class TrialError(Exception):
    """Why a trial has no verdict, which is our fault."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A mutant, what became of it, and the test that saw it."""

    mutant: Mutant
    verdict: Verdict
    by: str = ""


@dataclass(slots=True)
class Sound:
    """What the tests of a module do while it is sound: which of its functions each enters, and what each costs."""

    entered: dict[str, set[str]]
    costs: dict[str, float]
    apart: set[str]  # tests that start processes, in which nothing is seen
    modules: list[str] = field(default_factory=list[str])

    def chosen(self, mutant: Mutant) -> list[str]:
        """The tests that can notice, cheap files and cheap tests first."""
        of_files: dict[str, float] = {}
        for test, cost in self.costs.items():
            of_files[_file(test)] = of_files.get(_file(test), 0) + cost
        able = [test for test in self.costs if not mutant.outer or self._reaches(test, mutant.outer)]
        return sorted(able, key=lambda test: (of_files[_file(test)], _file(test), self.costs[test]))

    def _reaches(self, test: str, function: str) -> bool:
        shared = self.entered.get(_file(test), set())
        return test in self.apart or function in shared or function in self.entered.get(test, set())


def _file(test: str) -> str:
    return test.partition("::")[0]


class Trials:
    """A copy of the tree and the process that tries mutants in it. Nothing outside `folder` is written to."""

    def __init__(self, root: Path, folder: Path, *, ahead: Sequence[str] = ("torch",), spare_cpu_s: float = 4) -> None:
        self.tree, self.folder, self.spare_cpu_s, self._n = folder / "tree", folder, spare_cpu_s, 0
        shutil.copytree(root, self.tree, ignore=LEFT_OUT)
        (folder / "home").mkdir()
        compiled = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "gptrilogy")
        if compiled.is_dir():  # our kernels, which take long to compile
            shutil.copytree(compiled, folder / "home" / "gptrilogy")
        env = {**os.environ, "HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        env |= {"PYTHONPATH": f"{self.tree / 'src'}{os.pathsep}{self.tree}", "GPTRILOGY_REQUIRE_DATA": "1"}
        env |= {"XDG_CACHE_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
        command, pipe = [sys.executable, "-m", "torture.mutants_warm"], subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=self.tree, stdin=pipe, stdout=pipe, text=True, env=env)
        self._ask({"import": list(ahead)})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def of(self, path: str, mutants: Sequence[Mutant], tests: Sequence[str]) -> Iterator[Tried]:
        """Try the mutants of one module against the tests of these files and the doctests of its own.

        Raises: TrialError where the tests fail without a mutant: nothing could then be learned.
        """
        if not mutants:
            return
        files, later = [*tests, str(SOURCES / path)], list[Mutant]()
        folder = self._folder()
        if self._ask({"open": files, "folder": str(folder)})["status"]:
            raise TrialError(f"the tests of {path} cannot be collected: {_tail(folder)}")
        sound = self._sound(path)
        for mutant in mutants:
            tried = self._in_place(mutant, sound) if mutant.outer else None
            if tried:
                yield tried
            else:
                later.append(mutant)
        self._ask({"close": True})
        shutil.rmtree(folder)
        self._ask({"import": sound.modules} if later else {})
        for mutant in later:
            yield self._from_import(mutant, sound)

    def _sound(self, path: str) -> Sound:
        """What the tests do to a module as it is; then they must not see that it is compiled anew."""
        place = self.tree / SOURCES / path
        said = self._said({"swap": None, "chosen": None, "costs": {}, "watched": str(place)})
        if said.get("code", 1):
            raise TrialError(f"the tests of {path} fail without a mutant: {said.get('failed')} {said['out']}")
        entered = {name: set(seen) for name, seen in said["entered"].items()}
        sound = Sound(entered, said["costs"], set(said["apart"]), said["modules"])
        source = ast.unparse(ast.parse(place.read_text(encoding="utf-8")))
        again = self._in_place(Mutant(path, "", "", 0, "nothing", "nothing", source), sound)
        if again is None or again.verdict != "lived":
            raise TrialError(f"the tests of {path} do not pass twice: {again and again.by}")
        return sound

    def _in_place(self, mutant: Mutant, sound: Sound) -> Tried | None:
        """None where a function cannot be given the mutant's code."""
        chosen = sound.chosen(mutant)
        if not chosen:
            return Tried(mutant, "not reached")
        swap = [str(self.tree / SOURCES / mutant.path), mutant.outer, mutant.source] if mutant.outer else None
        with _Changed(self.tree / SOURCES / mutant.path, mutant.source, self._n):
            said = self._said({"swap": swap, "chosen": chosen, "costs": sound.costs, "watched": None})
        return None if said.get("unable") else _verdict(mutant, said)

    def _from_import(self, mutant: Mutant, sound: Sound) -> Tried:
        chosen = sound.chosen(mutant)
        files = sorted(set(map(_file, chosen)))
        with _Changed(self.tree / SOURCES / mutant.path, mutant.source, self._n):
            return _verdict(mutant, self._said({"files": files, "chosen": chosen, "costs": sound.costs}))

    def _said(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        folder = self._folder()
        answer = self._ask({**asked, "folder": str(folder), "spare_cpu_s": self.spare_cpu_s})
        said = json.loads((folder / "said").read_text("utf-8")) if (folder / "said").exists() else {}
        out = _tail(folder)
        shutil.rmtree(folder, ignore_errors=True)
        return {**said, "status": answer["status"], "out": out}

    def _folder(self) -> Path:
        self._n += 1
        folder = self.folder / f"trial-{self._n}"
        folder.mkdir()
        return folder

    def _ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise TrialError(f"the process that forks ended with code {self._process.wait()}")
        return json.loads(line)


def _verdict(mutant: Mutant, said: Mapping[str, Any]) -> Tried:
    status = said["status"]
    if status == -signal.SIGXCPU:
        return Tried(mutant, "CPU time")
    if -status in CRASHES:
        return Tried(mutant, "crash", signal.Signals(-status).name)
    if status or "code" not in said:
        raise TrialError(f"no verdict over {mutant}: status {status}: {said['out']}")
    if said["failed"]:
        return Tried(mutant, "test", said["failed"])
    if not said["code"]:
        return Tried(mutant, "lived")
    if said["collected"]:
        raise TrialError(f"no verdict over {mutant}: pytest says {said['code']}: {said['out']}")
    return Tried(mutant, "import")


def _tail(folder: Path) -> str:
    out = folder / "out"
    return out.read_text("utf-8", "replace")[-2000:] if out.exists() else ""


class _Changed:
    """A file with other content, and a time of its own, so that no compiled code is taken for its own."""

    def __init__(self, path: Path, source: str, number: int) -> None:
        self.path, self.source, self.number = path, source, number

    def __enter__(self) -> None:
        stat = self.path.stat()
        self._content, self._times = self.path.read_bytes(), (stat.st_atime_ns, stat.st_mtime_ns)
        self.path.write_text(self.source, encoding="utf-8")
        os.utime(self.path, (self.number, 1_000_000_000 + self.number))

    def __exit__(self, *_: object) -> None:
        self.path.write_bytes(self._content)
        os.utime(self.path, ns=self._times)
