"""`python -m torture.mutants`: small mistakes put into the package one at a time, and whether a test notices; Linux."""

import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from bench.record import facts, write_record
from cyclopts import App, Parameter

from gptrilogy.files import read_json
from torture.mutants_equivalent import StaleError, reasons
from torture.mutants_made import Mutant, mutants_of
from torture.mutants_table import Score, fingerprint, page
from torture.mutants_trials import KILLED, SOURCES, Trials, Tried
from torture.tally import log

ROOT = Path(__file__).parent.parent
AIM = 0.85
MODULES: Mapping[str, Sequence[str]] = {  # and tests to run besides those at the module's own place in tests/
    "generation/sampling.py": (),
    "generation/scoring.py": (),
    "generation/stopping.py": (),
    "checkpoints.py": (),
    "files.py": (),
    "data/loader.py": (),
    "data/permutation.py": (),
    "data/mixture.py": (),
    "data/interleaving.py": (),
    "tokenizers/base.py": (),
    "tokenizers/bpe_training.py": (),
    "tokenizers/byte_bpe.py": ("tests/tokenizers/test_byte_bpe_parity.py", "tests/tokenizers/test_engines.py"),
    "tokenizers/bytes.py": (),
    "tokenizers/engines.py": (),
    "tokenizers/foreign.py": (),
    "tokenizers/gpt1.py": (),
    "tokenizers/gpt1_repair.py": (),
    "tokenizers/gpt1_symbols.py": ("tests/tokenizers/test_gpt1.py",),
    "tokenizers/gpt1_text.py": (),
    "tokenizers/gpt1_training.py": (),
    "tokenizers/huggingface.py": (),
    "tokenizers/native_bpe.py": (),
    "tokenizers/piece_counts.py": (),
    "tokenizers/pieces.py": (),
    "tokenizers/published.py": (),
    "tokenizers/reference.py": (),
    "tokenizers/report.py": (),
    "tokenizers/saved.py": ("tests/tokenizers/test_huggingface.py",),
    "tokenizers/streaming.py": (),
    "tokenizers/symbols.py": ("tests/tokenizers/test_foreign.py",),
    "tokenizers/unicode16.py": (),
    "tokenizers/untrusted.py": ("tests/tokenizers/test_saved.py",),
}

app = App(name="mutants", help_format="plaintext", version_flags=[])


@app.default
def mutants(
    *,
    only: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    sample: int | None = None,
    seed: int = 0,
    again: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    record: Path | None = None,
) -> None:
    """Change the package in small ways, one at a time, and see whether a test notices.

    Ends with 1 where fewer than 85% are noticed of those that change anything.

    Args:
        only: these modules alone, as generation/sampling.py; may be given more than once.
        sample: so many mutants of each module, drawn at random, instead of all.
        seed: of that draw.
        again: the folder of a record; what a test noticed there is not tried again, unless its module has changed; may
            be given more than once.
        record: write README.md, results.json and log.txt into this folder.
    """
    modules = only or tuple(MODULES)
    known = known_from(again)
    began, scores = time.monotonic(), list[Score]()
    said = [*(f"--only {path}" for path in only), *([f"--sample {sample} --seed {seed}"] if sample else [])]
    command = " ".join(["python -m torture.mutants", *said, *["--again DIR"] * len(again), "--record DIR"])
    text = ""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, Trials(ROOT, Path(folder)) as trials:
        for path in modules:
            scores.append(score(trials, path, sample, seed, known))
            log.say(scores[-1].line())
            text = page(scores, (time.monotonic() - began) / 60, len(modules) - len(scores))
            if record:  # after each module, so that a campaign that is cut short is not in vain
                count = sum(len(one.tried) for one in scores)
                raw = {"modules": [one.as_dict() for one in scores]}
                write_record(record, "Mutants", text, facts(command, count), raw, log.lines)
    print(text)
    sys.exit(sum(one.killed for one in scores) < AIM * sum(one.able for one in scores))


def score(trials: Trials, path: str, sample: int | None, seed: int, known: Mapping[str, Mapping[str, Tried]]) -> Score:
    """Try the mutants of one module, or a sample of them; what `known` says of the same source need not be tried.

    Raises: StaleError where a mutant that is called equivalent is none, or was noticed.
    """
    source = (trials.tree / SOURCES / path).read_text(encoding="utf-8")
    made, why = mutants_of(path, source), reasons(path)
    gone = set(why) - {mutant.name for mutant in made}
    if gone:
        raise StaleError(f"{min(gone)} is called equivalent, but there is no such mutant")
    chosen = sampled(made, sample, seed)
    noticed = known.get(fingerprint(source), {})
    fresh = [mutant for mutant in chosen if mutant.name not in noticed]
    found: dict[str, Tried] = {}
    for one in trials.of(path, fresh, tests_of(path)):
        found[one.mutant.name] = one
        if one.verdict not in KILLED and one.mutant.name not in why:
            log.say(f"  {one.verdict}: {one.mutant}")
    tried = [found.get(mutant.name) or replace(noticed[mutant.name], mutant=mutant) for mutant in chosen]
    for one in tried:
        if one.verdict in KILLED and one.mutant.name in why:
            raise StaleError(f"{one.mutant} is called equivalent, but {one.by or one.verdict} notices it")
    return Score(path, fingerprint(source), len(made), tried, why)


def known_from(records: Sequence[Path]) -> dict[str, dict[str, Tried]]:
    """What records say was noticed, by the fingerprint of a module's source and the mutant's name."""
    known: dict[str, dict[str, Tried]] = {}
    for module in (module for record in records for module in read_json(record / "results.json")["modules"]):
        nobody, noticed = Mutant(module["path"], "", "", 0, "", "", ""), known.setdefault(module["sha256"], {})
        for row in module["tried"]:
            if row["verdict"] in KILLED:
                noticed[row["name"]] = Tried(nobody, row["verdict"], row["by"])
    return known


def tests_of(path: str) -> list[str]:
    """The file of tests at the same place, and any others."""
    place = Path(path)
    return [str(Path("tests", place.parent, f"test_{place.name}")), *MODULES.get(path, ())]


def sampled(made: Sequence[Mutant], sample: int | None, seed: int) -> Sequence[Mutant]:
    """So many of them, in their order; all where there are no more."""
    if sample is None or sample >= len(made):
        return made
    return [made[i] for i in sorted(random.Random(seed).sample(range(len(made)), sample))]


if __name__ == "__main__":
    app()
