"""How a command ends where we, its reader or its disk fail: with the right code, and one line at most."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from gpt_command import Gpt
from gptrilogy.errors import ConfigError

GPT = (sys.executable, "-m", "gptrilogy")


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Let `gpt plan` end with an error."""

    def fail_with(error: Exception) -> None:
        def make_plan(*_: object, **__: object) -> None:
            raise error

        import_module("gptrilogy.cli.launch")  # which for good keeps the function that it finds
        monkeypatch.setattr("gptrilogy.scaling.plan.make_plan", make_plan)

    return fail_with


@pytest.fixture
def slip(fail: Callable[[Exception], None]) -> None:
    fail(RuntimeError("a slip of ours"))


@pytest.mark.usefixtures("slip")
def test_a_bug_of_ours_is_one_line_that_asks_for_a_report(gpt: Gpt) -> None:
    said = gpt("plan", "gpt2-small")
    reported = "this is a bug in gptrilogy, please report it: RuntimeError: a slip of ours (--traceback shows more)"
    assert (said.code, said.err) == (1, f"gpt: {reported}\n")


@pytest.mark.usefixtures("slip")
def test_a_bug_of_ours_is_shown_whole_on_request(gpt: Gpt) -> None:
    said = gpt("plan", "gpt2-small", "--traceback")
    assert said.code == 1
    assert "in make_plan" in said.err


def test_an_error_of_the_disk_names_its_file_and_no_number(gpt: Gpt, fail: Callable[[Exception], None]) -> None:
    fail(OSError(30, "Read-only file system", "plans/one"))
    said = gpt("plan", "gpt2-small")
    assert (said.code, said.err) == (1, "gpt: Read-only file system: plans/one; choose a place that can be written\n")


def test_a_full_disk_comes_with_what_to_do(gpt: Gpt, fail: Callable[[Exception], None]) -> None:
    fail(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    said = gpt("plan", "gpt2-small")
    assert said.err == "gpt: No space left on device; make room, then give the same command again\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(5, "Input/output error", "events"),
            "gpt: warning: Input/output error: events\ngpt: and so it ended\n",
        ),
        (RuntimeError("a slip of ours"), "RuntimeError: a slip of ours\ngpt: and so it ended\n"),
    ],
)
def test_a_disks_error_in_a_thread_is_one_line_and_a_slip_is_shown_whole(
    gpt: Gpt, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def write() -> None:
        raise error

    def make_plan(*_: object, **__: object) -> None:
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        raise ConfigError("and so it ended")

    import_module("gptrilogy.cli.launch")
    monkeypatch.setattr("gptrilogy.scaling.plan.make_plan", make_plan)
    heard = gpt("plan", "gpt2-small").err
    assert heard.endswith(said)
    assert ("Traceback" in heard) == isinstance(error, RuntimeError)


def test_a_reader_that_has_left_is_told_nothing() -> None:
    process = subprocess.Popen([*GPT, "papers", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == ("", 1)
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_behind_stderr_leaves_the_exit_code() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run([*GPT, "plan", "gpt2-smal"], stdout=subprocess.PIPE, stderr=full, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
