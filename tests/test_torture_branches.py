"""What `python -m torture.branches` makes of a measurement, here a real one of a small package."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from torture.branches import (
    UNREACHED,
    Gap,
    Suite,
    by_package,
    described,
    gaps,
    packages_table,
    read_suite,
    reason,
    reasons_table,
    verdict,
)

import gptrilogy

SIGN = """\
def sign(x):
    if x < 0:
        return -1
    return 1


def last(xs):
    for x in xs:
        pass
    return x


def protocol(): ...
"""
TEST = """\
import pytest
from gptrilogy.numbers.sign import last, sign


def test_a_positive_number():
    assert sign(3) == last([1]) == 1


def test_what_fails():
    assert sign(3) == 0


@pytest.mark.skip(reason="not today")
def test_what_is_skipped():
    pass
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose suite of three tests has run under coverage."""
    folder = tmp_path_factory.mktemp("measured")
    package = folder / "src" / "gptrilogy"
    (package / "numbers").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "alone.py").write_text("import os\nif os.sep == '?':\n    os = None\n")
    (package / "numbers" / "__init__.py").write_text("import gptrilogy.alone\n")
    (package / "numbers" / "sign.py").write_text(SIGN)
    (folder / "test_sign.py").write_text(TEST)
    free = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    suite = ["-m", "pytest", "-p", "no:cacheprovider", "--junitxml=suite.xml", "test_sign.py"]
    for words in (["run", "--branch", "--source=src", *suite], ["json", "-o", "report.json"]):
        command = [sys.executable, "-m", "coverage", *words]
        subprocess.run(
            command, cwd=folder, env=free | {"PYTHONPATH": str(package.parent)}, capture_output=True, check=False
        )
    return folder


@pytest.fixture
def measured(folder: Path) -> Mapping[str, Any]:
    return json.loads((folder / "report.json").read_text())["files"]


def test_the_suite_is_counted_and_its_failures_named(folder: Path) -> None:
    assert read_suite(folder / "suite.xml") == Suite(
        3, ("test_sign::test_what_fails",), ("test_sign::test_what_is_skipped",)
    )


def test_lines_and_branches_are_counted_by_package(measured: Mapping[str, Any]) -> None:
    counts = by_package(measured)
    assert list(counts) == [".", "numbers", "all"]
    numbers = counts["numbers"]
    assert (numbers.files, numbers.lines, numbers.lines_run) == (2, 9, 8)
    assert (numbers.branches, numbers.branches_taken, numbers.branch_share) == (4, 3, 0.75)
    assert (counts["all"].files, counts["all"].branches, counts["all"].branches_taken) == (4, 6, 4)
    assert "| numbers | 2     | 9     | 88.9% | 4        | 75.0% |" in packages_table(counts)


def test_what_did_not_run_is_told_by_function(measured: Mapping[str, Any]) -> None:
    alone, sign = gaps(measured)
    assert alone == Gap("alone.py", "", (3,), ())
    assert sign == Gap("numbers/sign.py", "sign", (3,), ())
    assert described(sign) == "numbers/sign.py sign: lines 3 (no test yet)"


def test_a_branch_between_lines_that_ran_is_a_gap() -> None:
    function = {"missing_lines": [], "missing_branches": [[2, 7], [9, -1]]}
    (gap,) = gaps({"src/gptrilogy/files.py": {"functions": {"read": function}}})
    assert described(gap) == "files.py read: branches 2 -> 7, 9 -> end (no test yet)"


def test_reasons_are_given_for_a_function_or_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(UNREACHED, "needs wings", ("birds.py", "files.py::fly"))
    found = [Gap(*place, (1, 2), ()) for place in [("birds.py", "sing"), ("files.py", "fly"), ("files.py", "read")]]
    assert [reason(gap) for gap in found] == ["needs wings", "needs wings", "no test yet"]
    assert "| needs wings        | 2         | 4     | 0 " in reasons_table(found)


def test_the_verdict_says_whether_the_promise_is_kept(measured: Mapping[str, Any]) -> None:
    counts = by_package(measured)["all"]
    said = verdict(counts, Suite(3, ("a", "b"), ("c",)))
    assert said.startswith("Tests take 66.7% of the branches of `src` (promised are 95%) and run ")
    assert said.endswith("Of 3 tests 2 failed and 1 were skipped; failed: a, b.")


def test_every_place_with_a_reason_exists() -> None:
    root = Path(gptrilogy.__file__).parent
    for place in (place for places in UNREACHED.values() for place in places):
        file, _, function = place.partition("::")
        names = {node.name for node in ast.walk(ast.parse((root / file).read_text())) if isinstance(node, DEFINED)}
        assert not function or function.rpartition(".")[2] in names, place


DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
