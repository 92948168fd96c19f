"""Ctrl-C and SIGTERM as a polite request: finish or drop the step at hand, save, then leave."""

import os
import signal
from types import FrameType, TracebackType
from typing import Any, Self


class StopRequest:
    """While active, the first signal only sets `number`; a second one ends the process at once.

    Raises: ValueError from `__enter__` outside the main thread, where Python delivers no signals.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.number: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def __bool__(self) -> bool:
        return self.number is not None

    @property
    def name(self) -> str:
        return "nothing" if self.number is None else signal.Signals(self.number).name

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that such a signal ended: 130 or 143."""
        return 0 if self.number is None else 128 + self.number

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.number is not None:
            os._exit(128 + number)
        self.number = number
