"""The house rules: imports go down the strata, without cycles, and what needs no torch loads no torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import gptrilogy

ROOT = Path(gptrilogy.__file__).parent
STRATA = [
    ["errors"],
    ["config"],
    ["files", "extras"],
    ["metrics", "devices", "papers"],
    ["runs"],
    ["native"],
    ["tokenizers", "models", "corpus"],
    ["data", "checkpoints", "scaling"],
    ["training", "generation"],
    ["evaluation", "interop"],
    ["finetuning"],
    ["loading"],
    ["recipes"],
    ["serving", "studies", "lm_eval", "tracking"],
    ["demo"],
    ["cli"],
    ["__main__"],
]
RANK = {name: rank for rank, names in enumerate(STRATA) for name in names}
TORCH_FREE = [
    "cli",
    "config",
    "corpus",
    "errors",
    "files",
    "metrics",
    "papers",
    "recipes",
    "runs",
    "scaling",
    "tokenizers",
]
VERBS = [
    [],
    ["demo"],
    ["plan"],
    ["pretrain"],
    ["resume"],
    ["finetune"],
    ["predict"],
    ["evaluate"],
    ["contamination"],
    ["generate"],
    ["inspect"],
    ["track"],
    ["import"],
    ["export"],
    ["corpus"],
    ["corpus", "build"],
    ["corpus", "card"],
    ["tokenizer"],
    ["tokenizer", "train"],
    ["tokenizer", "fetch"],
    ["tokenizer", "encode"],
    ["tokenizer", "decode"],
    ["tokenizer", "report"],
    ["papers"],
    ["papers", "list"],
    ["papers", "explain"],
    ["papers", "check"],
    ["papers", "demo"],
]


def modules() -> dict[str, Path]:
    """Dotted names of all modules below the package, and their files."""
    paths = sorted(ROOT.rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imported(path: Path) -> Iterator[str]:
    """Modules of `gptrilogy` that a file imports, at any depth of its code, as dotted names below the package."""
    known = modules()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gptrilogy."):
            base = (node.module or "").removeprefix("gptrilogy.")
            inner = [f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in known]
            yield from inner or [base]
        elif isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            yield from (name.removeprefix("gptrilogy.") for name in names if name.startswith("gptrilogy."))


def test_imports_go_down_the_strata() -> None:
    upward = [
        f"{name} must not import {target}"
        for name, path in modules().items()
        if name != "__init__"  # the package itself hands out `load` lazily
        for target in imported(path)
        if (part := name.split(".")[0]) != (aim := target.split(".")[0]) and RANK[aim] >= RANK[part]
    ]
    assert upward == []


def test_every_part_has_a_stratum() -> None:
    parts = {name.split(".")[0] for name in modules()} - {"__init__"}
    assert parts <= set(RANK)


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {name: set(imported(path)) for name, path in modules().items() if name != "__init__"}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' -> '.join(error.args[1])}")


def test_packages_are_at_most_two_levels_deep() -> None:
    packages = {name.rpartition(".")[0] for name in modules()}
    assert [name for name in packages if name.count(".") > 1] == []


def test_what_needs_no_torch_loads_no_torch() -> None:
    packages = [name for name in modules() if (ROOT / name.replace(".", "/")).is_dir()]
    configs = [name for name in modules() if name.rpartition(".")[2] == "config"]
    free = [
        name for name in modules() if name.split(".")[0] in TORCH_FREE and not name.startswith("cli.launch")
    ]  # cli.launch... is where a verb begins to work
    names = sorted({*packages, *configs, *free} - {"__main__", "__init__"})
    code = f"""
import importlib, sys
for name in {names}:
    importlib.import_module("gptrilogy." + name)
print("torch" in sys.modules)
"""
    assert _python(code) == "False"


def test_importing_the_package_imports_almost_nothing() -> None:
    assert _python("import gptrilogy, sys; print({'torch', 'numpy', 'pydantic'} & set(sys.modules))") == "set()"


def test_help_loads_no_torch() -> None:
    code = f"""
import contextlib, io, sys
from gptrilogy.cli import main
for verb in {VERBS}:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            main([*verb, "--help"])
    except SystemExit as exit:
        if exit.code or "torch" in sys.modules:
            print(*verb, "ends with", exit.code, "and torch is", "loaded" if "torch" in sys.modules else "not")
            break
else:
    print("none")
"""
    assert _python(code) == "none"


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
