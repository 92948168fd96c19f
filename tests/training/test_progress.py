import io
import itertools
import re
from pathlib import Path

import pytest

from gptrilogy.metrics import Row
from gptrilogy.training import progress
from gptrilogy.training.progress import ConsoleReporter, duration

CLEAR = "\r\x1b[2K"
VALID: Row = {"event": "valid", "step": 4, "tokens": 400, "loss_nats": 3.0, "bits_per_byte": 2.0, "elapsed_s": 8.0}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is a second further at each look."""
    seconds = itertools.count(1000)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    monkeypatch.delenv("NO_COLOR", raising=False)


def train_row(step: int, **changes: object) -> Row:
    row: Row = {"event": "train", "step": step, "tokens": 100 * step, "loss_nats": 4.5, "lr": 1e-3, "grad_norm": 1.0}
    return {**row, "tokens_per_s": 50.0, "elapsed_s": 2.0 * step, **changes}


def reporter(stream: io.StringIO, *, ceiling_flops: float = 0) -> ConsoleReporter:
    console = ConsoleReporter(stream=stream)
    console.expect(max_steps=1000, flops_per_token=10**9, ceiling_flops=ceiling_flops)
    return console


def test_a_stream_that_is_no_terminal_sees_whole_lines_now_and_then() -> None:
    stream = io.StringIO()
    console = reporter(stream)
    for step in range(1, 41):
        console.row(train_row(step))
    console.row(VALID)
    console.warn("careful")
    console.sample(4, "once\nupon")
    lines = stream.getvalue().splitlines()
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()
    assert [line.split("  ")[0] for line in lines[:4]] == [f"step {step}/1,000" for step in (1, 11, 21, 31)]
    assert lines[4:] == [
        "step 4: 2.0000 bits a byte on held-out text (3.0000 nats a token), after 8 s",
        "warning: careful",
        "what the model writes after step 4:",
        "  | once",
        "  | upon",
    ]


def test_the_losses_of_a_mixture_are_shown_by_set() -> None:
    stream = io.StringIO()
    reporter(stream).row({**VALID, "valid_loss_by_set": {"web": 3.25, "books": None}})
    said = "step 4: 2.0000 bits a byte on held-out text (3.0000 nats a token: web 3.2500, books -), after 8 s"
    assert stream.getvalue().splitlines() == [said]


def test_a_terminal_sees_one_line_that_renews_itself() -> None:
    stream = Terminal()
    console = reporter(stream, ceiling_flops=1e12)
    for step in range(1, 6):
        console.row(train_row(step))
    assert "\n" not in stream.getvalue()
    shown = stream.getvalue().split(CLEAR)
    assert len(shown) == 5
    assert shown[-1] == "step 5/1,000  loss 4.500  50 tokens/s  5% of 1,000 GFLOP/s  33 min 10 s left"
    console.warn("careful")
    console.note("done")
    assert stream.getvalue().endswith(f"{shown[-1]}{CLEAR}warning: careful\ndone\n")


def test_no_color_means_no_animation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    console = reporter(stream)
    for step in range(1, 41):
        console.row(train_row(step))
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 4


def test_the_time_left_follows_the_pace_of_the_last_steps() -> None:
    stream = Terminal()
    console = reporter(stream)
    elapsed = 0.0
    for step in range(1, 500):
        elapsed += 1 if step < 200 else 3  # the machine becomes busy
        console.row(train_row(step, elapsed_s=elapsed))
        shown = stream.getvalue().rpartition(CLEAR)[2]
        if step <= 3:
            assert "left" not in shown
        elif step == 199:
            assert shown.endswith("  13 min 21 s left")
        elif step == 499:
            assert "  25 min 0" in shown


def test_a_step_that_was_skipped_and_a_run_that_continues_are_said() -> None:
    stream = io.StringIO()
    console = reporter(stream)
    console.row({"event": "resume", "step": 1234, "tokens": 123_400, "elapsed_s": 1.0})
    console.row(train_row(1235, loss_nats=float("nan"), skipped=True))
    console.row({"event": "checkpoint", "step": 1235, "tokens": 1, "elapsed_s": 1.0, "path": "x"})
    console.row({"event": "end", "step": 1235, "tokens": 1, "loss_nats": None, "bits_per_byte": None, "elapsed_s": 1.0})
    continued, step, end = stream.getvalue().splitlines()
    assert continued == "continuing after step 1,234 (123,400 tokens)"
    assert "loss not finite" in step
    assert end == "done after 1 s: the held-out loss is not finite"


def test_a_long_step_shows_how_far_it_is() -> None:
    stream = Terminal()
    reporter(stream).within_step(7, 16, 64)
    assert stream.getvalue() == "step 7/1,000: 16 of 64 sequences"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d 0 h"),
        (86_400 * 999, "999 d 0 h"),
        (86_400 * 1000, "2.7 years"),
    ],
)
def test_a_duration_reads_as_a_person_says_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words
    assert re.fullmatch(r"[\d.,]+ (s|min|h|d|years)( \d+ (s|min|h))?", words)


def test_a_picture_that_cannot_be_drawn_is_a_note(tmp_path: Path) -> None:
    def nowhere() -> bool:
        raise OSError("there is no folder that can be written")

    stream = io.StringIO()
    for draw in (lambda: True, lambda: False, nowhere):
        reporter(stream).picture(tmp_path / "loss.png", draw)
    drawn, missing, refused = stream.getvalue().splitlines()
    assert drawn == f"the learning curve is in {tmp_path / 'loss.png'}"
    assert missing.startswith("no loss.png: matplotlib is missing; pip install ")
    assert refused == "no loss.png: there is no folder that can be written"
