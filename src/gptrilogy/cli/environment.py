"""What has changed around a run since it began: the machine, the software, the files its text came from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gptrilogy.metrics import Row
from gptrilogy.runs import Run
from gptrilogy.training.source_files import changed_sources, named

DECISIVE = ("cpu", "torch", "threads", "gpu", "kernels")  # another one rounds otherwise
DOUBTFUL = ("gptrilogy", "python")  # another one may


@dataclass(frozen=True, slots=True)
class Changes:
    """Differences in words: those after which bits differ, and those after which they may."""

    decisive: tuple[str, ...]
    doubtful: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join((*self.decisive, *self.doubtful))

    def __bool__(self) -> bool:
        return bool(self.decisive or self.doubtful)


def environment() -> Row:
    """The facts on which the bits of a training run depend: the machine, the software, and who does the arithmetic."""
    from gptrilogy.devices import describe
    from gptrilogy.models.kernels import kind

    return {**describe(), "kernels": kind()}


def restore_environment(run: Run) -> Changes:
    """Take the thread count the run began with; -> where its bits may differ from those of here and now."""
    import torch

    stored = run.environment()
    torch.set_num_threads(int(stored["threads"]))
    return changes(stored, environment())


def changes(stored: Mapping[str, Any], now: Mapping[str, Any]) -> Changes:
    """Compare two environments in all that both of them state: earlier versions stated less.

    >>> str(changes({"torch": "2.12.0", "code": "3f"}, {"torch": "2.13.0", "code": "9b", "python": "3.12.1"}))
    'torch was 2.12.0, is 2.13.0; the code has changed since'
    """
    code = ["the code has changed since"] if stored.get("code", now.get("code")) != now.get("code") else []
    return Changes(_differences(DECISIVE, stored, now), (*_differences(DOUBTFUL, stored, now), *code))


def source_warning(run: Run) -> str | None:
    """That the text of the run is no longer what its sources hold, if it is so."""
    found = changed_sources(run.data_folder)
    if not found:
        return None
    return f"{named(found)} since the text was packed; the run goes on with the text it packed"


def _differences(keys: tuple[str, ...], stored: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    both = [key for key in keys if key in stored and key in now]
    return tuple(f"{key} was {stored[key]}, is {now[key]}" for key in both if stored[key] != now[key])
