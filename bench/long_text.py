"""How much memory one text file takes that is far larger than memory need be: learning a vocabulary, and packing.

    python -m bench.long_text --data TEXTS --size-mb 2000 --record records/DATE-long-text

TEXTS holds prose.txt, python.txt and chinese.txt, about 8 MB each, of which one file is made. Each step is a process of
its own: the peak is that of the whole process, PyTorch included. Needs no torch itself.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.record import Log, facts, write_record
from bench.report import table
from bench.tokenizing_text import text_files, texts

COMMAND = "python -m bench.long_text --data TEXTS --size-mb 2000 --record DIR"
N_VOCAB = 32_000
PACK = """\
import sys
from pathlib import Path
from gptrilogy.corpus.sources import stream_documents
from gptrilogy.data.shards import pack
from gptrilogy.data.split import plan_split
from gptrilogy.tokenizers import load_tokenizer
text, tokenizer, folder = sys.argv[1:]
split = plan_split(stream_documents([text]), seed=0)
pack(stream_documents([text]), load_tokenizer(tokenizer), Path(folder), split=split)
"""
TEXT = """\
One text file, made as `bench/tokenizing_text.py` says, through `gpt tokenizer train --vocab-size 32000` and through the
two passes of packing: what is held out, then the ids with that vocabulary."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size-mb", type=int, default=2000)
    parser.add_argument("--text", type=Path, help="take this file instead of making one")
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    log = Log()
    log.say_load()
    with TemporaryDirectory() as folder:
        here = Path(folder)
        text: Path = options.text or _made(here / "text.txt", options.data, options.size_mb * 1_000_000)
        train = ["-m", "gptrilogy", "tokenizer", "train", str(text), "--vocab-size", str(N_VOCAB), "--out"]
        steps = {
            "learning 32,000 ids": [*train, str(here / "tokenizer")],
            "packing": ["-c", PACK, str(text), str(here / "tokenizer"), str(here / "packed")],
        }
        rows = [(name, *_run(command)) for name, command in steps.items()]
        size_mb = text.stat().st_size / 1e6
    cells = [[name, f"{size_mb:,.0f}", f"{seconds:.1f}", f"{peak:,.0f}"] for name, seconds, peak in rows]
    shown = TEXT + "\n\n" + table(["step", "text MB", "s", "peak MB"], cells)
    log.say(shown)
    if options.record:
        numbers = [{"step": name, "text_mb": size_mb, "seconds": s, "peak_mb": peak} for name, s, peak in rows]
        write_record(options.record, "One long text", shown, facts(COMMAND, 1), {"steps": numbers}, log.lines)


def _made(path: Path, data: Path, size_bytes: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(texts(text_files(data), size_bytes))
    return path


def _run(arguments: Sequence[str]) -> tuple[float, float]:
    """The seconds of a process, and its peak in MB."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments} ended with code {process.returncode}")
    return time.monotonic() - began, usage.ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
