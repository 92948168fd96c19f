"""Row 1: a process killed in the middle of its writing loses nothing that was committed."""

import random
import signal
import time
from pathlib import Path

from gptrilogy.checkpoints import newest_valid
from gptrilogy.metrics import read_metrics
from gptrilogy.runs import Run
from torture.commands import Ended, Running, Starter
from torture.subject import Kind, Subject
from torture.tally import Tally
from torture.tracing import some, traced


def killed_at_every_call(subject: Subject, kind: Kind, *, begin: int, end: int, share: float = 1.0) -> Tally:
    """SIGKILL at each call by which `gpt resume` changes the run folder on its way from one checkpoint to the next.

    After each, a checkpoint from before is whole, and the run resumed ends as one that was never disturbed.
    """
    tally = Tally(1, f"SIGKILL at each call that changes the disk, {kind.name} resumed, steps {begin} to {end}")
    base = subject.stopped(kind, begin)
    run = subject.copy(base)
    ended, calls = traced(subject.warm, ["resume", run, "--stop-at", end], run)
    subject.must(ended)
    for call in some([call for call in calls if call.changes_the_disk], share):
        run = subject.copy(base)
        inject = f"{call.name}:signal=KILL:when={call.when}"
        ended, _ = traced(subject.warm, ["resume", run, "--stop-at", end], run, inject)
        wrong = not_killed(ended)
        whole = newest_valid(Run(run).checkpoints_folder)
        if whole is None or whole.name < f"step-{begin:08d}":
            wrong = f"the newest valid checkpoint is {whole}"
        tally.count(str(call), wrong or subject.finish(run, kind), call.name)
    return tally


def killed_while_beginning(subject: Subject, kind: Kind, *, share: float = 1.0) -> Tally:
    """SIGKILL at each call by which a new run changes its folder, from nothing to its first checkpoint."""
    tally = Tally(1, f"SIGKILL at each call that changes the disk, a new {kind.name}")
    run = subject.fresh()
    ended, calls = traced(subject.warm, [*kind.words, "--out", run, "--stop-at", 1], run)
    subject.must(ended)
    for call in some([call for call in calls if call.changes_the_disk], share):
        run = subject.fresh()
        inject = f"{call.name}:signal=KILL:when={call.when}"
        ended, _ = traced(subject.warm, [*kind.words, "--out", run, "--stop-at", 1], run, inject)
        tally.count(str(call), not_killed(ended) or continued(subject, kind, run), call.name)
    return tally


def not_killed(ended: Ended) -> str:
    """What is wrong where a fault did not come to pass."""
    return "" if ended.code == -signal.SIGKILL else f"it was not killed, it ended with {ended.code}"


def continued(subject: Subject, kind: Kind, run: Path) -> str:
    """Go on with what a stopped command left, as its user would; what is then wrong."""
    begun = Run(run).holds_a_run()
    if begun and (kind.name == "pretrain" or Run(run).initial_folder.exists()):
        return subject.finish(run, kind)
    ended = subject.warm.run(*kind.words, "--out", run, *(["--force"] if begun else []))
    return f"again it ended with {ended.code}: {ended.err[-200:]}" if ended.code else subject.finish(run, kind)


def killed_at_random(subject: Subject, kind: Kind, starter: Starter, what: str, *, kills: int, seed: int) -> Tally:
    """SIGKILL at random moments of a run from its first command on, resumed each time until it is through."""
    tally, moments = Tally(1, f"SIGKILL at random moments, {kind.name}, {what}"), random.Random(seed)
    while tally.faults < kills:
        run, survived = subject.fresh(), 0
        while tally.faults < kills:
            process = starter(*(["resume", run] if Run(run).holds_a_run() else [*kind.words, "--out", run]))
            wait_for_rows(run, moments.randrange(12), process)
            time.sleep(moments.uniform(0, 0.05))
            process.send(signal.SIGKILL)
            ended = process.wait()
            if ended.code != -signal.SIGKILL:
                if ended.code:
                    tally.count(f"after {survived} kills", f"a command ended with {ended.code}: {ended.err[-200:]}")
                break
            survived += 1
            tally.count(f"kill {survived} of a run", seen=f"after step {last_step(run) // 10 * 10:02d} or later")
        wrong = continued(subject, kind, run)
        tally.seen["runs that ended equal"] += not wrong
        if wrong:
            tally.count(f"the end after {survived} kills", wrong)
    return tally


def wait_for_rows(run: Path, more: int, process: Running) -> None:
    """Until as many more rows are logged, or the process has ended."""
    path = Run(run).metrics_path
    wanted = len(read_metrics(path)) + more
    while len(read_metrics(path)) < wanted and process.is_alive():
        time.sleep(0.001)


def last_step(run: Path) -> int:
    """The last finished step, by the log."""
    return max((row["step"] for row in read_metrics(Run(run).metrics_path)), default=0)
