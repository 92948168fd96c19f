"""A process that has imported what tests import, and forks a child for each trial of a mutant.

Reads one JSON request a line and answers each by {status}, as of wait:
{import: names} imports modules, which are never those of the package;
{open: files, folder} forks a process that collects the tests of these files, and goes on reading requests, as
{swap, ...}, a trial in which a function of a loaded module gets the code of a mutant, until {close};
{files, ...} is a trial that begins with the import of the package, for mutants of what runs then.
A trial runs the `chosen` tests in their order up to the first failure, each within CPU seconds that follow from
`costs`, in `folder`, where it leaves `said`.
"""

import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, TextIO

import pytest

from torture.mutants_plugin import Trial

ROOT = Path(__file__).parent.parent
IMPORT_CPU_S = 60  # for what is read before the first test
PATIENCE_S = 900  # of the clock, for a trial that waits for ever; no verdict follows from it
DATA_BYTES = 8 << 30
OPTIONS = (
    "-x", "-q", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-p", "no:xdist", "--tb=short",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",  # of plugins that are imported ahead
    "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"),
)  # fmt: skip


class Server:
    """Requests in, answers out; a forked process goes on with both where its parent was."""

    def __init__(self, requests: TextIO, answers: TextIO) -> None:
        self.requests, self.answers, self.is_open = requests, answers, False

    def say(self, status: int) -> None:
        print(json.dumps({"status": status}), file=self.answers, flush=True)

    def serve(self) -> None:
        while line := self.requests.readline():
            asked = json.loads(line)
            if "open" in asked:
                status = forked(lambda asked=asked: self.collect(asked["open"], Path(asked["folder"])), None)
                self.say(status)
                continue
            for name in asked.get("import", ()):
                _import_ahead(name)
            self.say(forked(lambda asked=asked: begin(asked)) if "files" in asked else 0)

    def collect(self, files: Sequence[str], folder: Path) -> None:
        """Collect tests, then try mutants on them until told to close."""
        _settle(folder)
        pytest.main([*OPTIONS, f"--basetemp={folder / 'pytest'}", *(str(ROOT / file) for file in files)], [self])
        if not self.is_open:
            raise RuntimeError("the tests cannot be collected")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.is_open = True
        known = _loaded_functions()
        gc.freeze()  # else a collection in a child copies the memory that both share
        self.say(session.testsfailed)
        while line := self.requests.readline():
            asked = json.loads(line)
            if "close" in asked:
                break
            self.say(forked(lambda asked=asked: swap_and_run(session, known, asked)))
        return True


def _import_ahead(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - it is then imported in every trial
        print(f"not imported ahead: {name} ({error!r:.100})", file=sys.stderr)


def forked(work: Callable[[], None], patience_s: float | None = PATIENCE_S) -> int:
    """Do it in a child; what that has started ends with it. -> how it ended."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            os.setsid()
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - this is the last frame of the process
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    descriptor = os.pidfd_open(process)
    select.select([descriptor], [], [], patience_s)
    os.close(descriptor)
    for stop in (os.kill, os.killpg):  # it is not waited for yet, so its number is nobody else's
        with suppress(ProcessLookupError):
            stop(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status)


def _settle(folder: Path) -> None:
    """A place of its own, and limits."""
    out = os.open(folder / "out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor, place in ((0, os.open(os.devnull, os.O_RDONLY)), (1, out), (2, out)):
        os.dup2(place, descriptor)
    for name in ("cwd", "tmp"):
        (folder / name).mkdir()
    os.chdir(folder / "cwd")
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (IMPORT_CPU_S, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES, DATA_BYTES))
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def begin(asked: dict[str, Any]) -> None:
    """A trial from the import of the package on."""
    folder = Path(asked["folder"])
    _settle(folder)
    _limit()
    trial = Trial(asked)
    files = (str(ROOT / file) for file in asked["files"])
    code = pytest.main([*OPTIONS, f"--basetemp={folder / 'pytest'}", *files], [trial])
    _leave(folder, {"code": int(code), "failed": trial.failed, "collected": trial.collected})


def swap_and_run(session: pytest.Session, known: Sequence[Any], asked: dict[str, Any]) -> None:
    """A trial among tests that are collected."""
    folder, watched = Path(asked["folder"]), asked.get("watched")
    _settle(folder)
    if not watched:
        _limit()
    if asked["swap"] and not swap(known, *asked["swap"]):
        _leave(folder, {"unable": True})
        return
    trial = Trial(asked)
    if watched:
        sys.addaudithook(trial.audit)
    session.config.pluginmanager.register(trial)
    trial.pytest_collection_modifyitems(session.items)
    for item, following in zip(session.items, [*session.items[1:], None], strict=True):
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if trial.failed:
            break
    found: dict[str, Any] = {"code": int(bool(trial.failed)), "failed": trial.failed, "collected": True}
    if watched:
        found["modules"] = [name for name, module in sys.modules.items() if _is_foreign(module)]
        found["entered"] = {name: sorted(seen) for name, seen in trial.entered.items()}
        found |= {"costs": trial.measured, "apart": sorted(trial.apart)}
    _leave(folder, found)


def _leave(folder: Path, said: dict[str, Any]) -> None:
    (folder / "said").write_text(json.dumps(said), encoding="utf-8")


def swap(known: Sequence[Any], path: str, function: str, source: str) -> bool:
    """Give every function of this name from a file the code it has in `source`; False where that cannot be."""
    new = [code for code in _codes(compile(source, path, "exec")) if code.co_qualname == function]
    old = [one for one in known if one.__code__.co_filename == path and one.__code__.co_qualname == function]
    if len(new) != 1 or not old or any(one.__code__.co_freevars != new[0].co_freevars for one in old):
        return False
    for one in old:
        one.__code__ = new[0]
    return True


def _loaded_functions() -> list[Any]:
    """Every function of this tree, wherever it is bound."""
    functions: list[Any] = [one for one in gc.get_objects() if type(one) is FunctionType]  # isinstance wakes proxies
    return [one for one in functions if one.__code__.co_filename.startswith(str(ROOT))]


def _codes(code: CodeType) -> list[CodeType]:
    """All code below a module's."""
    below = [const for const in code.co_consts if isinstance(const, CodeType)]
    return below + [deeper for const in below for deeper in _codes(const)]


def _is_foreign(module: Any) -> bool:
    """Whether a module is neither the package nor a test, so that it may be imported once for all trials."""
    place = getattr(module, "__file__", None) or ""
    return bool(place) and not place.startswith(str(ROOT)) and "gptrilogy" not in module.__name__


def main() -> None:
    requests, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    Server(requests, answers).serve()


if __name__ == "__main__":
    main()
