"""A record's folder: a page for people, every raw number, the log. Needs no torch."""

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.report import environment
from gptrilogy.devices import memory_bytes
from gptrilogy.files import write_atomic, write_json


class Log:
    """Progress lines, to stderr at once and kept for the record."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)
        print(line, file=sys.stderr, flush=True)

    def say_load(self) -> None:
        self.say(f"load average before: {os.getloadavg()[0]:.2f}; other work on this machine blurs every figure")


def facts(command: str, n: int) -> dict[str, Any]:
    """What a figure depends on, in general words."""
    return {"command": command, "date": f"{datetime.now(UTC):%Y-%m-%d}", "n": n, **environment()}


def write_record(
    folder: Path, title: str, text: str, known: Mapping[str, Any], numbers: Mapping[str, Any], log: Sequence[str]
) -> None:
    """Write README.md, results.json and log.txt; each is whole or absent."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(f"- {name}: {value}" for name, value in known.items())
    write_atomic(folder / "README.md", f"# {title}\n\n{text}\n\n{lines}\n".encode())
    write_json(folder / "results.json", {**known, **numbers})
    write_atomic(folder / "log.txt", "\n".join([*log, text, ""]).encode())


def available_bytes() -> int:
    """Memory that a process could have now; all there is, where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return memory_bytes()
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), memory_bytes())
    return min(free, memory_bytes())
