"""The runner of mutants, on a module whose mutants are known: what a weak test lets live, it names."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from torture.mutants import sampled, score
from torture.mutants_equivalent import reasons
from torture.mutants_made import mutants_of
from torture.mutants_table import Score, page
from torture.mutants_trials import TrialError, Trials

ROOT = Path(__file__).parent.parent
TOY = '''
"""A toy."""

LIMIT = 3


def clipped(n: int, *, unused: int = 5) -> int:
    """
    >>> clipped(2)
    2
    """
    if n > LIMIT:
        raise ValueError(f"{n} is more than {LIMIT + 0}")
    return n


def countdown(n: int) -> list[int]:
    passed = []
    while n:
        passed.append(n)
        n -= 1
    return passed
'''
WEAK_TEST = """
import pytest
from gptrilogy.toy import clipped, countdown

def test_more_is_refused():
    with pytest.raises(ValueError):
        clipped(4)

def test_less_is_not():
    assert clipped(1) == 1

@pytest.mark.parametrize("n", [3])
def test_counting(n):
    assert countdown(n) == [3, 2, 1]
"""


def toy_tree(folder: Path, test: str = WEAK_TEST) -> Path:
    """A package of one module, its tests, and the runner."""
    for place, text in {
        "src/gptrilogy/__init__.py": "",
        "src/gptrilogy/toy.py": TOY,
        "tests/test_toy.py": test,
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = ["--import-mode=importlib", "--doctest-modules"]\n',
    }.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")
    shutil.copytree(ROOT / "torture", folder / "torture", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Score]:
    """All mutants of the toy, tried."""
    folder = tmp_path_factory.mktemp("mutants")
    with Trials(toy_tree(folder / "root"), folder, ahead=(), spare_cpu_s=0) as trials:
        yield score(trials, "toy.py", None, 0, {})


def changes(score: Score, verdict: str) -> set[str]:
    return {one.mutant.change for one in score.tried if one.verdict == verdict}


def test_what_a_weak_test_does_not_notice_lives_by_name(toy: Score) -> None:
    assert changes(toy, "lived") == {
        "n > LIMIT -> n >= LIMIT",
        "5 -> 6",
        "5 -> 4",
        "LIMIT = 3 -> LIMIT = 2",
    }
    assert {str(one.mutant) for one in toy.survivors} >= {"toy.py:12 n > LIMIT -> n >= LIMIT"}


def test_a_test_that_fails_is_named_doctests_too(toy: Score) -> None:
    by = {one.mutant.change: one.by for one in toy.tried if one.verdict == "test"}
    assert by["return passed -> return None"] == "tests/test_toy.py::test_counting[3]"
    assert by["LIMIT = 3 -> LIMIT = 4"] == "tests/test_toy.py::test_more_is_refused"
    assert by["return n -> return None"] in {
        "src/gptrilogy/toy.py::gptrilogy.toy.clipped",
        "tests/test_toy.py::test_less_is_not",
    }
    assert by["raise ValueError(f'{n} is more than {LIMIT + 0}') -> pass"] == "tests/test_toy.py::test_more_is_refused"


def test_what_runs_for_ever_is_stopped_by_its_cpu_time(toy: Score) -> None:
    assert changes(toy, "CPU time") == {"n -= 1 -> n += 1", "n -= 1 -> n -= 0", "n -= 1 -> n -= 2", "n -= 1 -> pass"}


def test_nothing_is_made_of_texts_for_people_types_and_docstrings() -> None:
    source = "\n".join(
        [
            '"""Doc 1."""',
            "from typing import TYPE_CHECKING, cast",
            '__all__ = ["f"]',
            "if TYPE_CHECKING:",
            "    import this",
            'def f(x: "int" = None) -> "list[int]":',
            '    """Doc 2."""',
            '    assert x != 1, "words"',
            '    y = cast("int", x)',
            "    for _ in zip(y, y, strict=True): ...",
            '    return ValueError(f"{x + 1} is wrong")',
        ]
    )
    assert [mutant.change for mutant in mutants_of("x.py", source)] == [
        "return ValueError(f'{x + 1} is wrong') -> return None"
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("a = b < c", ["b < c -> b <= c", "b < c -> b > c"]),
        ("a = b and c", ["b and c -> b or c"]),
        ("a = not c", ["not c -> c"]),
        ("a = b // c", ["b // c -> b % c"]),
        ("a = f(b, c)", ["f(b, c) -> f(c, b)"]),
        ("a = f(b, b), min(b, c)", []),
        ("a = True", ["a = True -> a = False"]),
        ("a = 1.5", ["a = 1.5 -> a = 2.5"]),
        ("a = 'x'", ["a = 'x' -> a = 'xx'"]),
        ("a = {1: 'x', 2: 'x'}", ["{1: 'x', 2: 'x'} -> {2: 'x', 2: 'x'}", "{1: 'x', 2: 'x'} -> {0: 'x', 2: 'x'}"]),
        ("while a:\n    break", ["a -> not a", "break -> continue"]),
        ("a += 1", ["a += 1 -> a -= 1", "a += 1 -> pass"]),
        ("a.b = c", ["a.b = c -> pass"]),
        ("a = [b for b in c if b]", ["for b in c if b -> for b in c if not b"]),
    ],
)
def test_each_kind_of_mistake_is_made(code: str, expected: list[str]) -> None:
    found = [mutant.change for mutant in mutants_of("x.py", code)]
    assert [change for change in expected if change not in found] == []
    assert expected or not found


def test_equal_changes_of_one_function_are_told_apart() -> None:
    first, second = (mutant for mutant in mutants_of("x.py", "a = -b\na = -b\n"))
    assert (first.name, second.name) == ("x.py : -b -> b", "x.py : -b -> b #2")
    assert (first.source, second.source) == ("a = b\na = -b", "a = -b\na = b")


def test_a_sample_is_the_same_for_a_seed_and_in_the_order_of_the_code() -> None:
    made = mutants_of("toy.py", TOY)
    some = sampled(made, 5, seed=3)
    assert some == sampled(made, 5, seed=3) != sampled(made, 5, seed=4)
    assert len(some) == 5
    assert [made.index(one) for one in some] == sorted(made.index(one) for one in some)
    assert sampled(made, 10_000, seed=0) == made


def test_tests_that_fail_without_a_mutant_teach_nothing(tmp_path: Path) -> None:
    root = toy_tree(tmp_path / "root", "def test_wrong():\n    assert 1 == 2\n")
    with Trials(root, tmp_path, ahead=(), spare_cpu_s=0) as trials, pytest.raises(TrialError, match="test_wrong"):
        score(trials, "toy.py", None, 0, {})


def test_what_is_called_equivalent_has_a_reason_and_is_a_mutant(tmp_path: Path) -> None:
    table = tmp_path / "table.toml"
    table.write_text('[["toy.py"]]\nmutants = ["f: a -> b", "f: c -> d"]\nbecause = "same"\n', encoding="utf-8")
    assert reasons("toy.py", table) == {"toy.py f: a -> b": "same", "toy.py f: c -> d": "same"}
    assert reasons("other.py", table) == {}


def test_the_page_counts_with_and_without_what_is_equivalent(toy: Score) -> None:
    name = next(one.mutant.name for one in toy.survivors if one.mutant.change == "5 -> 6")
    spared = Score(toy.path, toy.sha256, toy.made, toy.tried, {name: "nothing reads it"})
    assert (spared.able, len(spared.equivalent)) == (toy.able - 1, 1)
    assert len(spared.survivors) == len(toy.survivors) - 1
    assert "toy.py:7 5 -> 6: nothing reads it" in page([spared], 1)
    assert f"{spared.killed / spared.able:.1%} of the mutants" in page([spared], 1)
