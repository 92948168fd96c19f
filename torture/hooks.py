"""Changes that a warm child makes to itself before its command begins: faults that no system call can bring."""

import hashlib
import importlib
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from gptrilogy.data.loader import Loader
from gptrilogy.training import loop


def signal_at(place: str, nth: int, number: int, noted: str) -> None:
    """Get a signal at the nth call of a function, such as `gptrilogy.models.gpt:GPT.token_nats`.

    The file `noted` is made just before: without it there were fewer calls.
    """
    calls = 0

    def before() -> None:
        nonlocal calls
        calls += 1
        if calls == nth:
            Path(noted).touch()
            signal.raise_signal(number)

    _before_each(place, before)


def note_batches(path: str) -> None:
    """Write the hash of every batch of training text into a file, in the order they are read."""
    batch = Loader.batch

    def noted(self: Loader, first_sample: int, batch_size: int) -> Tensor:
        ids = batch(self, first_sample, batch_size)
        with Path(path).open("a", encoding="ascii") as file:
            file.write(hashlib.sha256(ids.numpy().tobytes()).hexdigest() + "\n")
        return ids

    Loader.batch = noted


def spoil(how: str, steps: list[int]) -> None:
    """Make the loss or the gradient of some steps infinite or no number."""
    update = loop.update

    def updated(state: Any, rate: float, loss_nats: float, grad_clip: float) -> tuple[bool, float]:
        if state.step + 1 in steps:
            if how == "loss":
                loss_nats = math.nan
            else:
                next(weight.grad for weight in state.model.parameters() if weight.grad is not None).mul_(math.inf)
        return update(state, rate, loss_nats, grad_clip)

    loop.update = updated


def _before_each(place: str, act: Callable[[], None]) -> None:
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for one in owners:
        owner = getattr(owner, one)
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        act()
        return original(*arguments, **options)

    setattr(owner, name, wrapped)
