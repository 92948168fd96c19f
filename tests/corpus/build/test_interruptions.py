"""Whatever interrupts a build, the same command finishes it, and the result is the same to the byte."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import psutil
import pytest

from corpus_builds import TESTS, build_command, contents, rows_of
from gptrilogy.corpus.build.build import build_corpus
from gptrilogy.corpus.build.config import CorpusConfig
from gptrilogy.corpus.build.tasks import STEPS
from gptrilogy.errors import RunError


@pytest.fixture(scope="module")
def whole(config: CorpusConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a build that nothing interrupts leaves."""
    out = tmp_path_factory.mktemp("whole") / "corpus"
    build_corpus(config, out, tests=TESTS, engine=None)
    return contents(out)


@pytest.fixture(scope="module")
def coarsely_built(config: CorpusConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same of fewer parts."""
    out = tmp_path_factory.mktemp("coarse") / "corpus"
    build_corpus(config.replace(part_bytes=1 << 30), out, tests=TESTS, engine=None)
    return contents(out)


class StopError(Exception):
    pass


def build_until(config: CorpusConfig, out: Path, step: str) -> None:
    """Build, and stop when a step, or the adding up after all of them, is about to begin."""

    def stop(said: object) -> None:
        if step in (said, getattr(said, "step", "")):
            raise StopError

    with pytest.raises(StopError):
        build_corpus(config, out, tests=TESTS, engine=None, on_progress=stop, on_note=stop)


@pytest.fixture(scope="module")
def almost(config: CorpusConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A build of few parts that was stopped before it wrote, and one that was stopped before it added up."""
    folder = tmp_path_factory.mktemp("almost")
    coarse = config.replace(part_bytes=1 << 30)
    build_until(coarse, folder / "write", "write")
    shutil.copytree(folder / "write", folder / "adding up")
    build_until(coarse, folder / "adding up", "adding up")
    return {name: folder / name for name in ("write", "adding up")}


@pytest.mark.slow
def test_killed_again_and_again_it_ends_as_if_nothing_had_been(
    config: CorpusConfig, whole: dict[str, bytes], tmp_path: Path
) -> None:
    rng = random.Random(0)
    kills, ended = 0, False
    while not ended:
        with subprocess.Popen(build_command(config, tmp_path / "out", engine=None), stdout=subprocess.PIPE) as process:
            assert process.stdout
            said = list(islice(process.stdout, rng.randrange(3, 30)))
            time.sleep(rng.uniform(0, 0.1))
            process.kill()  # of one that has ended, nothing comes
        ended = process.returncode == 0 or b"adding up\n" in said
        kills += process.returncode != 0
    (tmp_path / "out" / ".ledger.json.half.tmp").touch()  # what a kill in the middle of a write leaves
    build_corpus(config, tmp_path / "out", tests=TESTS, engine=None)
    assert kills >= 2
    assert contents(tmp_path / "out") == whole


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(config: CorpusConfig, whole: dict[str, bytes], tmp_path: Path) -> None:
    killed, said = 0, list[str]()
    command = build_command(config, tmp_path / "out", engine="local")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            said.append(line)
            if not killed and line.startswith("read 1 "):
                children = psutil.Process(process.pid).children()
                killed = len([child.kill() for child in children if "daft" in " ".join(child.cmdline())])
    assert (process.returncode, killed > 0) == (0, True), "".join(said)
    assert any("a worker died while reading" in line for line in said)
    assert contents(tmp_path / "out") == whole


BEFORE_WRITING = [step.name for step in STEPS if step.name not in {"links", "unique-links", "write"}]


@pytest.mark.parametrize(
    ("stopped", "step"),
    [*(("write", step) for step in BEFORE_WRITING), ("adding up", "classifier"), ("adding up", "write")],
)
def test_a_damaged_part_of_any_step_is_made_again(
    config: CorpusConfig,
    almost: dict[str, Path],
    coarsely_built: dict[str, bytes],
    tmp_path: Path,
    stopped: str,
    step: str,
) -> None:
    """One flipped byte in each file that the step left, while nobody looked."""
    out = tmp_path / "out"
    shutil.copytree(almost[stopped], out)
    damaged = 0
    for path in (out / "work" / step).glob("part-*/**/*"):
        if path.is_file() and (content := bytearray(path.read_bytes())):
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
            damaged += 1
    assert damaged
    build_corpus(config.replace(part_bytes=1 << 30), out, tests=TESTS, engine=None)
    assert contents(out) == coarsely_built


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "send"), [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)], ids=["a terminal", "kill"]
)
def test_what_stops_it_decides_the_exit_code_and_leaves_no_process(
    sources: dict[str, list[str]], tmp_path: Path, number: signal.Signals, send: Callable[[int, int], None]
) -> None:
    """A terminal tells every process of the build to stop, `kill` only the first."""
    (tmp_path / "own.toml").write_text('recipe = "own"\npart_bytes = 8000\n[sets.web]\n', encoding="utf-8")
    out = tmp_path / "out"
    asked = ["corpus", "build", *sources["common_crawl"], "--recipe", str(tmp_path / "own.toml"), "--out", str(out)]
    command = [sys.executable, "-m", "gptrilogy", *asked, "--workers", "2"]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        preexec_fn=_heed_the_terminal,  # noqa: PLW1509 - only sets a signal
    ) as process:
        while process.poll() is None and not list(out.glob("work/read/.at-*")):
            time.sleep(0.02)
        children = psutil.Process(process.pid).children(recursive=True)
        send(process.pid, number)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in said) == (128 + number, False), said
    assert len(children) >= 2
    _, alive = psutil.wait_procs(children, timeout=5)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []


