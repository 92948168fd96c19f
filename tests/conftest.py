"""What all tests share: patience on a busy machine, and the way to data too large for the repository."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["OMP_NUM_THREADS"] = "1"  # tests run side by side, one thread each; read when torch is first imported

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Find a file in the folder GPTRILOGY_DATA; without it skip, or fail where GPTRILOGY_REQUIRE_DATA=1."""

    def find(relative: str) -> Path:
        folder = os.environ.get("GPTRILOGY_DATA")
        if folder and (path := Path(folder, relative)).exists():
            return path
        reason = f"needs {relative} in the folder that GPTRILOGY_DATA names, which is {folder!r}"
        return pytest.fail(reason) if os.environ.get("GPTRILOGY_REQUIRE_DATA") == "1" else pytest.skip(reason)

    return find
