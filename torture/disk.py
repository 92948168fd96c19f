"""Row 2: a disk that is full, fails or cannot be written costs the step at hand, and is named."""

import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gptrilogy.checkpoints import newest_valid, verify_checkpoint
from gptrilogy.errors import CheckpointError
from gptrilogy.runs import Run
from torture.commands import Ended
from torture.saves import continued
from torture.subject import Kind, Subject, leftovers
from torture.tally import Tally
from torture.tracing import MAKING, OPENING, WRITING, Call, some, traced

EXIT_S = 1.0
TRIES = 5
SPARE_KB = (0, 4, 8, 16, 32, 48, 64, 96, 128, 160, 200, 240)


def refused_at_every_call(
    subject: Subject, kind: Kind, error: str, *, begin: int, end: int, lasting: bool, share: float = 1.0
) -> Tally:
    """One error at each call that writes, flushes, renames, makes or opens; with `lasting`, at each later one too.

    The command fails within a second, in one line that names a place in the run; the old checkpoint is valid, nothing
    half-written is left, and with the fault gone the run ends as one that never met it.
    """
    how = "from each call on" if lasting else "at each call"
    tally = Tally(2, f"{error} {how}, {kind.name} resumed, steps {begin} to {end}")
    base = subject.stopped(kind, begin)
    resume = Struck(subject, tally, lambda: subject.copy(base), lambda run: ["resume", run, "--stop-at", end])
    for call in some([call for call in resume.calls() if _counts(call, error, lasting=lasting)], share):
        for run, ended, late in resume.hit(call, f"{error}:when={call.when}{'+' if lasting else ''}"):
            wrong = _refusal(ended, run) or _whole(run, base) or subject.finish(run, kind) or late
            tally.count(str(call), wrong, "went on" if ended.code == 0 else "refused")
    return tally


def refused_while_beginning(subject: Subject, kind: Kind, error: str, *, share: float = 1.0) -> Tally:
    """The same for a new run, from nothing to its first checkpoint."""
    tally = Tally(2, f"{error} at each call, a new {kind.name}")
    begin = Struck(subject, tally, subject.fresh, lambda run: [*kind.words, "--out", run, "--stop-at", 1])
    for call in some([call for call in begin.calls() if _counts(call, error, lasting=False)], share):
        for run, ended, late in begin.hit(call, f"{error}:when={call.when}"):
            wrong = _refusal(ended, run) or continued(subject, kind, run) or late
            tally.count(str(call), wrong, "went on" if ended.code == 0 else "refused")
    return tally


@dataclass(frozen=True, slots=True)
class Struck:
    """A command that is run over and over, each time on a run folder of its own, with a fault at one of its calls."""

    subject: Subject
    tally: Tally
    folder: Callable[[], Path]
    words: Callable[[Path], list[object]]

    def calls(self) -> list[Call]:
        """Those of a command that nothing disturbs."""
        run = self.folder()
        ended, calls = traced(self.subject.warm, self.words(run), run)
        self.subject.must(ended)
        return calls

    def hit(self, call: Call, fault: str) -> Iterator[tuple[Path, Ended, str]]:
        """The folder, the end and the lateness of one run in which the fault hit a call on the folder, or nothing.

        Calls are counted over the whole process, and Python and PyTorch do not open their own files in the same order
        each time: a fault that hit one of these is tried again. So is one that ended late, once: a busy machine stands
        still now and then, ours would do so twice.
        """
        was_late = False
        for _ in range(TRIES):
            run = self.folder()
            ended, seen = traced(self.subject.warm, self.words(run), run, f"{call.name}:error={fault}")
            if any(call.was_hit for call in seen):
                late = _lateness(seen) if ended.code else ""
                if late and not was_late:
                    was_late = True
                    continue
                yield run, ended, late
                return
        self.tally.seen[f"not hit in {TRIES} tries"] += 1


