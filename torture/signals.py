"""Row 8: SIGTERM and Ctrl-C at any moment: a step-exact checkpoint, the signal's exit code, the same bits after."""

import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from gptrilogy.runs import Run
from torture.commands import Ended, Starter
from torture.saves import continued, last_step, wait_for_rows
from torture.subject import Kind, Subject, events, leftovers, newest_step
from torture.tally import Tally

NUMBERS = (signal.SIGTERM, signal.SIGINT)
BEFORE_TRAINING = {
    "reading": "gptrilogy.training.preparation:plan_split",
    "packing": "gptrilogy.data.packing:Packer.add",
    "writing shards": "gptrilogy.data.packing:sha256_file",
}
WHILE_TRAINING = {
    "gradients": "gptrilogy.data.loader:Loader.batch",
    "the update": "gptrilogy.training.loop:update",
    "validation": "gptrilogy.models.gpt:GPT.token_nats",
    "saving": "gptrilogy.checkpoints:write_tensors",
    "sampling": "gptrilogy.generation.language_model:LanguageModel.complete",
    "the log": "gptrilogy.metrics:MetricsLog.append",
}


WHILE_GENERATING = {
    "loading": "gptrilogy.checkpoints:read_tensors",
    "sampling": "gptrilogy.generation.language_model:LanguageModel.complete",
}


def in_every_phase(subject: Subject, kind: Kind, times: Sequence[int], phases: Sequence[str] = ()) -> Tally:
    """A signal at the nth call of what each phase of a new run is made of."""
    tally = Tally(8, f"SIGTERM and SIGINT in every phase, {kind.name}")
    for number in NUMBERS:
        for phase, place in (BEFORE_TRAINING | WHILE_TRAINING).items():
            for nth in times if not phases or phase in phases else ():
                run = subject.fresh()
                ended = _signalled(subject, place, nth, number, *kind.words, "--out", run)
                if ended is None:
                    continue
                wrong = stopped_well(ended, run, number, None, trained=phase in WHILE_TRAINING)
                tally.count(f"{number.name}, {phase} {nth}", wrong or continued(subject, kind, run), phase)
    return tally


def at_random(
    subject: Subject, kind: Kind, starter: Starter, what: str, *, moments: int, seed: int, whole_s: float = 0.0
) -> Tally:
    """A signal from outside: after some rows of the log and a while; with `whole_s`, at any time of a run that long."""
    tally, chance = Tally(8, f"SIGTERM and SIGINT at random moments, {kind.name}, {what}"), random.Random(seed)
    while tally.faults < moments:
        run, number = subject.fresh(), NUMBERS[tally.faults % 2]
        process = starter(*kind.words, "--out", run)
        if whole_s:
            time.sleep(chance.uniform(0, whole_s))
        else:
            wait_for_rows(run, chance.randrange(1, 50), process)
            time.sleep(chance.uniform(0, 0.02))
        seen, has_ended = last_step(run), any(row["event"] == "end" for row in events(run))
        process.send(number)
        began = time.monotonic()
        ended = process.wait()
        if ended.code == 0 and has_ended:  # nobody was left to get it
            continue
        wrong = stopped_well(ended, run, number, seen, trained=bool(seen))
        late = f"exit within {'0.5 s' if time.monotonic() - began < 0.5 else '2 s or later'}"
        tally.count(f"{number.name} after step {seen}", wrong or continued(subject, kind, run), late)
    return tally


def while_generating(subject: Subject) -> Tally:
    """A signal while `gpt generate` loads and samples: the right exit code, and no half of a result on stdout."""
    tally = Tally(8, "SIGTERM and SIGINT while generating")
    for number in NUMBERS:
        for phase, place in WHILE_GENERATING.items():
            words = ("generate", subject.whole, "--prompt", "a", "--max-tokens", 8, "--json")
            ended = _signalled(subject, place, 1, number, *words)
            if ended is None:
                tally.count(f"{number.name}, {phase}", f"{place} was never called", phase)
                continue
            right = ended.code == 128 + number and "Traceback" not in ended.err and not ended.out
            tally.count(f"{number.name}, {phase}", "" if right else f"{ended.code}: {ended.err}", phase)
    return tally


def _signalled(subject: Subject, place: str, nth: int, number: signal.Signals, *words: object) -> Ended | None:
    """A command that gets a signal at the nth call of a function; None where there were fewer calls."""
    noted = subject.folder / "signalled"
    noted.unlink(missing_ok=True)
    ended = subject.warm.run(*words, hook=["signal_at", place, nth, int(number), str(noted)])
    return ended if noted.exists() else None


def stopped_well(ended: Ended, run: Path, number: signal.Signals, seen: int | None, *, trained: bool) -> str:
    """What is wrong with how a signal ended a command."""
    if ended.code not in (128 + number, -number):  # the latter before Python had begun to work
        return f"it ended with {ended.code}: {ended.err[-300:]}"
    if "Traceback" in ended.err and trained:
        return f"it left a trace of Python: {ended.err[-300:]}"
    if not trained:
        return ""
    saved, logged = max(0, newest_step(run)), last_step(run)  # before the first step there is nothing to save
    if saved != logged:
        return f"step {logged} is logged and step {saved} is saved"
    if seen is not None and not seen <= saved <= seen + 2:  # one may have ended between the look and the signal
        return f"step {seen} was seen and step {saved} is saved"
    left = [path for path in leftovers(run) if Run(run).checkpoints_folder in path.parents]
    return f"left over: {left[0]}" if left else ""
