"""Compiled code is made once, kept whole, never taken from others, and missed with one line."""

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gptrilogy.native import building
from gptrilogy.native.building import UnavailableError, compiled, load

ANSWER = 'extern "C" int answer() { return 42; }\n'
COMPILING = "compiling answer.cpp for this CPU, once"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small program of ours, and a cache that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "answer.cpp"
    path.write_text(ANSWER)
    return path


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "gptrilogy" / "kernels").iterdir())


def test_it_is_compiled_once_and_says_so(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(source).answer() == 42
    assert COMPILING in capsys.readouterr().err
    [library] = kept(tmp_path)
    assert load(source).answer() == 42
    assert capsys.readouterr().err == ""
    assert kept(tmp_path) == [library]


def test_other_code_is_another_library(source: Path, tmp_path: Path) -> None:
    load(source)
    source.write_text(ANSWER.replace("42", "43"))
    assert load(source).answer() == 43
    (source.parent / "shared.h").write_text("// what sources include counts too\n")
    load(source)
    assert len(kept(tmp_path)) == 3


def test_a_machine_that_hides_a_part_of_its_cpu_has_a_library_of_its_own(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(source)
    monkeypatch.setattr(building, "cpu_flags", lambda: frozenset({"sse2"}))
    load(source)
    assert len(kept(tmp_path)) == 2


@pytest.mark.parametrize("damage", ["half", "none", "a byte"])
def test_a_damaged_library_is_made_again(source: Path, tmp_path: Path, damage: str) -> None:
    load(source)
    [library] = kept(tmp_path)
    whole = library.read_bytes()
    library.unlink()  # what a process has loaded keeps its bytes
    library.write_bytes({"half": whole[: len(whole) // 2], "none": b"", "a byte": b"x" + whole[1:]}[damage])
    done = in_a_process(source)
    assert (done.returncode, done.stdout) == (0, "42\n")
    assert COMPILING in done.stderr
    assert kept(tmp_path) == [library]
    assert in_a_process(source).stderr == ""


def test_a_library_of_another_user_is_not_loaded(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(source)
    nobody = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: nobody)
    with pytest.raises(UnavailableError, match="no folder can be written"):
        load(source)


@pytest.mark.parametrize("trap", ["a folder open to others", "a link to a folder", "a link to a library"])
def test_what_another_user_may_have_put_there_is_not_loaded(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    load(source)
    [foreign] = kept(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    monkeypatch.setattr(building.tempfile, "gettempdir", lambda: str(tmp_path))
    place = tmp_path / f"gptrilogy-{os.getuid()}"
    if trap == "a link to a folder":
        place.symlink_to(foreign.parent)
    else:
        place.mkdir(mode=0o700)
        if trap == "a link to a library":
            (place / foreign.name).symlink_to(foreign)
        else:
            (place / foreign.name).write_bytes(foreign.read_bytes())
            place.chmod(0o770)
    if trap == "a link to a library":
        done = in_a_process(source, TMPDIR=str(tmp_path))
        assert (done.stdout, COMPILING in done.stderr) == ("42\n", True)
        assert not (place / foreign.name).is_symlink()
    else:
        with pytest.raises(UnavailableError, match="no folder can be written"):
            load(source)


def test_a_home_that_cannot_be_written_to_is_gone_around(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    monkeypatch.setattr(building.tempfile, "gettempdir", lambda: str(tmp_path))
    assert load(source).answer() == 42
    [library] = (tmp_path / f"gptrilogy-{os.getuid()}").iterdir()
    assert library.parent.stat().st_mode & 0o077 == 0


def test_a_library_is_found_where_nothing_more_can_be_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none_is_usable() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    access = os.access

    def not_to_write(path: str, mode: int) -> bool:
        return mode != os.W_OK and access(path, mode)

    load(source)
    capsys.readouterr()
    monkeypatch.setattr(building.tempfile, "gettempdir", none_is_usable)
    monkeypatch.setattr(os, "access", not_to_write)
    assert load(source).answer() == 42
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    with pytest.raises(UnavailableError, match="no folder can be written to keep compiled code in"):
        load(source)


def test_a_compiler_keeps_its_own_files_where_they_can_be_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "compiler"
    script.write_text(f'#!/bin/sh\necho "$TMPDIR" >> {tmp_path}/told\nexec g++ "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    monkeypatch.setenv("TMPDIR", "/proc/nowhere")
    assert load(source).answer() == 42
    [library] = kept(tmp_path)
    assert {Path(line) for line in (tmp_path / "told").read_text().splitlines()} == {library.parent}


def test_a_compiler_finds_its_linker_without_a_path(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATH")
    assert load(source).answer() == 42


def test_no_home_is_no_hindrance(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "user_cache", lambda: None)
    monkeypatch.setattr(building.tempfile, "gettempdir", lambda: str(tmp_path))
    assert load(source).answer() == 42


def test_a_compiler_may_be_a_command_with_arguments(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(source)
    monkeypatch.setenv("CXX", "env ANSWER=42 g++ -DANSWER=43")
    source.write_text(ANSWER.replace("42", "ANSWER"))
    assert load(source).answer() == 43
    monkeypatch.setenv("CXX", "g++ '")
    with pytest.raises(UnavailableError, match="CXX=g\\+\\+ ' is no command \\(No closing quotation\\)"):
        load(source)
    assert len(kept(tmp_path)) == 2


@pytest.mark.parametrize(
    ("compiler", "why"),
    [
        ("/nowhere/g++", "/nowhere/g\\+\\+ did not run"),
        ("/bin/false", "/bin/false failed \\(code 1\\)"),
        ("/bin/true", "cannot be made"),
    ],
)
def test_a_broken_compiler_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: str, why: str
) -> None:
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(UnavailableError, match=why):
        load(source)
    assert kept(tmp_path) == []


def test_an_error_in_the_code_is_quoted(source: Path, tmp_path: Path) -> None:
    source.write_text("int answer( { }")
    with pytest.raises(UnavailableError, match=r"failed \(.*answer.cpp.*error"):
        load(source)
    assert kept(tmp_path) == []


def test_without_a_compiler_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled.cache_clear()
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler") as found:
        assert compiled("decoding") is None
    assert compiled("decoding") is None  # and is silent from then on
    compiled.cache_clear()
    [line] = [str(warning.message) for warning in found]
    assert line.startswith("there is no C++ compiler here: decoding goes on without its kernel, more slowly; install")
    assert "\n" not in line


def test_it_can_be_switched_off_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled.cache_clear()
    monkeypatch.setenv("GPTRILOGY_NATIVE", "off")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled("decoding") is None
    compiled.cache_clear()


def test_processes_that_compile_at_once_do_not_disturb_each_other(source: Path, tmp_path: Path) -> None:
    processes = [subprocess.Popen(command(source), stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0] for process in processes] == ["42\n"] * 3
    assert len(kept(tmp_path)) == 1


def test_threads_that_need_a_kernel_at_once_compile_it_once(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        libraries = [*pool.map(load, [source] * 4)]
    assert [library.answer() for library in libraries] == [42] * 4
    assert capsys.readouterr().err.count(COMPILING) == 1


def test_threads_are_those_of_pytorch(source: Path) -> None:
    """One OpenMP in the process: what `torch.set_num_threads` says holds for our code."""
    source.write_text(
        '#include <omp.h>\nextern "C" int answer() { int n = 0;\n#pragma omp parallel\n{\n#pragma omp single\n'
        "n = omp_get_num_threads(); }\nreturn n; }\n"
    )
    code = f"""
import torch
torch.set_num_threads(3)
from pathlib import Path
from gptrilogy.native.building import load
print(load(Path({str(source)!r})).answer())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"


def command(source: Path) -> list[str]:
    code = (
        "import sys; from pathlib import Path; from gptrilogy.native.building import load; "
        "print(load(Path(sys.argv[1])).answer())"
    )
    return [sys.executable, "-c", code, str(source)]


def in_a_process(source: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command(source), env={**os.environ, **env}, capture_output=True, text=True, check=False)


def test_code_without_openmp_needs_no_torch(tmp_path: Path, source: Path) -> None:
    del source  # for its empty cache
    script = """
import sys
from gptrilogy.native.building import compiled
assert compiled("bpe"), "there is a compiler here"
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.name.partition("-")[0] for path in kept(tmp_path)] == ["bpe"]