def small_disk(subject: Subject, kind: Kind, *, spare_kb: Sequence[int] = SPARE_KB) -> Tally:
    """A disk of 1 MB, really full but for some kilobytes, as run folder; then room is made and the run goes on."""
    tally = Tally(2, f"a full disk of 1 MB, {kind.name} resumed")
    disk = subject.folder / "disk"
    base = subject.stopped(kind, 14)
    for spare in spare_kb:
        with mounted(disk) as trouble:
            if trouble:
                tally.not_run = trouble
                return tally
            run = Path(shutil.copytree(base, disk / "run"))
            filler = disk / "filler"
            free = shutil.disk_usage(disk).free
            filler.write_bytes(b"x" * max(0, free - spare * 1024))
            ended = subject.warm.run("resume", run)
            wrong = _refusal(ended, run) or _whole(run, base)
            filler.unlink()
            tally.count(f"{spare} kB", wrong or subject.finish(run, kind), "fitted" if ended.code == 0 else "refused")
    return tally


def read_only(subject: Subject, kind: Kind) -> Tally:
    """A run on a disk that cannot be written: it can be read and verified; else one line says what is wrong."""
    tally = Tally(2, "a read-only disk")
    disk = subject.folder / "disk"
    with mounted(disk, size="4m") as trouble:
        if trouble:
            tally.not_run = trouble
            return tally
        run = Path(shutil.copytree(subject.stopped(kind, 14), disk / "run"))
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for words in (["resume", run], [*kind.words, "--out", disk / "new"], [*kind.words, "--out", run, "--force"]):
            ended = subject.warm.run(*words)
            tally.count(" ".join(map(str, words[:1])), _refusal(ended, disk), "refused")
        for words in (["generate", run, "--prompt", "a", "--max-tokens", 3], ["resume", run, "--verify", 2]):
            ended = subject.warm.run(*words)
            tally.count(" ".join(map(str, words[:1])), ended.err if ended.code else "", "read")
    return tally


@contextmanager
def mounted(folder: Path, size: str = "1m") -> Generator[str]:
    """A small disk in memory; where it cannot be had, the reason."""
    folder.mkdir(exist_ok=True)
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "torture", folder], capture_output=True, check=False
        )
        trouble = made.stderr.decode().strip() if made.returncode else ""
    except OSError as error:
        trouble = str(error)
    try:
        yield trouble
    finally:
        if not trouble:
            subprocess.run(["umount", folder], check=True)


def _counts(call: Call, error: str, *, lasting: bool) -> bool:
    """A full disk shows where something is made; a failing one wherever it is touched.

    A lasting fault of `write` and `openat` would hit the message itself: the full disk of `small_disk` stands for it.
    """
    if call.name in ("write", *OPENING) and lasting:
        return False
    if call.name in OPENING:
        return error == "EIO" or "O_CREAT" in call.text
    return call.name in (*WRITING, *MAKING)


def _refusal(ended: Ended, run: Path) -> str:
    if ended.code == 0:
        return ""
    if not ended.failed_in_one_line():
        return f"it ended with {ended.code}: {ended.err[-300:]}"
    return "" if str(run) in ended.last_line else f"no place in the run is named: {ended.last_line}"


def _lateness(calls: Sequence[Call]) -> str:
    """How long a command went on after the last fault, where that is too long."""
    late_s = calls[-1].at_s - [call.at_s for call in calls if call.was_hit][-1]
    return f"it ended {late_s:.2f} s after the fault" if late_s > EXIT_S else ""


def _whole(run: Path, base: Path) -> str:
    """Every checkpoint of before that is not pruned is whole, and nothing half-written lies about.

    What the disk would not let go of while it was deleted may stay until the next command, which `finish` sees to.
    """
    kept = newest_valid(Run(run).checkpoints_folder)
    newest = newest_valid(Run(base).checkpoints_folder)
    if kept is None or newest is None or kept.name < newest.name:
        return f"the newest valid checkpoint is {kept}, it was {newest}"
    with_manifest = Run(run).checkpoints_folder.glob("step-*/manifest.json")
    damaged = [path.parent.name for path in with_manifest if not _is_whole(path.parent)]
    left = [path for path in leftovers(run) if not path.name.endswith(".old.tmp")]
    return f"damaged: {damaged[0]}" if damaged else f"left over: {left[0]}" if left else ""


def _is_whole(folder: Path) -> bool:
    try:
        verify_checkpoint(folder)
    except CheckpointError:
        return False
    return True
