"""The steps of a build in their order, and how one task of one is run on whatever machine."""

import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from gptrilogy.corpus.build.cleaning import find_grams, settle_grams
from gptrilogy.corpus.build.duplicates import find_clusters, find_near, find_same, n_near_tasks
from gptrilogy.corpus.build.linked import choose_links, n_link_slices, unique_links
from gptrilogy.corpus.build.parts import CorruptPartError, Part, Writing
from gptrilogy.corpus.build.plan import Build, open_build
from gptrilogy.corpus.build.reading import read_part, take_census
from gptrilogy.corpus.build.scoring import score_part, train_classifier
from gptrilogy.corpus.build.writing import write_part
from gptrilogy.errors import GPTrilogyError

Outcome: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a build: what it is called while it runs, how many tasks it has, and what one does."""

    name: str
    doing: str
    count: Callable[[Build], int]  # 0 where the recipe leaves it out
    run: Callable[[Build, int, Writing], None]
    is_small: bool = True  # reads no texts, so that a single task of it needs no worker


def _parts(build: Build) -> int:
    return len(build.plan.parts)


def _used(step: str) -> Callable[[Build], int]:
    """One task a slice of the keys, where copies of this kind are looked for."""
    return lambda build: build.n_slices if getattr(build.config, step) else 0


def _link_slices(build: Build) -> int:
    return n_link_slices(build) if build.plan.links else 0


STEPS = (
    Step("links", "choosing links", lambda build: len(build.plan.links), choose_links, is_small=False),
    Step("unique-links", "making links unique", _link_slices, unique_links),
    Step("read", "reading", _parts, read_part, is_small=False),
    Step("census", "counting", lambda _: 1, take_census),
    Step("classifier", "training the classifier", lambda build: int(build.config.classifies), train_classifier),
    Step("score", "hashing and scoring", _parts, score_part, is_small=False),
    Step("url", "comparing URLs", _used("same_url"), partial(find_same, step="url")),
    Step("exact", "comparing texts", _used("same_text"), partial(find_same, step="exact")),
    Step("near", "finding near duplicates", n_near_tasks, find_near, is_small=False),
    Step("clusters", "joining near duplicates", lambda build: int(build.config.near is not None), find_clusters),
    Step("grams", "searching for tests", lambda b: _parts(b) if b.config.against else 0, find_grams, is_small=False),
    Step("common", "counting grams", lambda build: int(bool(build.config.against)), settle_grams),
    Step("write", "writing", _parts, write_part, is_small=False),
)
BY_NAME = {step.name: step for step in STEPS}


def run_task(out: str, step: str, number: int) -> Outcome:
    """Run one task to its end and say how it went; only the end of the process keeps it from answering."""
    begun, cpu = time.perf_counter(), time.process_time()
    try:
        build = open_build(out)
        with Part(build.work, step, number).writing() as writing:
            BY_NAME[step].run(build, number, writing)
    except CorruptPartError as error:
        return {"number": number, "corrupt": [error.step, error.number, str(error)]}
    except (GPTrilogyError, OSError) as error:
        return {"number": number, "error": explained(error)}
    except Exception as error:  # noqa: BLE001 - a bug of ours, which the other side is to show whole
        return {"number": number, "bug": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    return {
        "number": number,
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - cpu,
        "peak_bytes": _peak_bytes(),
    }


def _peak_bytes() -> int:
    """The most memory this process has held; what the system counts for it may begin with its parent's."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def explained(error: GPTrilogyError | OSError) -> str:
    """An error in one line, a disk's with the file that it was about."""
    if isinstance(error, OSError):
        return f"cannot write or read {error.filename or 'the build'}: {error.strerror or error}"
    return str(error)
