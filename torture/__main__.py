"""`python -m torture`: faults against real runs, counted. The table goes to stdout, progress to stderr; Linux alone."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from bench.record import facts, write_record
from cyclopts import App, Parameter

from torture import bombs, commands, disk, flips, machines, numbers, readers, resuming, saves, signals
from torture.commands import Warm
from torture.subject import Kind, Subject
from torture.table import METHOD, table, verdict
from torture.tally import Tally, log
from torture.tracing import can_trace

Row = Literal["1", "2", "3", "5", "6", "7", "8", "20"]

app = App(name="torture", help_format="plaintext", version_flags=[])


@app.default
def torture(
    *,
    only: Annotated[tuple[Row, ...], Parameter(negative="")] = (),
    short: Annotated[bool, Parameter(negative="")] = False,
    record: Path | None = None,
) -> None:
    """Do to tiny runs what happens to large ones: kills, full disks, flipped bits, bombs, odd machines.

    Args:
        only: the faults of these rows of the promises alone; may be given more than once.
        short: a tenth of the faults, for trying out.
        record: write README.md, results.json and log.txt into this folder.
    """
    began, tallies = time.monotonic(), list[Tally]()
    with tempfile.TemporaryDirectory(prefix="torture-runs-") as folder, Warm() as warm:
        subject = Subject(Path(folder), warm)
        for tally in campaign(
            subject, set(only or ("1", "2", "3", "5", "6", "7", "8", "20")), share=0.1 if short else 1
        ):
            tallies.append(tally)
            log.say(
                f"row {tally.row}, {tally.what}: {tally.survived} of {tally.faults} survived, {tally.seconds:.0f} s"
            )
    page = f"{verdict(tallies)} In {(time.monotonic() - began) / 60:.0f} minutes.\n\n{table(tallies)}\n\n{METHOD}"
    print(page)
    if record:
        options = [*(f"--only {row}" for row in only), *(["--short"] if short else []), "--record DIR"]
        known = facts(f"python -m torture {' '.join(options)}", sum(tally.faults for tally in tallies))
        write_record(
            record, "Fault campaigns", page, known, {"tallies": [tally.as_dict() for tally in tallies]}, log.lines
        )
    sys.exit(any(tally.failures for tally in tallies))


def campaign(subject: Subject, rows: set[str], *, share: float) -> Iterator[Tally]:
    """Every kind of fault, in the order of the promises; `share` of the counts of the full campaign."""
    trouble = can_trace()
    if trouble:
        log.say(f"faults at system calls are left out: {trouble}")
    pretrain, traced = subject.pretraining, not trouble

    def n(count: int) -> int:
        return max(1, round(count * share))

    if "1" in rows:
        yield from _killed(subject, share, traced=traced)
    if "2" in rows:
        yield from _out_of_disk(subject, share, traced=traced)
    if "3" in rows:
        yield from flips.in_every_file(subject, pretrain, flips=n(1000), cuts=n(64))
        yield flips.met_by_commands(subject, pretrain, flips=n(4))
        yield readers.beside_a_writer(subject, saves=n(300))
    if "5" in rows:
        yield bombs.thrown(subject)
    if "6" in rows:
        yield resuming.at_every_step(subject, pretrain, range(1, 51), 50)
        yield resuming.from_every_step(subject, pretrain, range(1, 51, round(1 / share)))
        yield resuming.at_every_step(subject, subject.finetuning, range(1, 42, round(1 / share)), 42)
        yield resuming.two_processes(subject, pretrain, n(5))
    if "7" in rows:  # from step 2 on: a run can be stopped before any but its first
        for kind in (pretrain, subject.finetuning):
            yield numbers.single(subject, kind, range(2, 22, round(1 / share)))
            yield numbers.three_in_a_row(subject, kind, range(15, 35, round(5 / share)))
    if "8" in rows:
        yield from _stopped(subject, n)
    if "20" in rows:
        yield machines.odd(subject, pretrain)
        yield machines.unable_to_speak(subject)


def _killed(subject: Subject, share: float, *, traced: bool) -> Iterator[Tally]:
    pretrain = subject.pretraining
    if traced:
        yield saves.killed_at_every_call(subject, pretrain, begin=14, end=21, share=share)
        yield saves.killed_at_every_call(subject, pretrain, begin=49, end=50, share=share)
        yield saves.killed_while_beginning(subject, pretrain, share=share)
        yield saves.killed_at_every_call(subject, subject.finetuning, begin=14, end=21, share=share / 2)
        yield saves.killed_while_beginning(subject, subject.finetuning, share=share / 2)
    for kind, starter, what, kills in _starters(subject):
        yield saves.killed_at_random(subject, kind, starter, what, kills=max(1, round(kills * share)), seed=kills)


def _starters(subject: Subject) -> list[tuple[Kind, commands.Starter, str, int]]:
    """Who is killed at random: commands from the start of Python on, and forked ones, 200 of pretraining in all."""
    return [
        (subject.pretraining, commands.start, "whole processes", 60),
        (subject.pretraining, subject.warm.start, "forked", 140),
        (subject.finetuning, subject.warm.start, "forked", 30),
    ]


def _out_of_disk(subject: Subject, share: float, *, traced: bool) -> Iterator[Tally]:
    pretrain, tuned = subject.pretraining, subject.finetuning
    if traced:
        for error in ("ENOSPC", "EIO"):
            for lasting in (False, True):
                yield disk.refused_at_every_call(
                    subject, pretrain, error, begin=14, end=21, lasting=lasting, share=share
                )
            yield disk.refused_while_beginning(subject, pretrain, error, share=share)
        yield disk.refused_at_every_call(subject, tuned, "ENOSPC", begin=14, end=21, lasting=True, share=share / 2)
        yield disk.refused_while_beginning(subject, tuned, "ENOSPC", share=share / 2)
    yield disk.small_disk(subject, pretrain)
    yield disk.read_only(subject, pretrain)


def _stopped(subject: Subject, n: Callable[[int], int]) -> Iterator[Tally]:
    pretrain, tuned, warm = subject.pretraining, subject.finetuning, subject.warm.start
    yield signals.in_every_phase(subject, pretrain, (1, 2, 3, 5, 9, 14)[: n(6)])
    yield signals.in_every_phase(subject, tuned, (1, 4)[: n(2)])
    yield signals.at_random(subject, pretrain, warm, "forked", moments=n(50), seed=1)
    yield signals.at_random(subject, tuned, warm, "forked", moments=n(10), seed=2)
    yield signals.at_random(subject, pretrain, commands.start, "whole processes", moments=n(20), seed=3)
    yield signals.while_generating(subject)


if __name__ == "__main__":
    app()
