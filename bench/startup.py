"""How long a fresh process takes to import the package or to print help, and whether it loads torch."""

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.claims import Findings, Row, Target
from bench.measure import Say

IMPORT_BELOW_S, HELP_BELOW_S = 0.2, 0.8
PYTHON = [sys.executable]
BARE = ["-c", "pass"]
IMPORT = ["-c", "import gptrilogy"]
HELP = [str(Path(sys.executable).with_name("gpt")), "--help"]

METHOD = """\
Wall-clock of fresh processes, whose files lie in memory: medians of n = {n}, the commands in turn. The limit on the
import is on what it takes beyond a Python that does nothing."""


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

    def findings(self) -> Findings:
        return Findings([*self.rows()], METHOD.format(n=len(self.bare_s)), asdict(self))

    def rows(self) -> Iterator[Row]:
        """The two times, and that neither command loads torch."""
        bare_s, import_s, help_s = map(statistics.median, (self.bare_s, self.import_s, self.help_s))
        beyond_s = self.import_beyond_bare_s
        target = Target(f"< {IMPORT_BELOW_S} s", beyond_s < IMPORT_BELOW_S)
        yield Row("import gptrilogy", f"{import_s:.3f} s", f"bare Python: {bare_s:.3f} s", f"{beyond_s:+.3f} s", target)
        yield Row("gpt --help", f"{help_s:.3f} s", "", "", Target(f"< {HELP_BELOW_S} s", help_s < HELP_BELOW_S))
        loaded = "yes" if self.torch_loaded else "no"
        yield Row("torch loaded by either", loaded, "", "", Target("no", not self.torch_loaded))


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
