"""`python -m bench`: training speed and memory beside its peers, and start-up time.

The table goes to stdout, progress to stderr.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.cases import CASES
from bench.measure import measure
from bench.report import Report
from bench.startup import measure_start_up

Part = Literal["0.8M", "10.7M", "124M", "start-up"]

app = App(name="bench", help_format="plaintext", version_flags=[])


@app.default
def bench(
    *,
    repeats: Annotated[int, Parameter(validator=Number(gte=1))] = 5,
    only: Annotated[tuple[Part, ...], Parameter(negative="")] = (),
    record: Path | None = None,
) -> None:
    """Measure training speed and memory beside what people would use instead, and start-up time.

    Args:
        repeats: samples of each contender; fewer than five are for trying out.
        only: measure these parts alone; may be given more than once.
        record: write README.md, results.json and log.txt into this folder.
    """
    log: list[str] = []

    def say(line: str) -> None:
        log.append(line)
        print(line, file=sys.stderr, flush=True)

    say(f"load average before: {os.getloadavg()[0]:.2f}; other work on this machine blurs every figure")
    options = [f"--repeats {repeats}", *(f"--only {name}" for name in only), *(["--record DIR"] if record else [])]
    report = Report(f"python -m bench {' '.join(options)}", repeats)
    for case in CASES:
        if not only or case.name in only:
            report.training.append(measure(case, repeats, say))
    if not only or "start-up" in only:
        report.start_up = measure_start_up(repeats, say)
    print(f"{report.tables()}\n\n{report.verdict()}, n = {repeats}")
    if record:
        report.save(record, log)


if __name__ == "__main__":
    app()
