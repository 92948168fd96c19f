"""A corpus from its sources, step by step: begun, interrupted, gone on with, and finished, in one folder.

OUT/corpus.json  ledger.json  statistics.json  samples.jsonl  build.jsonl
OUT/documents/SET/part-00000.parquet
OUT/dropped/SET/part-00000-STEP.parquet     where it was asked for
OUT/classifier/  links/                     where the recipe has them
OUT/work/                                   until the corpus is finished
"""

import json
import shutil
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from gptrilogy.corpus.build.config import CorpusConfig
from gptrilogy.corpus.build.engine import Engine, Outcome, WorkerDiedError, run_here, run_on_daft
from gptrilogy.corpus.build.finish import damaged_files, finish
from gptrilogy.corpus.build.parts import CorruptPartError, remove_leftovers
from gptrilogy.corpus.build.plan import Build, Plan, make_plan, plan_digest, read_plan, write_plan
from gptrilogy.corpus.build.tasks import BY_NAME, STEPS, Step, explained
from gptrilogy.corpus.documents import CORPUS
from gptrilogy.corpus.gram_set import GramSet
from gptrilogy.corpus.readers.finding import OnSkip
from gptrilogy.errors import RunError
from gptrilogy.files import read_json, remove_temporaries
from gptrilogy.runs import Run

LOG = "build.jsonl"
GOES_ON = "what is done is kept, and the same command goes on from there"
MAX_DEATHS = 4  # of workers, with no part finished between two
MAX_REPAIRS = 1_000  # of parts


@dataclass(frozen=True, slots=True)
class Progress:
    """A task has ended: which step it was of, how many of the step's are done, and what it took."""

    step: str
    doing: str
    done: int
    total: int
    outcome: Outcome = field(default_factory=dict[str, Any])


OnProgress = Callable[[Progress], None]
OnNote = Callable[[str], None]


def _say_nothing(_: object) -> None:
    pass


def build_corpus(
    config: CorpusConfig,
    out: Path,
    *,
    tests: Iterable[tuple[str, str]] = (),
    engine: Engine | None = "local",
    workers: int = 1,
    on_progress: OnProgress = _say_nothing,
    on_note: OnNote = _say_nothing,
    on_skip: OnSkip | None = None,
) -> dict[str, Any]:
    """Build a corpus, or go on with it where an earlier call ended; return what `corpus.json` says of it.

    `tests` are texts to be kept out, as (task, text); `engine` None works in this process. Killed anywhere and called
    again, it does what is missing; called on a finished corpus it verifies every file and does nothing. The result is
    the same to the byte for any engine and number of workers.

    Raises: DataError for sources that cannot be used; RunError where the folder holds something else, cannot be
    written, or a step fails again and again.
    """
    plan = make_plan(config, out=out, on_skip=on_skip)
    grams = GramSet.build(tests, config.decontamination.n)
    plan = plan.replace(tests=grams.fingerprint if config.against else None)
    Run(out).must_hold_none()
    with Run(out).at_work():
        for folder in (out, out / "links"):
            remove_temporaries(folder)
        try:
            if finished := _finished(out, plan, on_note):
                shutil.rmtree(out / "work", ignore_errors=True)
                return finished
            _begin(out, plan, grams, on_note)
            build = Build(out, plan)
            return _Runner(build, engine, workers, on_progress, on_note).corpus()
        except OSError as error:
            raise RunError(f"{explained(error)}; {GOES_ON}") from None


def _finished(out: Path, plan: Plan, on_note: OnNote) -> dict[str, Any] | None:
    """What `corpus.json` says where the folder holds this corpus whole."""
    corpus = _read_corpus(out)
    if corpus is None:
        return None
    if corpus.get("plan") != plan_digest(plan):
        raise RunError(
            f"{out} holds a corpus of another recipe or other sources: choose another --out, or remove it first"
        )
    damaged = damaged_files(out, corpus)
    if not damaged:
        on_note(f"{out} is finished: every file is as it was written")
        return corpus
    on_note(
        f"{damaged[0]} and {len(damaged) - 1} others are damaged: building them again"
        if len(damaged) > 1
        else f"{damaged[0]} is damaged: building it again"
    )
    return None


