"""The fetching of published vocabularies, against a real server that has each of the faults a network has."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gptrilogy.errors import ConfigError, TokenizerError
from gptrilogy.tokenizers import ByteLevelBPE, load_tokenizer, published
from gptrilogy.tokenizers.published import PUBLISHED, PublishedFile, cache_folder, fetch, load_published
from gptrilogy.tokenizers.symbols import to_symbols

TOKENIZER = ByteLevelBPE([("a", "b"), ("Ġ", "ab")])
ENCODER = json.dumps({to_symbols(TOKENIZER.token_bytes(i)): i for i in range(TOKENIZER.n_vocab)}).encode()
MERGES = "#version: 0.2\na b\nĠ ab\n".encode()
CONTENT = {"encoder.json": ENCODER, "vocab.bpe": MERGES}

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


def whole(request: BaseHTTPRequestHandler, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


def lying(request: BaseHTTPRequestHandler, content: bytes) -> None:
    whole(request, content[:-1] + b"!")


def cut_off(request: BaseHTTPRequestHandler, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content[: len(content) // 2])


def shorter(request: BaseHTTPRequestHandler, content: bytes) -> None:
    whole(request, content[:-1])


def too_much(request: BaseHTTPRequestHandler, content: bytes) -> None:
    request.send_response(200)
    request.end_headers()
    try:
        while True:
            request.wfile.write(content)
    except ConnectionError:
        pass  # the client has seen enough


def silent(request: BaseHTTPRequestHandler, content: bytes) -> None:
    request.send_response(200)
    request.end_headers()
    time.sleep(1)


def trickling(request: BaseHTTPRequestHandler, content: bytes) -> None:
    request.send_response(200)
    request.end_headers()
    try:
        for byte in content:
            request.wfile.write(bytes([byte]))
            time.sleep(0.02)
    except ConnectionError:
        pass  # the client has lost its patience


def status(code: int) -> Answer:
    def answer(request: BaseHTTPRequestHandler, content: bytes) -> None:
        request.send_response(code, "\x1b[31mno")
        request.end_headers()

    return answer


def not_http(request: BaseHTTPRequestHandler, content: bytes) -> None:
    request.wfile.write(b"220 mail.example ESMTP\r\n")


class Server(ThreadingHTTPServer):
    """Gives each request the next of some answers, the last one for ever; `paths` is what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Answer] = [whole]
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.paths.append(self.path)
        answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        answer(self, CONTENT[self.path.removeprefix("/")])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class has it
        pass


