"""What is said of a machine, of software and of code that are not those a run began with."""

import tempfile

import pytest

from gptrilogy.cli import main
from gptrilogy.cli.environment import changes

THEN = {
    "cpu": "A",
    "torch": "2.12.0",
    "threads": 2,
    "gpu": None,
    "gptrilogy": "0.1.0",
    "code": "3f",
    "python": "3.11.2",
    "kernels": "native, with products",
}


def test_nothing_changed_is_nothing_to_say() -> None:
    assert not changes(THEN, THEN)


def test_another_machine_decides_and_another_python_may() -> None:
    found = changes(THEN, {**THEN, "cpu": "B", "python": "3.12.1", "code": "9b"})
    assert found.decisive == ("cpu was A, is B",)
    assert found.doubtful == ("python was 3.11.2, is 3.12.1", "the code has changed since")
    assert str(found) == "cpu was A, is B; python was 3.11.2, is 3.12.1; the code has changed since"


def test_a_run_of_an_earlier_version_is_compared_in_what_it_noted() -> None:
    earlier = {key: THEN[key] for key in ("cpu", "torch", "threads")}
    assert not changes(earlier, {**THEN, "gpu": "H100"})
    assert changes(earlier, {**THEN, "threads": 1}).decisive == ("threads was 2, is 1",)


def test_a_lost_compiler_changes_the_bits() -> None:
    found = changes(THEN, {**THEN, "kernels": "torch"})
    assert found.decisive == ("kernels was native, with products, is torch",)


def test_a_machine_on_which_nothing_can_be_written_has_a_name_for_a_temporary_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PyTorch imports what asks for one, and would fail."""

    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "tempdir", None)
    with monkeypatch.context() as unwritable:
        unwritable.setattr(tempfile, "_get_default_tempdir", nowhere)
        with pytest.raises(SystemExit):
            main(["--version"])
        assert tempfile.gettempdir()
