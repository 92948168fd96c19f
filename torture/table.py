"""What the campaign found, for people."""

from collections.abc import Sequence

from bench.report import table as markdown

from torture.tally import Tally

METHOD = """\
The subject is a model of 7,648 weights that learns a page of text for 50 steps, with dropout, validation, samples,
micro-batches and a checkpoint every 7 steps; and the same model fine-tuned on 54 examples. Whatever happens to a run,
it must end with the numbers and the bytes of one to which nothing happened: every logged loss and gradient norm, all
weights, moments and random generators. A command is forked from a process that has imported torch, unless "whole
processes" are spoken of; the forked ones leave out a figure of the progress line and the picture at the end. "Each
call" is each system call that touches the run folder, faulted by strace once a run, all of them in turn. A power cut
is not among the faults: no file system was stopped, only processes."""


def table(tallies: Sequence[Tally]) -> str:
    rows = [
        (f"{one.row}", one.what, f"{one.faults:,}", "" if one.not_run else f"{one.survived:,}", one.observed())
        for one in tallies
    ]
    return markdown(("row", "faults", "n", "survived", "what was seen"), rows)


def verdict(tallies: Sequence[Tally]) -> str:
    """How many were survived, and every failure."""
    faults, failed = sum(one.faults for one in tallies), [line for one in tallies for line in one.failures]
    text = f"{faults - len(failed):,} of {faults:,} faults were survived as promised."
    return f"{text} Failures:\n\n" + "\n".join(f"- {line[:300]}" for line in failed) + "\n\n" if failed else text
