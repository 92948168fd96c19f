"""What can be read only once is kept while it is needed, whole or not at all."""

import gzip
import io
import json
import os
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gptrilogy.corpus.sources import read_documents
from gptrilogy.corpus.spooling import check_sources, held, spool, spooled
from gptrilogy.errors import ConfigError, DataError, RunError

Pipe = Callable[[bytes], None]
LINES = b'{"text": "one"}\n{"text": "two"}\n'


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    """Give the test a standard input."""

    def pipe(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return pipe


def fed(path: Path, content: bytes) -> Path:
    """A named pipe that gives this content once somebody reads it."""
    os.mkfifo(path)
    threading.Thread(target=path.write_bytes, args=(content,), daemon=True).start()
    return path


def texts(sources: tuple[str, ...]) -> list[str]:
    return [document.text for document in read_documents(sources)]


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"It is a truth\nuniversally", "stdin.txt", ["It is a truth\nuniversally"]),
        (LINES, "stdin.jsonl", ["one", "two"]),
        (b"\xef\xbb\xbf\n" + LINES, "stdin.jsonl", ["one", "two"]),
        (gzip.compress(LINES, mtime=0), "stdin.jsonl", ["one", "two"]),
        (b"{is how a poem\nbegins}", "stdin.txt", ["{is how a poem\nbegins}"]),
        (b"[1, 2]\n", "stdin.txt", ["[1, 2]\n"]),
    ],
)
def test_standard_input_is_kept_and_known_by_what_it_holds(
    tmp_path: Path, pipe: Pipe, content: bytes, name: str, expected: list[str]
) -> None:
    pipe(content)
    spool(["-"], tmp_path / "spool")
    sources = spooled(["-"], tmp_path / "spool")
    assert sources == (str(tmp_path / "spool" / name),)
    assert Path(sources[0]).read_bytes() == content
    assert texts(sources) == texts(sources) == expected


def test_pipes_and_files_keep_their_places(tmp_path: Path, pipe: Pipe) -> None:
    (tmp_path / "b.txt").write_text("plain")
    (tmp_path / "other").mkdir()
    pipe(b"standard")
    first, second = fed(tmp_path / "web.jsonl", LINES), fed(tmp_path / "other/web.txt", b"more")
    given = [str(first), str(tmp_path / "b.txt"), "/dev/stdin", str(second)]
    told = list[int]()
    kept = spool(given, tmp_path / "spool", told.append)
    assert {source: path.name for source, path in kept.items()} == {
        str(first): "web.jsonl",
        "/dev/stdin": "stdin.txt",
        str(second): "web3.txt",
    }
    assert told == [len(LINES), 8, 4]
    assert texts(spooled(given, tmp_path / "spool")) == ["one", "two", "plain", "standard", "more"]


def test_files_alone_need_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    spool([str(tmp_path / "a.txt")], tmp_path / "spool")
    assert not (tmp_path / "spool").exists()
    assert spooled([str(tmp_path / "a.txt")], tmp_path / "spool") == (str(tmp_path / "a.txt"),)


class Breaking(io.BytesIO):
    """Gives some bytes, then an error."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(b"text")
        self.error = error

    def read1(self, size: int | None = -1, /) -> bytes:
        if piece := super().read1(size):
            return piece
        raise self.error


@pytest.mark.parametrize(
    ("error", "seen", "says"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (SystemExit(143), SystemExit, None),
        (OSError(5, "Input/output error"), DataError, "cannot read standard input: Input/output error"),
    ],
)
def test_what_is_interrupted_leaves_nothing_and_cannot_be_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, seen: type[BaseException], says: str | None
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Breaking(error)))
    with pytest.raises(seen, match=says):
        spool(["-"], tmp_path / "spool")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="standard input was not read to its end, and is gone: begin the run again"):
        spooled(["-"], tmp_path / "spool")


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from gptrilogy.corpus.spooling import spool; from gptrilogy.errors import RunError\n"
        "try: spool(['-'], pathlib.Path(sys.argv[1]))\n"
        "except RunError as error: print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "spool")],
        input=b"text" * 100_000,
        capture_output=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16)),
    )
    assert re.search(rb"cannot write .*stdin: File too large; what is read from a pipe needs room there", said.stdout)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, pipe: Pipe) -> None:
    (tmp_path / "file").write_text("")
    pipe(b"text")
    with pytest.raises(RunError, match=r"cannot write .*spool: Not a directory"):
        spool(["-"], tmp_path / "file" / "spool")


def test_what_gives_nothing_is_refused(tmp_path: Path, pipe: Pipe) -> None:
    pipe(b"")
    with pytest.raises(DataError, match="standard input gave nothing"):
        spool(["-"], tmp_path / "spool")


def test_a_run_is_no_source_but_the_text_it_has_packed(tmp_path: Path) -> None:
    for name in ("config.json", "environment.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ConfigError, match=r"is a run, not a text: the text it has packed is .*/data"):
        check_sources([str(tmp_path)])


def test_a_source_is_given_once(tmp_path: Path, pipe: Pipe) -> None:
    pipe(b"text")
    (tmp_path / "a.txt").write_text("a")
    check_sources(["-", str(tmp_path / "a.txt"), str(tmp_path)])
    for twice in ([str(tmp_path / "a.txt"), f"{tmp_path}/../{tmp_path.name}/a.txt"], ["-", "/dev/stdin"]):
        with pytest.raises(ConfigError, match="is given twice: leave one out"):
            check_sources(twice)


def test_a_keyboard_is_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal = os.openpty()
    with os.fdopen(controller), os.fdopen(terminal) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        with pytest.raises(ConfigError, match="nothing is piped into it"):
            check_sources(["-"])


def test_what_is_held_goes_away_afterwards(pipe: Pipe) -> None:
    pipe(json.dumps({"text": "one"}).encode())
    with held(["-"]) as sources:
        assert texts(sources) == ["one"]
    assert not Path(sources[0]).exists()