def _read_corpus(out: Path) -> dict[str, Any] | None:
    """What `corpus.json` says, None where it cannot be read."""
    try:
        corpus = read_json(out / CORPUS)
    except (OSError, ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", corpus) if isinstance(corpus, dict) else None


def _begin(out: Path, plan: Plan, grams: GramSet, on_note: OnNote) -> None:
    """Write the plan down, or compare it with the one that is there."""
    stored = read_plan(out)
    if stored is None:
        if (out / "documents").exists() and _read_corpus(out) is None:
            raise RunError(
                f"{out} holds documents, and no {CORPUS} that says what they are: choose another --out, or remove it"
            )
        write_plan(out, plan)
    elif stored != plan:
        raise RunError(
            f"{out} holds an unfinished build of {_difference(stored, plan)}: remove {out / 'work'} to begin again, "
            "or choose another --out"
        )
    else:
        on_note("going on with the build that was begun here")
    remove_leftovers(out / "work")
    if plan.tests:
        grams.save(out / "work" / "tests")
        for name, coverage in grams.coverage.items():
            if coverage.short:
                on_note(
                    f"{coverage.short:,} of {coverage.texts:,} texts of {name} have fewer than {grams.n} words and "
                    "cannot be kept out"
                )


def _difference(stored: Plan, plan: Plan) -> str:
    """What another build differs in, by its first difference."""
    if stored.config != plan.config:
        fields = [
            name
            for name in type(plan.config).model_fields
            if getattr(stored.config, name) != getattr(plan.config, name)
        ]
        return f"other settings ({', '.join(fields)})"
    if stored.tests != plan.tests:
        return "other test texts"
    known = {file.path: file for part in stored.parts for file in part.files}
    changed = [file.path for part in plan.parts for file in part.files if known.get(file.path) != file]
    return f"other sources ({changed[0]} is new or has changed)" if changed else "more sources than are there now"


class _Runner:
    """Runs the tasks of a step that are not done, and those of an earlier step whose output was damaged."""

    def __init__(
        self, build: Build, engine: Engine | None, workers: int, on_progress: OnProgress, on_note: OnNote
    ) -> None:
        self.build = build
        self.engine: Engine | None = engine
        self.workers = workers
        self.on_progress = on_progress
        self.on_note = on_note
        self.repairs = 0

    def corpus(self) -> dict[str, Any]:
        """Run every step to its end, and make a corpus of what they leave."""
        while True:
            for step in STEPS:
                self.complete(step)
            try:
                return finish(self.build, self.on_note)
            except CorruptPartError as error:
                self._repair([(error.step, error.number, str(error))])

    def complete(self, step: Step) -> None:
        deaths = 0
        total = step.count(self.build)
        while todo := [number for number in range(total) if not self.build.part(step.name, number).exists()]:
            for number in todo:
                self.build.part(step.name, number).remove()
            done = 0
            damaged: list[tuple[str, int, str]] = []
            self.on_progress(Progress(step.name, step.doing, total - len(todo), total))
            try:
                with closing(self._run(step, todo)) as outcomes:  # an engine ends its workers first, if this fails
                    for outcome in outcomes:
                        if "corrupt" in outcome:
                            damaged.append(outcome["corrupt"])
                            continue
                        _raise_if_failed(outcome)
                        done += 1
                        self._log(step, outcome)
                        self.on_progress(Progress(step.name, step.doing, total - len(todo) + done, total, outcome))
            except WorkerDiedError as error:
                deaths = 1 if done else deaths + 1
                if deaths >= MAX_DEATHS:
                    raise RunError(
                        f"workers died {deaths} times while {step.doing} and no part was finished between ({error}): "
                        "give them more memory, or set a smaller --part-bytes; the same command goes on"
                    ) from None
                self.on_note(f"a worker died while {step.doing}: its parts are begun again")
            self._repair(damaged)

    def _log(self, step: Step, outcome: Outcome) -> None:
        """What each task took: the only file that differs from one build to the next."""
        with (self.build.out / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step.name, **outcome}) + "\n")

    def _run(self, step: Step, numbers: list[int]) -> Generator[Outcome]:
        if self.engine is None or (step.is_small and len(numbers) == 1):  # done before a worker would have started
            return run_here(self.build.out, step.name, numbers)
        return run_on_daft(self.build.out, step.name, numbers, engine=self.engine, workers=self.workers)

    def _repair(self, damaged: Iterable[tuple[str, int, str]]) -> None:
        """Make parts again that a task found damaged."""
        for (step, number), why in {(step, number): why for step, number, why in damaged}.items():
            self.repairs += 1
            if self.repairs > MAX_REPAIRS:
                raise RunError(f"{why}, after {MAX_REPAIRS} others: the disk does not keep what is written to it")
            self.on_note(f"{why}: making it again")
            self.build.part(step, number).remove()
            self.complete(BY_NAME[step])


def _raise_if_failed(outcome: Outcome) -> None:
    """Raises: RunError where a task could not do its work."""
    if "error" in outcome:
        raise RunError(f"{outcome['error']}; {GOES_ON}")
    if "bug" in outcome:
        raise RuntimeError(f"{outcome['bug']}\n{outcome['traceback']}")
