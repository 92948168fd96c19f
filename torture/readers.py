"""Rows 1 and 3 from the other side: who reads a run while it is trained sees whole checkpoints only."""

import time

from torture import commands
from torture.subject import FLAGS, Subject
from torture.tally import Tally

READER = """
import sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from gptrilogy.loading import load
while not Path(sys.argv[1], "stop-reading").exists():
    try:
        load(sys.argv[1])
        print("read", flush=True)
        Path(sys.argv[1], "reading").touch()
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
"""


def beside_a_writer(subject: Subject, *, saves: int) -> Tally:
    """One process loads the run's best checkpoint over and over, while another saves and prunes at every step."""
    tally = Tally(1, "loading a run while it is trained")
    run = subject.fresh()
    flags = dict(zip(FLAGS[::2], FLAGS[1::2], strict=True)) | {
        "--train.checkpoint-every": "1",
        "--max-steps": f"{saves}",
    }
    flags |= {"--train.valid-every": "1", "--train.sample-every": "1000000"}
    words = [word for pair in flags.items() for word in pair]
    subject.must(subject.warm.run("pretrain", subject.text, *words, "--out", run, "--stop-at", 2))
    reader = commands.script(READER, run)
    while not (run / "reading").exists() and reader.is_alive():
        time.sleep(0.01)
    subject.must(subject.warm.run("resume", run))
    (run / "stop-reading").touch()
    for line in reader.wait().out.splitlines():
        tally.count("a load", "" if line == "read" else line, "loads")
    tally.seen["saves"] = saves
    return tally
