"""Tab in a real shell, with the script that `gpt --install-completion` writes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from gpt_command import Gpt
from typist import Typist


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one file, where `gpt` is this Python's."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "novel.txt").touch()
    gpt = folder / "bin" / "gpt"
    gpt.parent.mkdir()
    gpt.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gptrilogy "$@"\n')
    gpt.chmod(0o755)
    return folder


def opened(home: Path, name: str, flags: Sequence[str], environment: Mapping[str, str]) -> Typist:
    """A shell at its prompt in that folder; where it is not installed, the test is skipped and says so."""
    shell = shutil.which(name)
    if shell is None:
        pytest.skip(f"{name} is not installed: its completion was not tried")
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    return Typist([shell, *flags], {"PATH": path, "HOME": str(home), **environment})


@pytest.fixture(scope="module")
def shell(home: Path) -> Iterator[Typist]:
    """A bash that has read the script."""
    with opened(home, "bash", ["--norc", "-i"], {"PS1": "$ ", "INPUTRC": os.devnull}) as it:
        it.until("$ ")
        it.type(f"cd {home}; gpt --install-completion --shell bash --output {home}/script >/dev/null; echo do''ne\n")
        it.until("done")
        it.type(". ./script; echo re''ady\n")
        it.until("ready")
        it.until("$ ")
        yield it


@pytest.fixture(scope="module")
def zsh(home: Path) -> Iterator[Typist]:
    """A zsh that has the script in its path of functions."""
    with opened(home, "zsh", ["-f", "-i"], {"PS1": "$ "}) as it:
        it.until("$ ")
        it.type(
            f"cd {home}; gpt --install-completion --shell zsh --output {home}/zsh/_cyclopts_gpt >/dev/null; "
            "echo do''ne\n"
        )
        it.until("done")
        it.type(f"fpath=({home}/zsh $fpath); autoload -Uz compinit; compinit -u -D; echo re''ady\n")
        it.until("ready")
        it.until("$ ")
        yield it


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "becomes"),
    [
        ("gpt pre\tt\t", "gpt pretrain "),
        ("gpt pretrain --model.n-l\t", "gpt pretrain --model.n-layer "),
        ("gpt corpus b\t", "gpt corpus build "),
        ("gpt pretrain nov\t", "gpt pretrain novel.txt "),
        ("gpt generate x --precision bf\t", "gpt generate x --precision bf16 "),
        ("gpt plan gpt3-175\t", "gpt plan gpt3-175b "),
        ("gpt evaluate x --tasks reversed-w\t", "gpt evaluate x --tasks reversed-words"),
        ("gpt evaluate x --tasks winograd,reversed-w\t", "\\,reversed-words"),
        ("gpt papers demo gpt1-ta\t", "gpt papers demo gpt1-table5 "),
        ("gpt pretrain novel.txt --recipe gpt3-175\t", "gpt pretrain novel.txt --recipe gpt3-175b "),
        ("gpt corpus build x --recipe webt\t", "gpt corpus build x --recipe webtext "),
    ],
)
def test_tab_writes_the_rest(shell: Typist, typed: str, becomes: str) -> None:
    shell.type(typed)
    shell.type("|END\n")  # what is typed after the name that Tab completed
    line = shell.until("|END")
    shell.until("$ ")
    assert line.replace("\x07", "").endswith(f"{becomes}|END")  # without the bell


NAMES = [
    ("gpt pret", "pretrain"),
    ("gpt corpus b", "build"),
    ("gpt pretrain --model.n-l", "--model.n-layer"),
    ("gpt pretrain novel.txt --recipe gpt3-175", "gpt3-175b"),
    ("gpt plan gpt3-175", "gpt3-175b"),
    ("gpt pretrain nov", "novel.txt"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "name"), NAMES)
def test_tab_writes_the_rest_in_zsh(zsh: Typist, typed: str, name: str) -> None:
    zsh.type(f"{typed}\t")
    zsh.type("|END\x15print -r -- $? >/dev/null\n")
    line = zsh.until("|END")
    zsh.until("$ ")
    assert name in line


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "name"), NAMES)
def test_fish_offers_the_rest(home: Path, typed: str, name: str) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not installed: its completion was not tried")
    script = home / "gpt.fish"
    made = [home / "bin" / "gpt", "--install-completion", "--shell", "fish", "--output", script]
    if not script.exists():
        subprocess.run(made, check=True, capture_output=True)
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        [fish, "--no-config", "-c", f"source {script}; complete -C '{typed}'"],
        cwd=home, env={**os.environ, "PATH": path, "HOME": str(home)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert name in [line.partition("\t")[0] for line in done.stdout.splitlines()], done.stderr


def test_the_script_says_where_it_went(gpt: Gpt, tmp_path: Path) -> None:
    script = tmp_path / "gpt.fish"
    said = gpt("--install-completion", "--shell", "fish", "--output", script)
    assert said.code == 0
    assert str(script) in said.out
    assert "pretrain" in script.read_text()
