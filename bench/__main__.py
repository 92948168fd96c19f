"""`python -m bench`: ours beside its peers, every target in one table.

The tables go to stdout, progress to stderr. This process loads no torch: Linux would count it in the others' peaks.
"""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.parts import PARTS, data_folder
from bench.record import Log, facts
from bench.whole import Whole, run
from gptrilogy.errors import GPTrilogyError

Name = Literal["0.8M", "10.7M", "124M", "shakespeare", "generation", "few-shot", "encoding", "bpe-training", "start-up"]
PEERS = ("lm-eval", "llama-cpp-python", "ctranslate2", "tiktoken", "tokenizers", "fastokens")

app = App(name="bench", help_format="plaintext", version_flags=[])


@app.default
def bench(
    *,
    data: Path | None = None,
    only: Annotated[tuple[Name, ...], Parameter(negative="")] = (),
    repeats: Annotated[int, Parameter(validator=Number(gte=1))] = 5,
    record: Path | None = None,
) -> None:
    """Measure ours beside its peers, part by part, and print every target in one table.

    All parts together take about half an hour on two cores.

    Args:
        data: the folder of real texts; by default the one that GPTRILOGY_DATA names, or ../shared/data.
        only: measure these parts alone; may be given more than once.
        repeats: samples of each contender; fewer than five are for trying out.
        record: write README.md, results.json and log.txt into this folder, after each part. Parts that it
            holds already are not measured again.
    """
    options = [f"--repeats {repeats}", *(f"--only {name}" for name in only), *(["--record DIR"] if record else [])]
    known = facts(f"python -m bench --data DIR {' '.join(options)}", repeats)
    whole = Whole.of(known | {name: _version(name) for name in PEERS}, record)
    parts = [part for part in PARTS if not only or part.name in only]
    log = Log()
    minutes = sum(part.minutes for part in parts if part.name not in whole.measured)
    log.say(f"with five samples this takes about {minutes:.0f} minutes")
    code = run(parts, data_folder(data), repeats, whole, log)
    print(whole.page())
    sys.exit(code)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    try:
        app()
    except GPTrilogyError as error:
        sys.exit(str(error))
