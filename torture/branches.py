"""`python -m torture.branches`: which lines and branches of `src` the tests run; a table to stdout, tests to stderr."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from bench.record import facts, write_record
from bench.report import table
from cyclopts import App, Parameter

FOLDER = Path(".venv", "coverage")  # where [tool.coverage] in pyproject.toml keeps what each process ran
REPORT, SUITE = FOLDER / "report.json", FOLDER / "suite.xml"
TARGET = 0.95
# why something cannot run here -> files, or file::function
UNREACHED: dict[str, tuple[str, ...]] = {
    "needs a GPU": (
        "models/dropout.py::keep_scales",
        "models/flex_attention.py::_compiled",
        "training/state.py::generators",
        "training/state.py::restore_generators",
    ),
    "needs a CPU with products of bf16": (
        "models/attention.py::CausalSelfAttention.forward",
        "models/layers.py::LayerNorm.forward",
        "models/layers.py::Linear.forward",
        "models/loss.py::_ChunkedCrossEntropy.forward",
        "models/loss.py::_by_kernels",
        *(f"models/kernels.py::{name}" for name in ("attention", "linear", "product", "product_and_cross_entropy")),
        *(f"models/kernels.py::{name}.{way}" for name in ("_Attention", "_Linear") for way in ("forward", "backward")),
    ),
}
HEADING = ("what", "files", "lines", "run", "branches", "taken")

METHOD = """\
The tests run under coverage.py, two at a time; the commands, forks and worker processes that they start are counted
with them, except those that are killed. A branch is a jump from an `if`, a loop or a `match` to one of the lines that
may follow; it counts as taken when some test took it. Left out are lines that cannot run: `if TYPE_CHECKING:`, the
`...` of protocols, and `case _: assert_never(...)`. Not counted is what Python does not run: the C++ of `native`, and
what torch compiles."""

app = App(name="branches", help_format="plaintext", version_flags=[])


@dataclass(frozen=True, slots=True)
class Counts:
    """Lines and branches of some files, and how many of them ran."""

    files: int = 0
    lines: int = 0
    lines_run: int = 0
    branches: int = 0
    branches_taken: int = 0

    @property
    def line_share(self) -> float:
        return self.lines_run / self.lines if self.lines else 1.0

    @property
    def branch_share(self) -> float:
        return self.branches_taken / self.branches if self.branches else 1.0

    def row(self, name: str) -> tuple[str, ...]:
        lines, branches = f"{self.line_share:.1%}", f"{self.branch_share:.1%}"
        return name, f"{self.files:,}", f"{self.lines:,}", lines, f"{self.branches:,}", branches


@dataclass(frozen=True, slots=True)
class Suite:
    """What the tests themselves came to."""

    tests: int
    failed: tuple[str, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """A function of which something did not run."""

    file: str
    function: str  # nothing for code outside functions
    lines: tuple[int, ...]
    branches: tuple[str, ...]  # from line -> to line, without those from or to a line that did not run


@app.default
def branches(
    *arguments: Annotated[str, Parameter(allow_leading_hyphen=True)],
    again: Annotated[bool, Parameter(negative="")] = False,
    record: Path | None = None,
) -> None:
    """Run the tests and count the lines and branches of `src` that they ran.

    Args:
        arguments: for pytest, such as folders of tests; without any, all tests.
        again: run no tests; the table of what the last ones ran.
        record: write README.md, results.json and log.txt into this folder.
    """
    status = 0 if again else run_tests(arguments)
    measured = json.loads(REPORT.read_text(encoding="utf-8"))["files"]
    suite, packages, found = read_suite(SUITE), by_package(measured), list(gaps(measured))
    page = f"{verdict(packages['all'], suite)}\n\n{packages_table(packages)}\n\n{reasons_table(found)}\n\n{METHOD}"
    print(page)
    if record:
        known = facts(" ".join(["python -m torture.branches", *arguments, "--record DIR"]), suite.tests)
        known |= {name: version(name) for name in ("coverage", "pytest")}
        numbers = {
            "suite": asdict(suite),
            "packages": {name: asdict(counts) for name, counts in packages.items()},
            "gaps": [asdict(gap) for gap in found],
        }
        log = [f"failed: {name}" for name in suite.failed] + [f"skipped: {name}" for name in suite.skipped]
        log += map(described, found)
        write_record(record, "Lines and branches that the tests run", page, known, numbers, log)
    sys.exit(status)


def run_tests(arguments: Sequence[str]) -> int:
    """The exit status of pytest, after what all processes ran has been put together."""
    tool = [sys.executable, "-m", "coverage"]
    subprocess.run([*tool, "erase"], check=True)
    suite = ["-n", "2", "--dist", "worksteal", "-p", "torture.branches_saved", f"--junitxml={SUITE}", *arguments]
    tests = subprocess.run([*tool, "run", "-m", "pytest", *suite], stdout=sys.stderr, check=False)
    subprocess.run([*tool, "combine", "--quiet"], check=True)
    subprocess.run([*tool, "json", "--quiet", "--include=src/*", "-o", str(REPORT)], check=True)
    return tests.returncode


def read_suite(path: Path) -> Suite:
    """How many tests there were, and those that failed or were skipped, by name."""
    cases = ET.parse(path).getroot().findall(".//testcase")  # that pytest has just written

    def named(*outcomes: str) -> tuple[str, ...]:
        chosen = [case for case in cases if any(case.find(outcome) is not None for outcome in outcomes)]
        return tuple(f"{case.get('classname')}::{case.get('name')}" for case in chosen)

    return Suite(len(cases), named("failure", "error"), named("skipped"))


def by_package(measured: Mapping[str, Any]) -> dict[str, Counts]:
    """Counts of each package of gptrilogy, of the modules beside them under `.`, and of all."""
    groups: dict[str, list[Mapping[str, int]]] = {}
    for file, known in sorted(measured.items()):
        below = file.rpartition("gptrilogy/")[2]
        groups.setdefault(below.partition("/")[0] if "/" in below else ".", []).append(known["summary"])
    return {name: total(files) for name, files in groups.items()} | {
        "all": total([known["summary"] for known in measured.values()])
    }


def total(files: Sequence[Mapping[str, int]]) -> Counts:
    """Counts of many files together."""
    names = ("num_statements", "covered_lines", "num_branches", "covered_branches")
    return Counts(len(files), *(sum(file[name] for file in files) for name in names))


def gaps(measured: Mapping[str, Any]) -> Iterator[Gap]:
    """What did not run, function by function in the order of the files."""
    for file, known in sorted(measured.items()):
        for function, region in known["functions"].items():
            lines = region["missing_lines"]
            jumps = [(a, b) for a, b in region["missing_branches"] if a not in lines and b not in lines]
            if lines or jumps:
                branches = tuple(f"{a} -> {b if b > 0 else 'end'}" for a, b in jumps)
                yield Gap(file.rpartition("gptrilogy/")[2], function, tuple(lines), branches)


def verdict(counts: Counts, suite: Suite) -> str:
    """The promise, whether it is kept, and what the tests themselves came to."""
    kept = "as promised" if counts.branch_share >= TARGET else f"promised are {TARGET:.0%}"
    text = f"Tests take {counts.branch_share:.1%} of the branches of `src` ({kept}) and run {counts.line_share:.1%}"
    text += f" of its lines. Of {suite.tests:,} tests {len(suite.failed)} failed and {len(suite.skipped)} were skipped"
    return f"{text}; failed: {', '.join(suite.failed)}." if suite.failed else f"{text}."


def packages_table(packages: Mapping[str, Counts]) -> str:
    return table(HEADING, [counts.row(name) for name, counts in packages.items()])


def reasons_table(found: Sequence[Gap]) -> str:
    """What did not run, by why; what has no reason is what a test is still to be written for."""
    by_reason: dict[str, list[Gap]] = {}
    for gap in found:
        by_reason.setdefault(reason(gap), []).append(gap)
    rows = [
        (
            why,
            f"{len(some):,}",
            f"{sum(len(gap.lines) for gap in some):,}",
            f"{sum(len(gap.branches) for gap in some):,}",
        )
        for why, some in sorted(by_reason.items())
    ]
    return table(("why it did not run", "functions", "lines", "branches between lines that ran"), rows)


def reason(gap: Gap) -> str:
    places = (gap.file, f"{gap.file}::{gap.function}")
    return next((why for why, known in UNREACHED.items() if any(place in known for place in places)), "no test yet")


def described(gap: Gap) -> str:
    """A gap as a line of the log."""
    lines = [f"lines {', '.join(map(str, gap.lines))}"] if gap.lines else []
    branches = [f"branches {', '.join(gap.branches)}"] if gap.branches else []
    return f"{gap.file} {gap.function or '(module)'}: {'; '.join(lines + branches)} ({reason(gap)})"


if __name__ == "__main__":
    app()
