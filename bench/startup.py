"""How long a fresh process takes to import the package or to print help, and whether it loads torch."""

import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import Say

PYTHON = [sys.executable]
BARE = ["-c", "pass"]
IMPORT = ["-c", "import gptrilogy"]
HELP = [str(Path(sys.executable).with_name("gpt")), "--help"]


@dataclass(slots=True)
class StartUp:
    """Wall-clock seconds of fresh processes, one number a repeat."""

    bare_s: list[float] = field(default_factory=list[float])
    import_s: list[float] = field(default_factory=list[float])
    help_s: list[float] = field(default_factory=list[float])
    torch_loaded: bool = False

    @property
    def import_beyond_bare_s(self) -> float:
        return statistics.median(self.import_s) - statistics.median(self.bare_s)


def measure_start_up(repeats: int, say: Say) -> StartUp:
    """The three commands in turn, `repeats` times, after one round that fills the disk's cache."""
    found = StartUp(torch_loaded=_loads_torch(IMPORT) or _loads_torch(HELP))
    for number in range(repeats + 1):
        bare_s, import_s, help_s = _seconds(BARE), _seconds(IMPORT), _seconds(HELP)
        if number:
            found.bare_s.append(bare_s)
            found.import_s.append(import_s)
            found.help_s.append(help_s)
            say(
                f"start-up, sample {number} of {repeats}: {bare_s:.3f} s bare, {import_s:.3f} import, {help_s:.3f} help"
            )
    return found


def _seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(PYTHON + arguments, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _loads_torch(arguments: list[str]) -> bool:
    done = subprocess.run([*PYTHON, "-X", "importtime", *arguments], check=True, capture_output=True, text=True)
    return re.search(r"\| +torch$", done.stderr, re.MULTILINE) is not None
