"""A table that reads as it is, and what a figure depends on. Needs no torch."""

import os
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from gptrilogy.devices import cpu_model, memory_bytes


def environment() -> dict[str, Any]:
    """Hardware and versions, in general words."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "memory": f"{memory_bytes() / 2**30:.0f} GiB",
        "torch": version("torch"),
        "transformers": version("transformers"),
    }


def table(heading: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown that also reads as it is."""
    widths = [max(len(cell) for cell in column) for column in zip(heading, *lines, strict=True)]
    cells = [heading, ["-" * width for width in widths], *lines]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in cells
    )
