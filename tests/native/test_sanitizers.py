"""Kernels run at random shapes under AddressSanitizer and UndefinedBehaviorSanitizer, which see every byte too far."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

HERE = Path(__file__).parent
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-include", HERE / "checked.h")
PRELOADED = ("libasan.so", "libubsan.so", "libstdc++.so")
TOO_FAR = """
import torch
from gptrilogy.models import kernels
x, y, means = torch.zeros(34, 64), torch.zeros(33, 64).bfloat16(), torch.zeros(34)
at, to, of = x.data_ptr(), y.data_ptr(), means.data_ptr()
kernels.kernels().layer_norm(34, 64, at, at, at, 1e-5, to, 0, of, of)
"""
TOO_FAR_IN_A_TILE = """
import torch
from gptrilogy.models import kernels
a, b, c = (torch.zeros(shape).bfloat16() for shape in ((31, 32), (32, 32), (32, 32)))
pointers = [x.data_ptr() for x in (a, b, c)]
assert kernels.has_products(), "nothing is multiplied here"
kernels.kernels().product(32, 32, 32, pointers[0], 32, 1, pointers[1], 32, 1, 0, pointers[2], 32, 0, 0, None)
"""
Watched: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Run Python with kernels that are watched."""
    compiler, folder = shutil.which("g++"), tmp_path_factory.mktemp("watched")
    libraries = [_of_compiler(compiler, name) for name in PRELOADED] if compiler else []
    if compiler is None or not all(map(os.path.isabs, libraries)):
        pytest.skip(f"g++ and its sanitizers are not here: {compiler}, {libraries}")
    wrapper = folder / "c++"
    wrapper.write_text(f'#!/bin/sh\nunset LD_PRELOAD\nexec {compiler} "$@" {" ".join(map(str, SANITIZED))}\n')
    wrapper.chmod(0o700)
    watching = {
        "CXX": str(wrapper),
        "XDG_CACHE_HOME": str(folder),
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0:use_sigaltstack=0",  # Python's own leaks; a stack too small for tiles
        "OMP_NUM_THREADS": "2",
        "OMP_WAIT_POLICY": "passive",
    }

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=os.environ | watching, capture_output=True, text=True, check=False)

    return run


def _of_compiler(compiler: str, library: str) -> str:
    command = [compiler, f"-print-file-name={library}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
def test_no_kernel_touches_what_is_not_its_own(watched: Watched) -> None:
    done = watched(str(HERE / "sweep.py"), "36")
    assert (done.returncode, done.stdout) == (0, "every case agrees with its twin\n"), done.stdout + done.stderr[-5000:]
    assert done.stderr.count("compiling") == 3  # and was not skipped


@pytest.mark.slow
@pytest.mark.parametrize("code", [TOO_FAR, TOO_FAR_IN_A_TILE], ids=["layer norm", "tile"])
def test_a_byte_too_far_would_be_seen(watched: Watched, code: str) -> None:
    done = watched("-c", code)
    if "nothing is multiplied here" in done.stderr:
        pytest.skip("this CPU has no products for the kernels")
    assert "heap-buffer-overflow" in done.stderr, done.stderr[-2000:]
