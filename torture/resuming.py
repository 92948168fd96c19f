"""Row 6: a run stopped anywhere, and its twin in another process, end in the same bits as one that never stopped."""

from collections.abc import Sequence
from pathlib import Path

from torture import commands
from torture.subject import Ending, Kind, Subject
from torture.tally import Tally


def at_every_step(subject: Subject, kind: Kind, steps: Sequence[int], last: int) -> Tally:
    """One run, stopped at every one of these steps by `--stop-at`: numbers, state and the order of data are equal."""
    tally = Tally(6, f"stopped and resumed at every step, {kind.name}")
    undisturbed, halting = subject.folder / "order-whole", subject.folder / "order-halting"
    for order in (undisturbed, halting):
        order.write_bytes(b"")
    run = subject.fresh()
    subject.must(subject.warm.run(*kind.words, "--out", run, hook=["note_batches", str(undisturbed)]))
    words: tuple[object, ...] = (*kind.words, "--out", run := subject.fresh())
    for step in steps:
        ended = subject.warm.run(*words, "--stop-at", step, hook=["note_batches", str(halting)])
        words = ("resume", run)
        tally.count(f"stop at {step}", ended.err if ended.code else "", "stops")
    wrong = subject.finish(run, kind) if last not in steps else Ending.of(run).differs_from(kind.ending)
    if not wrong and _lines(undisturbed) != _lines(halting):
        wrong = "the data came in another order"
    tally.count("the end", wrong, "ends")
    return tally


def from_every_step(subject: Subject, kind: Kind, steps: Sequence[int]) -> Tally:
    """Fifty runs, each stopped once, at its own step."""
    tally = Tally(6, f"stopped once, at each step, {kind.name}")
    for step in steps:
        run = subject.fresh()
        ended = subject.warm.run(*kind.words, "--out", run, "--stop-at", step)
        tally.count(f"stop at {step}", ended.err if ended.code else subject.finish(run, kind), "runs")
    return tally


def two_processes(subject: Subject, kind: Kind, repeats: int) -> Tally:
    """Independent processes of one seed, from the start of Python on, two at a time."""
    tally = Tally(6, f"two independent processes of one seed, {kind.name}")
    for number in range(repeats):
        runs = [subject.fresh(), subject.fresh()]
        processes = [commands.start(*kind.words, "--out", run) for run in runs]
        for run, process in zip(runs, processes, strict=True):
            ended = process.wait()
            wrong = ended.err if ended.code else Ending.of(run).differs_from(kind.ending)
            tally.count(f"pair {number + 1}", wrong, "processes")
    return tally


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").splitlines()
