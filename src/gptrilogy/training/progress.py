"""What a person sees of a run, on stderr: one line that renews itself on a terminal, a line now and then elsewhere."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from gptrilogy.metrics import Row

QUIET_S = 10.0  # between progress lines where the stream is not a terminal
LIVELY_S = 0.2
SHOWN_HEX = 16  # digits of a hash, enough to compare two runs by eye


class ConsoleReporter:
    """Notes, warnings, samples and progress; `loop.Reporter` for people.

    The time left is worked out anew from the last steps, so a machine that becomes busy shows at once.
    """

    def __init__(self, *, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.max_steps = 0
        self.flops_per_token = 0
        self.ceiling_flops = 0.0
        self._lively = self.stream.isatty() and not os.environ.get("NO_COLOR")
        self._shown_at = 0.0
        self._line_open = False
        self._pace: _Pace | None = None

    def expect(self, *, max_steps: int, flops_per_token: int = 0, ceiling_flops: float = 0.0) -> None:
        """What the run is measured against: its length, and where it is known the machine's matrix ceiling."""
        self.max_steps, self.flops_per_token, self.ceiling_flops = max_steps, flops_per_token, ceiling_flops

    def note(self, message: str) -> None:
        self._print(message)

    def warn(self, message: str) -> None:
        self._print(f"warning: {message}")

    def picture(self, path: Path, draw: Callable[[], bool]) -> None:
        """Draw the learning curve, or say why there is none: no run fails for want of a picture."""
        try:
            drawn = draw()
        except OSError as error:
            self.note(f"no {path.name}: {error}")
            return
        if drawn:
            self.note(f"the learning curve is in {path}")
        else:
            self.note(f"no {path.name}: matplotlib is missing; pip install 'gptrilogy[plot]' brings it")

    def passing(self, message: str) -> None:
        """A note that the next one replaces on a terminal, and that other streams see now and then."""
        now = time.monotonic()
        if now - self._shown_at >= (LIVELY_S if self._lively else QUIET_S):
            self._shown_at = now
            self._show(message)

    def within_step(self, step: int, done: int, batch_size: int) -> None:
        self.passing(f"step {step:,}/{self.max_steps:,}: {done} of {batch_size} sequences")

    def sample(self, step: int, text: str) -> None:
        body = "\n".join(f"  | {line}" for line in text.splitlines())
        self._print(f"what the model writes after step {step:,}:\n{body}")

    def row(self, row: Row) -> None:
        match row["event"]:
            case "train":
                self._pace = self._pace or _Pace(row)
                self._pace.update(row)
                self.passing(self._progress(row))
            case "valid":
                self._print(f"step {row['step']:,}: {_judgement(row)}, after {duration(row['elapsed_s'])}")
            case "end":
                state = f"; state {row['state_sha256'][:SHOWN_HEX]}" if "state_sha256" in row else ""
                self._print(f"done after {duration(row['elapsed_s'])}: {_judgement(row)}{state}")
                if seen := _seen(row):
                    self._print(f"read in training: {seen}")
            case "resume":
                unit = _unit(row)
                self._print(f"continuing after step {row['step']:,} ({row[unit]:,} {unit})")
            case _:
                pass

    def _progress(self, row: Row) -> str:
        assert self._pace is not None
        rate, unit = self._pace.rate, self._pace.unit
        parts = [f"step {row['step']:,}/{self.max_steps:,}"]
        parts.append("loss not finite" if row.get("skipped") else f"loss {row['loss_nats']:.3f}")
        parts.append(f"{rate:,.0f} {unit}/s")
        if self.ceiling_flops:
            share = rate * self.flops_per_token / self.ceiling_flops
            parts.append(f"{share:.0%} of {self.ceiling_flops / 1e9:,.0f} GFLOP/s")
        if self._pace.is_known:
            parts.append(f"{duration((self.max_steps - row['step']) * self._pace.step_s)} left")
        return "  ".join(parts)

    def _print(self, message: str) -> None:
        self._clear()
        self._write(f"{message}\n")

    def _show(self, message: str) -> None:
        if not self._lively:
            self._write(f"{message}\n")
            return
        self._clear()
        self._write(message)
        self._line_open = True

    def _clear(self) -> None:
        if self._line_open:
            self._write("\r\x1b[2K")
            self._line_open = False

    def _write(self, text: str) -> None:
        """A closed terminal, a reader that has left or a full disk behind the stream does not end a run."""
        with suppress(OSError):
            self.stream.write(text)
            self.stream.flush()


def _judgement(row: Row) -> str:
    if row["loss_nats"] is None:
        return "the held-out loss is not finite"
    if "bits_per_byte" in row:
        nats = f"{row['loss_nats']:.4f} nats a token"
        if "valid_loss_by_set" in row:
            losses = row["valid_loss_by_set"].items()
            nats += ": " + ", ".join(f"{name} {'-' if loss is None else f'{loss:.4f}'}" for name, loss in losses)
        return f"{row['bits_per_byte']:.4f} bits a byte on held-out text ({nats})"
    scores = [
        f"{name} {x:.4f}" for name, x in row.items() if isinstance(x, float) and not name.endswith(("_nats", "_s"))
    ]
    return f"{', '.join(scores)} on validation examples (loss {row['loss_nats']:.4f})"


def _seen(row: Row) -> str:
    """How much of the text a run has read; of fine-tuning nothing.

    >>> _seen({"tokens": 1500, "epochs": 2.5})
    '1,500 tokens, 2.50 times the text'
    >>> _seen({"tokens": 1500, "tokens_by_set": {"web": 1000, "books": 500}, "epochs_by_set": {"web": 0.1, "books": 5}})
    '1,500 tokens: web 0.10 times (1,000), books 5.00 times (500)'
    """
    if "epochs_by_set" in row:
        sets = ((name, times, row["tokens_by_set"][name]) for name, times in row["epochs_by_set"].items())
        return f"{row['tokens']:,} tokens: " + ", ".join(f"{name} {x:.2f} times ({n:,})" for name, x, n in sets)
    return f"{row['tokens']:,} tokens, {row['epochs']:.2f} times the text" if "epochs" in row else ""


def _unit(row: Row) -> str:
    """What a run counts: tokens, or the examples of fine-tuning."""
    return "tokens" if "tokens" in row else "examples"


class _Pace:
    """Wall-clock seconds of a step, what lies between steps included, over about the last fifty."""

    MEMORY = 50
    ENOUGH = 3

    def __init__(self, row: Row) -> None:
        self.step_s = 0.0
        self.unit = _unit(row)
        self.rate = float(row[f"{self.unit}_per_s"])
        self._count = 0
        self._last = row

    @property
    def is_known(self) -> bool:
        return self._count >= self.ENOUGH

    def update(self, row: Row) -> None:
        steps = row["step"] - self._last["step"]
        if steps > 0:
            self._count = min(self._count + 1, self.MEMORY)
            step_s = (row["elapsed_s"] - self._last["elapsed_s"]) / steps
            self.step_s += (step_s - self.step_s) / self._count
            self.rate += (row[f"{self.unit}_per_s"] - self.rate) / self._count
        self._last = row


def duration(seconds: float) -> str:
    """A length of time as a person says it.

    >>> [duration(s) for s in (4.2, 75, 4000, 200_000, 1e10)]
    ['4 s', '1 min 15 s', '1 h 06 min', '2 d 7 h', '316.9 years']
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    days, hours = whole // 86_400, whole % 86_400 // 3600
    return f"{days} d {hours} h" if days < 1000 else f"{days / 365.25:,.1f} years"
