"""Stop strings over text that arrives in pieces: what might be the start of one is held back."""

from collections.abc import Sequence


class StopStrings:
    r"""Cuts a text before the stop string that is the first to be complete, wherever the pieces happen to break.

    >>> stop = StopStrings(["\n\n", "END"])
    >>> [stop.push(piece) for piece in ("one\n", "two E", "ND three")]
    ['one', '\ntwo ', '']
    >>> stop.found
    True
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = [stop for stop in stops if stop]
        self.found = False
        self._held = ""

    def push(self, piece: str) -> str:
        """The text that is now certain to come before any stop string."""
        if self.found:
            return ""
        text = self._held + piece
        places = [(place + len(stop), place) for stop in self.stops if (place := text.find(stop)) >= 0]
        if places:
            self.found, self._held = True, ""
            _, start = min(places)
            return text[:start]
        keep = max((_overlap(text, stop) for stop in self.stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def whole(self, text: str) -> str:
        """A text that is all there, up to the stop string that is the first to be complete."""
        return self.push(text) + self.finish()

    def finish(self) -> str:
        """What was held back, once no more text can come."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` could begin `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if stop.startswith(text[-size:])), 0)
