"""Row 3: a flipped bit, a cut or a missing file is refused by name, or provably changes nothing."""

import json
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptrilogy.checkpoints import newest_valid, verify_checkpoint
from gptrilogy.data.index import read_index, verify
from gptrilogy.errors import GPTrilogyError
from gptrilogy.runs import Run
from gptrilogy.tokenizers import load_tokenizer
from gptrilogy.training.source_files import FACTS  # for people, and resumes without it
from torture.subject import Kind, Subject
from torture.tally import Tally


@dataclass(frozen=True, slots=True)
class Part:
    """Files of a run, and the check that stands before any use of them."""

    name: str
    folder: Path
    check: Callable[[Path], object]


def parts(run: Path) -> list[Part]:
    newest = newest_valid(Run(run).checkpoints_folder)
    assert newest is not None
    return [
        Part("checkpoint", newest, verify_checkpoint),
        Part("data", Run(run).data_folder, check_data),
        Part("tokenizer", Run(run).tokenizer_folder, load_tokenizer),
    ]


def check_data(folder: Path) -> None:
    verify(folder, read_index(folder))


def in_every_file(subject: Subject, kind: Kind, *, flips: int, cuts: int, seed: int = 0) -> list[Tally]:
    """Single-bit flips and cuts of each file of a checkpoint, of `data/` and of `tokenizer/`; each file missing."""
    run, chance = subject.copy(subject.stopped(kind, 14)), random.Random(seed)
    tallies: list[Tally] = []
    for part in parts(run):
        tally = Tally(3, f"flips, cuts and losses of files, {part.name}")
        for path in sorted(path for path in part.folder.rglob("*") if path.is_file() and path.name != FACTS):
            whole = path.read_bytes()
            for bit in chance.sample(range(8 * len(whole)), min(flips, 8 * len(whole))):
                flipped = bytearray(whole)
                flipped[bit // 8] ^= 1 << bit % 8
                path.write_bytes(flipped)
                tally.count(f"{path.name}, bit {bit}", *_outcome(part, path, whole, "flips"))
            for length in chance.sample(range(len(whole)), min(cuts, len(whole))):
                path.write_bytes(whole[:length])
                tally.count(f"{path.name}, cut at {length}", *_outcome(part, path, whole, "cuts"))
            path.unlink()
            tally.count(f"{path.name} is missing", *_outcome(part, path, whole, "losses"))
            path.write_bytes(whole)
            part.check(part.folder)  # it is whole again
        tallies.append(tally)
    return tallies


def _outcome(part: Part, path: Path, whole: bytes, what: str) -> tuple[str, str]:
    """What is wrong, and what was seen."""
    try:
        part.check(part.folder)
    except GPTrilogyError as error:
        named = _is_named(path, str(error))
        last_good = "" if part.name != "checkpoint" else _falls_back(part.folder)
        return ("" if named else f"another file is named: {error}") or last_good, f"{what} refused"
    with suppress(OSError):
        if _same_value(path.read_bytes(), whole):
            return "", f"{what} that change no value"
    return "it passed", what


def _is_named(path: Path, message: str) -> bool:
    """Whether a message names a file; or, as it may be missing, its folder and no other file there."""
    others = (other.name for other in path.parent.iterdir() if other.is_file() and other != path)
    return path.name in message or (str(path.parent) in message and not any(other in message for other in others))


def _falls_back(folder: Path) -> str:
    good = newest_valid(folder.parent)
    return "" if good is not None and good < folder else f"the last good one is {good}"


def _same_value(content: bytes, whole: bytes) -> bool:
    """JSON that says the same in other characters: 1e-05 and 1E-05, or a last newline less."""
    try:
        return json.loads(content) == json.loads(whole)
    except ValueError:
        return False


def met_by_commands(subject: Subject, kind: Kind, *, flips: int, seed: int = 1) -> Tally:
    """The same files, and `config.json`, `environment.json` and the log beside them, met by `gpt resume` itself.

    A damaged checkpoint costs the steps since the one before; any other damage is refused in one line, or said.
    """
    tally, chance = Tally(3, f"flips, cuts and losses met by gpt resume, {kind.name}"), random.Random(seed)
    base = subject.stopped(kind, 14)
    names = sorted(path.relative_to(base) for path in base.rglob("*") if path.is_file() and path.name != ".lock")
    names = [name for name in names if "step-00000007" not in name.parts and name.suffix != ".png"]
    for name in names:
        whole = (base / name).read_bytes()
        for content in _damages(whole, chance, flips):
            run = subject.copy(base)
            (run / name).unlink() if content is None else (run / name).write_bytes(content)
            ended = subject.warm.run("resume", run)
            what = f"{name}, {'missing' if content is None else f'{len(content)} of {len(whole)} bytes'}"
            if ended.code == 0:
                wrong, seen = _unharmed(subject, kind, run, name, ended.err)
            elif "checkpoints" in name.parts:
                wrong, seen = f"it did not go back to the checkpoint before: {ended.err[-300:]}", "refused"
            else:
                named = _is_named(run / name, ended.last_line) or (ended.code == 2 and name.name == "config.json")
                right = named and ended.last_line.startswith("gpt: ") and "this is a bug" not in ended.err
                wrong, seen = "" if right else f"it ended with {ended.code}: {ended.err[-300:]}", "refused"
            tally.count(what, wrong, seen)
    return tally


def _unharmed(subject: Subject, kind: Kind, run: Path, name: Path, said: str) -> tuple[str, str]:
    wrong = subject.finish(run, kind)
    if name.name == "metrics.jsonl":  # a damaged row is lost from the log; the state is not touched by it
        return ("" if not wrong or wrong.startswith("the logs differ") else wrong), "log: rows lost, state equal"
    if wrong and "not bit-exact" in said:
        return "", "said, and went on otherwise"
    return wrong, "went on from the checkpoint before" if "checkpoints" in name.parts else "went on, equal"


def _damages(whole: bytes, chance: random.Random, flips: int) -> Sequence[Any]:
    flipped: list[bytes | None] = []
    for bit in chance.sample(range(8 * len(whole)), min(flips, 8 * len(whole))):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        flipped.append(bytes(content))
    return [*flipped, whole[: chance.randrange(len(whole))], b"", None]
