"""A person at a terminal: lines read with editing and history, and text that cannot give the terminal orders."""

import io
import os
import signal
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from types import FrameType

from rich.console import Console, RenderableType
from rich.text import Text

from gptrilogy.corpus.card.printable import visible

PROMPT = "> "
CONTINUED = ". "  # after a line that ends in a backslash


class Stopped:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self._pressed = False

    def press(self, _number: int, _frame: FrameType | None) -> None:
        """Raises: KeyboardInterrupt the second time, for work that does not look."""
        if self._pressed:
            raise KeyboardInterrupt
        self._pressed = True

    def __bool__(self) -> bool:
        return self._pressed


class Terminal:
    """What a dialogue reads from and writes to. Without colour where NO_COLOR is set."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """`names` are words that Tab completes at the beginning of a line."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal may not know every character a model writes
        plain = bool(os.environ.get("NO_COLOR"))
        self._console = Console(highlight=False, color_system=None if plain else "auto")
        with suppress(ImportError):
            _edit_lines(sorted(names))

    def read(self) -> str:
        """A line; of several, where all but the last end in a backslash, or where they were pasted as one.

        Raises: EOFError after Ctrl-D, KeyboardInterrupt after Ctrl-C.
        """
        line = input(PROMPT)
        while line.endswith("\\"):
            line = f"{line[:-1]}\n{input(CONTINUED)}"
        return line

    def write(self, text: str) -> None:
        """Text as it comes."""
        sys.stdout.write(visible(text))
        sys.stdout.flush()

    def strong(self, text: str) -> None:
        self._console.print(Text(visible(text), style="bold"), end="", soft_wrap=True)

    def aside(self, line: str) -> None:
        """A line about the text, not of it."""
        self._console.print(Text(visible(line), style="dim"), soft_wrap=True)

    def show(self, what: RenderableType) -> None:
        self._console.print(what)


@contextmanager
def stoppable() -> Generator[Stopped]:
    """Ctrl-C inside this block asks for an end instead of forcing it."""
    stopped = Stopped()
    before = signal.signal(signal.SIGINT, stopped.press)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def _edit_lines(names: list[str]) -> None:
    """Give `input` editing, history and completion.

    Raises: ImportError where Python was built without readline.
    """
    import readline

    def complete(typed: str, state: int) -> str | None:
        found = [f"{name} " for name in names if name.startswith(typed)]
        return found[state] if typed and state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")