def _heed_the_terminal() -> None:
    """As a process that somebody began at a terminal, though the tests may run behind one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_full_disk_stops_it_and_room_lets_it_go_on(
    config: CorpusConfig, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    build_until(config, out, "score")
    made = subprocess.run(
        build_command(config, out, engine=None),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: _no_file_above(4_000),
    )
    assert made.returncode != 0
    assert "File too large; what is done is kept, and the same command goes on from there" in made.stderr, made.stderr
    build_corpus(config, out, tests=TESTS, engine=None)
    assert contents(out) == whole


def _no_file_above(size_bytes: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


def test_a_source_that_changed_meanwhile_is_named(config: CorpusConfig, tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.mkdir()
    for number in range(20):
        (good / f"{number}.txt").write_text(f"text number {number} of this set\n" * 9, encoding="utf-8")
    own = CorpusConfig.model_validate({"sets": {"good": {"paths": [str(good)]}}})
    build_until(own, tmp_path / "out", "score")
    (good / "7.txt").write_text("another text altogether\n", encoding="utf-8")
    with pytest.raises(RunError, match=r"unfinished build of other sources \(.*7\.txt is new or has changed\)"):
        build_corpus(own, tmp_path / "out", engine=None)


def test_other_settings_are_named(config: CorpusConfig, tmp_path: Path) -> None:
    build_until(config, tmp_path / "out", "score")
    with pytest.raises(RunError, match=r"unfinished build of other settings \(seed\)"):
        build_corpus(config.replace(seed=9), tmp_path / "out", tests=TESTS, engine=None)


POISON = """
import os, sys
import resiliparse.extract.html2text as html2text
sound = html2text.extract_plain_text
def extract_plain_text(html, *args, **settings):
    if "poison for extractors" in str(html):
        {end}
    return sound(html, *args, **settings)
html2text.extract_plain_text = extract_plain_text
"""


@pytest.fixture
def poisoned(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """An environment in which the extractor breaks at one page, in every process."""

    def make(end: str) -> dict[str, str]:
        folder = tmp_path / "poison"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(POISON.format(end=end), encoding="utf-8")
        return {**os.environ, "PYTHONPATH": str(folder)}

    return make


@pytest.mark.slow
def test_a_page_that_kills_every_worker_is_left_out_and_counted(
    poisoned: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    for number in range(6):
        text = "poison for extractors" if number == 3 else f"a page of no consequence, number {number}"
        (pages / f"{number}.html").write_text(f"<html><body><p>{text}. " * 9, encoding="utf-8")
    config = CorpusConfig.model_validate(
        {"sets": {"web": {"paths": [str(pages)]}}, "near_copies": False, "keep_dropped": True}
    )
    command = build_command(config, tmp_path / "out", engine="local")
    made = subprocess.run(command, env=poisoned("os.kill(os.getpid(), 9)"), capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    (dropped,) = rows_of(tmp_path / "out" / "dropped")
    assert (dropped["id"], dropped["step"], dropped["reason"]) == ("pages/3.html", "extract", "crash")
    assert len(rows_of(tmp_path / "out" / "documents")) == 5


def test_two_builds_do_not_work_in_one_folder(config: CorpusConfig, tmp_path: Path) -> None:
    command = build_command(config, tmp_path / "out", engine=None)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            with pytest.raises(RunError, match="another process is at work"):
                build_corpus(config, tmp_path / "out", tests=TESTS, engine=None)
        finally:
            process.kill()