@pytest.fixture
def server() -> Generator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def small(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gpt2 is a small vocabulary on the local server, patience is short, and the cache is empty."""
    files = tuple(
        PublishedFile(f"{server.url}/{name}", len(content), hashlib.sha256(content).hexdigest())
        for name, content in CONTENT.items()
    )
    monkeypatch.setattr(published, "PUBLISHED", {**PUBLISHED, "gpt2": files})
    monkeypatch.setattr(published, "PAUSES_S", (0.01, 0.01))
    monkeypatch.setattr(published, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(published, "TOTAL_S", 0.5)
    monkeypatch.setenv("GPTRILOGY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "from"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def notes() -> list[str]:
    return []


def kept(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_what_is_fetched_is_loaded_by_its_name(server: Server, tmp_path: Path, notes: list[str]):
    folder = fetch("gpt2", note=notes.append)
    assert folder == tmp_path / "cache" / "tokenizers" / "gpt2"
    assert sorted(path.name for path in kept(tmp_path)) == ["encoder.json", "vocab.bpe"]
    assert load_tokenizer("gpt2").fingerprint == load_tokenizer(folder).fingerprint == TOKENIZER.fingerprint
    assert server.paths == ["/encoder.json", "/vocab.bpe"]
    assert notes == [f"fetching {server.url}/{name} (0.00 MB)" for name in CONTENT]


def test_what_is_there_and_whole_is_not_fetched_again(server: Server, notes: list[str]):
    folder = fetch("gpt2", note=notes.append)
    server.paths.clear()
    notes.clear()
    assert fetch("gpt2", note=notes.append) == folder
    assert server.paths == []
    assert notes == ["gpt2 is already here, and whole: nothing to fetch"]


@pytest.mark.parametrize("damage", [b"", ENCODER[:-1] + b" ", ENCODER + b" "])
def test_damage_is_found_at_every_use_and_mended_by_fetching(server: Server, notes: list[str], damage: bytes):
    path = fetch("gpt2", note=notes.append) / "encoder.json"
    path.write_bytes(damage)
    with pytest.raises(TokenizerError, match=r"encoder\.json .*; `gpt tokenizer fetch gpt2` replaces it") as caught:
        load_tokenizer("gpt2")
    assert str(path) in str(caught.value)
    fetch("gpt2", note=notes.append)
    assert load_published("gpt2").fingerprint == TOKENIZER.fingerprint


@pytest.mark.parametrize(
    ("answer", "n_requests", "complaint"),
    [
        (lying, 1, "/encoder.json is not the published file: its SHA-256 is [0-9a-f]{64}, it must be [0-9a-f]{64}"),
        (too_much, 1, "/encoder.json sends more than the [0-9,]+ bytes of the published file"),
        (status(404), 1, "the server answers 404"),
        (status(403), 1, "the server answers 403"),
        (cut_off, 3, "the connection ended after [0-9,]+ bytes"),
        (shorter, 3, "the connection ended after [0-9,]+ bytes"),
        (silent, 3, "timed out"),
        (trickling, 3, "only [0-9,]+ bytes came in 0.5 s"),
        (status(503), 3, "the server answers 503"),
        (status(429), 3, "the server answers 429"),
        (not_http, 3, "the answer is not HTTP"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_server_at_fault_leaves_nothing_and_one_line_with_another_way(
    server: Server, tmp_path: Path, notes: list[str], answer: Answer, n_requests: int, complaint: str
):
    server.answers = [answer]
    with pytest.raises(TokenizerError, match=complaint) as caught:
        fetch("gpt2", note=notes.append)
    message = str(caught.value)
    assert f"{server.url}/encoder.json" in message
    assert message.endswith(
        "`gpt tokenizer fetch gpt2 --from FOLDER` takes encoder.json and vocab.bpe without a network, "
        f"copied from {server.url}"
    )
    assert message.isprintable()
    assert kept(tmp_path) == []
    assert server.paths == ["/encoder.json"] * n_requests


@pytest.mark.parametrize("fault", [cut_off, silent, status(500), not_http])
def test_a_fault_that_passes_is_outlasted(server: Server, notes: list[str], fault: Answer):
    server.answers = [fault, fault, whole]
    fetch("gpt2", note=notes.append)
    assert load_published("gpt2").fingerprint == TOKENIZER.fingerprint
    assert len([note for note in notes if note.endswith("trying again in 0.01 s")]) == 2


def test_a_fault_in_the_second_file_keeps_the_first_out_too(server: Server, tmp_path: Path, notes: list[str]):
    server.answers = [whole, lying]
    with pytest.raises(TokenizerError, match=r"vocab\.bpe is not the published file"):
        fetch("gpt2", note=notes.append)
    assert kept(tmp_path) == []


def test_without_a_network_the_other_way_is_named(server: Server, notes: list[str], monkeypatch: pytest.MonkeyPatch):
    encoder, merges = published.PUBLISHED["gpt2"]
    nobody = PublishedFile("http://127.0.0.1:9/encoder.json", encoder.size_bytes, encoder.sha256)
    monkeypatch.setattr(published, "PUBLISHED", {"gpt2": (nobody, merges)})
    with pytest.raises(
        TokenizerError, match=r"cannot fetch http://127.0.0.1:9/encoder\.json: .*refused; .*--from FOLDER"
    ):
        fetch("gpt2", note=notes.append)


def test_a_folder_serves_where_there_is_no_network(server: Server, folder: Path, notes: list[str]):
    fetch("gpt2", source=folder, note=notes.append)
    assert load_published("gpt2").fingerprint == TOKENIZER.fingerprint
    assert server.paths == []


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot read '.*vocab.bpe': No such file or directory"),
        (b"", "vocab.bpe has 0 bytes, the published file has"),
        (MERGES[:-1] + b" ", "vocab.bpe is not the published file: its SHA-256 is"),
        (MERGES * 2, "vocab.bpe has more than [0-9]+ bytes, more than it should"),
    ],
)
def test_a_folder_with_other_files_is_refused(
    folder: Path, tmp_path: Path, notes: list[str], content: bytes | None, complaint: str
):
    (folder / "vocab.bpe").unlink()
    if content is not None:
        (folder / "vocab.bpe").write_bytes(content)
    with pytest.raises(TokenizerError, match=complaint + ".*--from FOLDER` takes encoder.json and vocab.bpe"):
        fetch("gpt2", source=folder, note=notes.append)
    assert kept(tmp_path) == []


def test_a_file_is_no_folder(folder: Path, notes: list[str]):
    with pytest.raises(TokenizerError, match=r"Not a directory; .*--from FOLDER"):
        fetch("gpt2", source=folder / "vocab.bpe", note=notes.append)


def test_a_name_that_was_not_fetched_says_how(tmp_path: Path):
    for name, file in (("gpt2", "vocab.bpe"), ("gpt1", "vocab_40000.bpe")):
        with pytest.raises(TokenizerError, match=rf"`gpt tokenizer fetch {name}` brings it; .*--from FOLDER.*{file}"):
            load_tokenizer(name)


@pytest.mark.parametrize(("name", "remedy"), [("gpt-2", "did you mean gpt2?"), ("bert", "known: gpt1, gpt2")])
def test_an_unknown_name_is_refused_with_the_nearest(name: str, remedy: str, notes: list[str]):
    with pytest.raises(ConfigError, match=re.escape(f"no vocabulary is published as '{name}'; {remedy}")):
        fetch(name, note=notes.append)


def test_a_cache_that_cannot_be_written_is_named(
    folder: Path, tmp_path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GPTRILOGY_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        TokenizerError, match=r"cannot keep the vocabulary in .*file/cache.*Not a directory; set GPTRILOGY_"
    ):
        fetch("gpt2", source=folder, note=notes.append)


def test_another_process_that_was_quicker_is_as_good(folder: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch):
    @contextmanager
    def lost_race(target: Path) -> Generator[Path]:
        target.mkdir(parents=True)
        for name, content in CONTENT.items():
            (target / name).write_bytes(content)
        yield target
        raise OSError(39, "Directory not empty")

    monkeypatch.setattr(published, "replacing_folder", lost_race)
    assert load_tokenizer(fetch("gpt2", source=folder, note=notes.append)).fingerprint == TOKENIZER.fingerprint


def test_the_cache_is_where_the_user_says_else_where_caches_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GPTRILOGY_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
    monkeypatch.setenv("HOME", "/home/ada")
    assert cache_folder("gpt2") == Path("/own/tokenizers/gpt2")
    monkeypatch.setenv("GPTRILOGY_CACHE", "")
    assert cache_folder("gpt2") == Path("/shared/gptrilogy/tokenizers/gpt2")
    for ignored in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache_folder("gpt2") == Path("/home/ada/.cache/gptrilogy/tokenizers/gpt2")


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch: pytest.MonkeyPatch):
    def nobody(_: int) -> None:
        raise KeyError

    for name in ("GPTRILOGY_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(TokenizerError, match="no home folder to keep files in; set GPTRILOGY_CACHE"):
        load_tokenizer("gpt2")


def test_the_pinned_files_are_the_published_ones(
    shared_data: Callable[[str], Path], notes: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(published, "PUBLISHED", PUBLISHED)
    for name in PUBLISHED:
        folder = fetch(name, source=shared_data(f"vocab/{name}"), note=notes.append)
        assert sorted(path.name for path in folder.iterdir()) == sorted(file.name for file in PUBLISHED[name])
    assert [file.url.partition("://")[0] for files in PUBLISHED.values() for file in files] == ["https"] * 4


def test_gpt2_by_name_has_the_ids_of_gpt2(
    shared_data: Callable[[str], Path], notes: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(published, "PUBLISHED", PUBLISHED)
    fetch("gpt2", source=shared_data("vocab/gpt2"), note=notes.append)
    tokenizer = load_tokenizer("gpt2")
    assert (tokenizer.n_vocab, tokenizer.encode("Hello world")) == (50_257, [15496, 995])
