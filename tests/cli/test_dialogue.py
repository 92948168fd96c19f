"""`gpt generate` on a terminal: a person begins, the model continues."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpt_command import Gpt
from gptrilogy import load
from gptrilogy.cli.launch_dialogue import COMMANDS, answer, converse, spelt
from gptrilogy.cli.launch_writing import Settings, Writer
from gptrilogy.cli.terminal import Terminal
from gptrilogy.corpus.card.printable import visible
from gptrilogy.generation.config import Sampling
from typist import Typist

SOME = 12
STYLES = re.compile(r"\x1b\[[0-9;]*m")


class Script(Terminal):
    """A terminal at which lines are read from a list, and then Ctrl-D."""

    def __init__(self, *lines: str) -> None:
        super().__init__()
        self._lines: Iterator[str] = iter(lines)

    def read(self) -> str:
        try:
            return next(self._lines)
        except StopIteration:
            raise EOFError from None


@pytest.fixture
def writer(trained: Path) -> Writer:
    return Writer(load(trained), Settings(max_tokens=SOME), ["gpt", "generate", str(trained)], Script())


def shown(writer: Writer, capsys: pytest.CaptureFixture[str], *lines: str) -> str:
    """What appears after these lines."""
    capsys.readouterr()
    for line in lines:
        answer(writer, line)
    return capsys.readouterr().out


def test_a_continuation_is_the_text_that_the_command_gives(
    gpt: Gpt, trained: Path, writer: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    said = shown(writer, capsys, "It was the")
    [once] = gpt("generate", trained, "--prompt", "It was the", "--max-tokens", SOME, "--json").json()["completions"]
    assert writer.latest().ids == once["ids"]
    assert once["text"].removesuffix("\ufffd") == writer.latest().text.removesuffix("\ufffd")
    assert f"It was the{visible(writer.latest().text)}\n{SOME} tokens" in said


def test_again_is_the_next_sample_and_after_a_change_the_first(
    gpt: Gpt, trained: Path, writer: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--prompt", "It was", "--max-tokens", SOME, "--n", 3, "--json"]
    samples = [found["ids"] for found in gpt("generate", trained, *words).json()["completions"]]
    for line, ids in zip(("It was", "/again", "/again"), samples, strict=True):
        shown(writer, capsys, line)
        assert writer.latest().ids == ids
    shown(writer, capsys, "/seed 5", "/again")
    assert (writer.latest().sample, writer.latest().settings.seed) == (0, 5)


def test_more_goes_on_as_if_the_limit_had_been_higher(
    gpt: Gpt, trained: Path, writer: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    shown(writer, capsys, "It was", "/more", "/max-tokens 3", "/more")
    words = ["--prompt", "It was", "--max-tokens", 2 * SOME + 3, "--json"]
    [once] = gpt("generate", trained, *words).json()["completions"]
    assert writer.latest().ids == once["ids"]


def test_more_after_a_change_takes_what_fits_the_context_as_its_prompt(
    writer: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    shown(writer, capsys, "It was", "/more")
    text = writer.latest().prompt + writer.latest().text
    said = shown(writer, capsys, "/temperature 0", "/more")
    assert "the last half of it goes on" in said
    assert text.endswith(writer.latest().prompt.lstrip("\ufffd"))


def test_the_command_gives_the_last_text_again(
    gpt: Gpt, trained: Path, writer: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["/temperature 0.7", "/top-k 9", "/top-p 0.95", "/seed 4"]
    shown(writer, capsys, *settings, "-It's\nwas", "/again", "/more")
    assert shown(writer, capsys, "/command").startswith(writer.command() + "\n")
    _, *words = shlex.split(writer.command())
    *_, last = gpt(*words, "--json").json()["completions"]
    assert last["ids"] == writer.latest().ids
    assert last["text"].startswith(writer.latest().text)


def test_settings_are_checked_and_kept_where_they_are_wrong(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ("/temperature -1", "/top-k 0", "/top-p 2", "/max-tokens none", "/seed x")
    for line in lines:
        field = line.split()[0][1:].replace("-", "_")
        assert field in shown(writer, capsys, line)
    assert writer.settings == Settings(max_tokens=SOME)
    shown(writer, capsys, "/temperature 0.5", "/top-k 3", "/top-k none")
    assert writer.settings.sampling == Sampling(temperature=0.5)


def test_the_likeliest_tokens_with_their_chances(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [line.split() for line in shown(writer, capsys, "/probs It was the").splitlines()[1:11]]
    chances = [float(next(word for word in row if word.endswith("%"))[:-1]) for row in rows]
    assert chances == sorted(chances, reverse=True)
    [greedy] = writer.model.complete(["It was the"], Sampling(temperature=0), max_tokens=1)
    [likeliest] = greedy.ids
    assert f"{spelt(writer, likeliest).strip()} " in shown(writer, capsys, "/probs It was the").splitlines()[1]
    assert shown(writer, capsys, "/temperature 0", "/probs It was the").count("100.00%") == 1


def test_how_a_text_is_cut_into_tokens(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(writer, capsys, "/tokens It was")
    assert said.splitlines()[0].replace("|", "") == "It was"
    shown(writer, capsys, "It was")
    assert f"{len(writer.model.prompt_ids('It was')) + SOME} tokens" in shown(writer, capsys, "/tokens")


def test_saving_writes_a_new_file_and_never_over_one(
    writer: Writer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a tale.txt"
    assert "no text yet" in shown(writer, capsys, f"/save {file}")
    shown(writer, capsys, "It was", f"/save {file}")
    assert file.read_text() == f"It was{writer.latest().text}\n"
    assert "not there yet" in shown(writer, capsys, f"/save {file}")
    assert "No such file" in shown(writer, capsys, f"/save {tmp_path / 'nowhere' / 'x'}")


def test_help_lists_every_command(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(writer, capsys, "/help")
    assert [line.split()[0] for line in said.splitlines() if line.startswith("/")] == list(COMMANDS)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("/tempertaure 1", "did you mean /temperature?"),
        ("/again", "no text yet"),
        ("long " * 200, "1 to 16 tokens"),
        ("caf\udce9", "lone surrogate"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    writer: Writer, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    [said] = shown(writer, capsys, line).splitlines()
    assert says in said


def test_two_slashes_begin_a_text_with_one(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    shown(writer, capsys, "//help")
    assert writer.latest().prompt == "/help"


def test_no_text_gives_the_terminal_orders(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(writer, capsys, "\x1b]0;title\x07\x1b[2J\u202e", "/tokens \x1b[2J", "/probs \x1b[2J")
    assert not {"\x1b", "\x07", "\u202e"} & set(said)


def test_quit_and_control_d_leave(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, command = load(trained), ["gpt", "generate", str(trained)]
    converse(Writer(model, Settings(max_tokens=3), command, Script("It was", "/quit", "never read")))
    assert "never read" not in capsys.readouterr().out
    converse(Writer(model, Settings(max_tokens=3), command, Script()))


@pytest.mark.slow
def test_at_a_real_terminal(trained: Path, tmp_path: Path) -> None:
    """Letters that arrive in halves, a window that changes, Ctrl-C while the model writes, a run that vanishes."""
    run = shutil.copytree(trained, tmp_path / "run")
    with Typist([sys.executable, "-m", "gptrilogy", "generate", str(run), "--max-tokens", "9"]) as typist:
        typist.until("max-tokens 9, seed 0")
        typist.until("> ")
        for byte in "né\\\n".encode():
            typist.type(bytes([byte]))
        typist.until(". ")
        typist.type("two\n")
        assert "né\ntwo" in STYLES.sub("", typist.until("9 tokens, "))
        typist.until("> ")
        typist.resize(10, 40)
        typist.type("/max-t\t1000000\n")  # Tab writes the rest of the name
        typist.until("max-tokens 1000000")
        typist.type("/temperature 0\n")  # of which this model's text has no end
        typist.until("> ")
        shutil.rmtree(run)
        typist.type("It was\n")
        typist.until("was\x1b[0m")
        typist.until("was was")  # the model is writing
        typist.type("\x03")
        typist.until("stopped; /more goes on")
        typist.until("> ")
        typist.type("/seed 3\n")
        typist.until("seed 3")
        typist.until("> ")
        typist.type("\x04")
        assert typist.leaves()[0] == 0


@pytest.mark.slow
def test_a_second_control_c_leaves_and_no_colour_is_no_colour(trained: Path) -> None:
    command = [sys.executable, "-m", "gptrilogy", "generate", str(trained)]
    with Typist(command, {"NO_COLOR": "1", "INPUTRC": os.devnull}) as typist:
        seen = typist.until("> ")
        typist.type("half a line")
        seen += typist.until("half a line")
        typist.interrupt()
        seen += typist.until("leaves")
        seen += typist.until("> ")
        typist.interrupt()
        code, last = typist.leaves()
        assert code == 130
        assert "gpt: stopped" in last
        assert "\x1b[2m" not in seen + last
