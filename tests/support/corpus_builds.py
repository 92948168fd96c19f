"""What the tests of building a corpus look at."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from gptrilogy.corpus.build.config import CorpusConfig

LEAKED = "a quotation of thirteen words and a few more that stands in one of the tests as well"
TESTS = [("quotes", LEAKED)]


def site(number: int) -> str:
    return f"https://site{number}.example/page"


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """All rows of a folder's Parquet files, in order."""
    return [row for path in sorted(folder.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a finished corpus but the log of its making."""
    left_out = {"build.jsonl", ".lock"}
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name not in left_out)
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


SCRIPT = """
import json, sys
from pathlib import Path
from gptrilogy.config import parse
from gptrilogy.corpus.build.build import build_corpus
from gptrilogy.corpus.build.config import CorpusConfig
if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    build_corpus(parse(CorpusConfig, asked["config"]), Path(asked["out"]), tests=asked["tests"], engine=asked["engine"],
                 workers=2, on_note=lambda note: print(note, flush=True),
                 on_progress=lambda progress: print(progress.step, progress.done, progress.total, flush=True))
"""


def build_command(config: CorpusConfig, out: Path, *, engine: str | None) -> list[str]:
    """A build in a process of its own, which says on stdout where it is."""
    asked = {"config": config.model_dump(mode="json"), "out": str(out), "tests": TESTS, "engine": engine}
    return [sys.executable, "-c", SCRIPT, json.dumps(asked)]


def build_apart(config: CorpusConfig, out: Path, *, engine: str | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(build_command(config, out, engine=engine), capture_output=True, text=True, check=False)
