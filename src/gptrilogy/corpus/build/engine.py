"""Tasks on Daft: its embedded engine on this machine, or Ray on many; the same function runs on both.

Only this module knows Daft. A task is (folder, step, number); what it does lies on the disk, so that an engine has
nothing to move but these three values and a short answer.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from multiprocessing import resource_tracker
from pathlib import Path
from queue import SimpleQueue
from tempfile import NamedTemporaryFile
from typing import Any, Literal, TypeAlias

from gptrilogy.errors import ConfigError
from gptrilogy.extras import needs

Engine: TypeAlias = Literal["local", "ray"]
Outcome: TypeAlias = dict[str, Any]

# No usage statistics leave this machine, no second progress bar is drawn, and a worker is one process of one thread.
ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "DAFT_ANALYTICS_ENABLED": "0",
    "DAFT_PROGRESS_BAR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}

STOPPING = (signal.SIGINT, signal.SIGTERM)  # what stops a build; a terminal sends the first to its workers as well
WORKERS_END_S = 10  # at the most
SETTLE_S = 1  # Daft's threads cannot be waited for by name


class WorkerDiedError(Exception):
    """A worker ended in the middle of a task, or the engine gave up on it."""


def run_on_daft(out: Path, step: str, numbers: Sequence[int], *, engine: Engine, workers: int) -> Generator[Outcome]:
    """The outcomes of a step's tasks as they end, in any order.

    Raises: WorkerDiedError; MissingExtraError; ConfigError where there is no Ray cluster to be had.
    """
    if not numbers:
        return
    with _environment():
        daft = _daft(engine)
        if engine == "ray":
            workers = _join_ray(workers)
        _run_on(engine)
        tasks = daft.from_pydict({"task": [json.dumps([str(out.absolute()), step, number]) for number in numbers]})
        if engine == "ray":
            tasks = tasks.into_partitions(len(numbers))
        with NamedTemporaryFile(prefix="gptrilogy-build-") as sign:
            run = _worker(daft, min(workers, len(numbers)), sign=sign.name if engine == "local" else None)
            thread, rows = _iterated(tasks.select(run(daft.col("task")).alias("outcome")))
            try:
                for row in rows:
                    yield json.loads(row["outcome"])
            except BaseException:
                sign.close()
                if engine == "local":  # Daft aborts if Python ends while its threads are still busy with dead workers
                    thread.join(WORKERS_END_S)
                    time.sleep(SETTLE_S)
                raise


def _iterated(frame: Any) -> tuple[threading.Thread, Iterator[dict[str, Any]]]:
    """The rows of a frame, and the thread that computes them, which takes no signals.

    Nor do the processes that it starts: what stops a build reaches the process that it was begun in, and no other.
    The rows may raise WorkerDiedError.
    """
    answers = SimpleQueue[dict[str, Any] | Exception | None]()
    resource_tracker.ensure_running()  # starting it, which Daft does else, lets the signals through again

    def iterate() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            for row in frame.iter_rows():
                answers.put(row)
            answers.put(None)
        except Exception as error:  # noqa: BLE001 - engines raise what they like
            answers.put(error)

    def answered() -> Iterator[dict[str, Any]]:
        while (answer := answers.get()) is not None:
            if isinstance(answer, Exception):
                # A task catches what it can; what arrives here is the end of its process, in the engine's own words.
                said = str(answer).strip()
                raise WorkerDiedError(said.splitlines()[0] if said else repr(answer)) from None
            yield answer

    thread = threading.Thread(target=iterate, daemon=True)
    thread.start()
    return thread, answered()


def run_here(out: Path, step: str, numbers: Sequence[int]) -> Generator[Outcome]:
    """The same without an engine, in this process: for tests, and for reading a traceback."""
    from gptrilogy.corpus.build.tasks import run_task

    for number in numbers:
        yield run_task(str(out), step, number)


def _worker(daft: Any, count: int, *, sign: str | None) -> Any:
    """A function over a column of tasks, run one at a time in each of `count` processes.

    They end when the file `sign` or their parent does; Ray ends its own.
    """
    parent = os.getpid()

    @daft.cls(max_concurrency=count, use_process=True)
    class Worker:
        def __init__(self) -> None:
            if sign is not None:
                for number in STOPPING:
                    signal.signal(number, signal.SIG_IGN)
                threading.Thread(target=_end_with, args=(sign, parent), daemon=True).start()

        @daft.method.batch(return_dtype=daft.DataType.string(), batch_size=1)
        def run(self, tasks: Any) -> list[str]:
            from gptrilogy.corpus.build.tasks import run_task

            return [json.dumps(run_task(*json.loads(task))) for task in tasks.to_pylist()]

    return Worker().run


def _end_with(sign: str, parent: int) -> None:
    """End this process, whatever it is doing, as soon as the file is gone or nobody waits for an answer."""
    while Path(sign).exists() and os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _daft(engine: Engine) -> Any:
    with needs("ray" if engine == "ray" else "corpus", purpose="building a corpus"):
        if engine == "ray":
            import_module("ray")  # Daft's error where it is missing does not say what to install
        return import_module("daft")


@cache
def _run_on(engine: Engine) -> None:
    """Tell Daft its engine, once: a process keeps to the first that it was told."""
    import daft

    if engine == "ray":
        daft.set_runner_ray(noop_if_initialized=True)
    else:
        daft.set_runner_native()


def _join_ray(workers: int) -> int:
    """Connect to the cluster that RAY_ADDRESS names, or start one here; return how many workers it has room for."""
    ray: Any = import_module("ray")
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS")
        place: dict[str, Any] = {"address": address} if address else {"num_cpus": workers, "include_dashboard": False}
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", runtime_env={"env_vars": ENVIRONMENT}, **place)
        except ConnectionError as error:
            raise ConfigError(
                f"no Ray cluster answers at RAY_ADDRESS={address} ({error}); start one or unset it"
            ) from None
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


@contextmanager
def _environment() -> Generator[None]:
    """Settings that libraries and workers read when they start, taken back afterwards."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
