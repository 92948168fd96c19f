"""A record that was being worked on when a process ended is a suspect at the next attempt."""

import os
import subprocess
import sys
from pathlib import Path

from gptrilogy.corpus.build.watch import watching


def die_at(folder: Path, record: int) -> None:
    code = f"""
import os
from pathlib import Path
from gptrilogy.corpus.build.watch import watching
with watching(Path({str(folder)!r}), 4) as watch:
    for record in range({record} + 1):
        watch.begin(record)
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9


def test_an_attempt_that_ended_well_leaves_no_suspect(tmp_path: Path) -> None:
    with watching(tmp_path, 4) as watch:
        watch.begin(3)
    with watching(tmp_path, 4) as watch:
        assert watch.suspects == frozenset()


def test_the_records_at_which_attempts_died_are_suspects_of_their_part(tmp_path: Path) -> None:
    die_at(tmp_path, 3)
    die_at(tmp_path, 8)
    with watching(tmp_path, 4) as watch:
        assert watch.suspects == {3, 8}
    with watching(tmp_path, 4) as watch:
        assert watch.suspects == {3, 8}
    with watching(tmp_path, 5) as watch:
        assert watch.suspects == frozenset()


def test_a_record_that_never_ends_ends_its_process(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from gptrilogy.corpus.build import watch
watch.RECORD_SECONDS = 0.2
with watch.watching(Path({str(tmp_path)!r}), 4) as watched:
    watched.begin(6)
    time.sleep(60)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 1
    with watching(tmp_path, 4) as watch:
        assert watch.suspects == {6}


def test_a_pause_is_not_taken_for_a_record_that_never_ends(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from gptrilogy.corpus.build import watch
watch.RECORD_SECONDS = 0.2
with watch.watching(Path({str(tmp_path)!r}), 4) as watched:
    watched.begin(6)
    watched.pause()
    time.sleep(0.6)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30, env=dict(os.environ)).returncode == 0
