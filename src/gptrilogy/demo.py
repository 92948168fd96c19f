"""`gpt demo`: a model learns to speak like a president, is killed, and goes on as if nothing had happened."""

import lzma
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gptrilogy.corpus.sotu import find_speeches
from gptrilogy.errors import RunError

BUDGET_S = 225  # everything but the restart: at most four minutes of training, six in all
STOP_SHARE = 0.5  # of the steps, after which the run is stopped
SEED = 0


def demo(*, out: Path = Path("runs/demo"), force: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Train a GPT on 237 presidential messages before your eyes, in about five minutes on two cores.

    A tokenizer is trained on them, a model is planned and trained, stopped by SIGTERM on the way and resumed, and
    judged on 12 other messages, which it has never seen, beside xz, a strong file compressor.

    Parameters
    ----------
    out
        The run folder to make.
    force
        Delete the run that it already holds.

    """
    speeches = find_speeches()
    _say(f"249 presidential messages, 1790 to 2026: {speeches}")
    _say("how well does xz -9 compress 12 of them, alone and after it has seen the others? (about 10 s)")
    alone, after = xz_bits_per_byte(speeches)
    _say(f"xz -9: {alone:.3f} bits a byte alone, {after:.3f} after the others")
    started = time.monotonic()
    command = ["pretrain", str(speeches), "--out", str(out), "--budget", f"{BUDGET_S}s", "--seed", str(SEED)]
    _stop_and_resume([*command, *(["--force"] if force else [])], out)
    bits = _last_bits(out)
    _say("")
    _say(f"  {'bits a byte on 12 messages nobody trained on':50}")
    for name, value in (("xz -9, alone", alone), ("xz -9, after the other 237", after), ("this model", bits)):
        _say(f"  {name:32} {value:6.3f}  {'#' * round(value * 20)}")
    minutes = (time.monotonic() - started) / 60
    _say(f"\nfrom raw text to a trained model in {minutes:.1f} minutes. The learning curve: {out / 'loss.png'}. Next:")
    _say(f'  gpt generate {out} --prompt "My fellow citizens,"')
    _say("  gpt pretrain YOUR-FOLDER --out runs/yours --budget 10m")
    _say("  gpt plan gpt3-175b")


def xz_bits_per_byte(speeches: Path) -> tuple[float, float]:
    """What xz needs for the held-out messages: alone, and on top of the training messages, by difference."""
    from gptrilogy.corpus.sources import read_documents
    from gptrilogy.data.split import plan_split

    documents = list(read_documents([speeches]))
    split = plan_split(documents, seed=SEED)
    parts = [split.divide(document) for document in documents]
    train, valid = ("".join(part[side] for part in parts).encode() for side in (0, 1))
    with ThreadPoolExecutor() as pool:
        valid_size, train_size, both_size = pool.map(_xz_size, (valid, train, train + valid))
    return 8 * valid_size / len(valid), 8 * (both_size - train_size) / len(valid)


def _xz_size(text: bytes) -> int:
    return len(lzma.compress(text, preset=9))


def _stop_and_resume(command: list[str], out: Path) -> None:
    """Train, send SIGTERM on the way, and resume.

    Raises: RunError where either half fails.
    """
    gpt = [sys.executable, "-m", "gptrilogy"]
    process = subprocess.Popen([*gpt, *command])
    try:
        while process.poll() is None and not _is_past(out, STOP_SHARE):
            time.sleep(0.5)
        process.terminate()
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
    if code == 0:
        return
    if code != 143:
        raise RunError(f"training ended with exit code {code}; what it said is above")
    _say("--- that was SIGTERM, sent by this demo. What a crash would cost: nothing. Now it goes on.")
    subprocess.run([*gpt, "resume", str(out)], check=True)


def _is_past(out: Path, share: float) -> bool:
    """Whether a run has done this share of its steps."""
    from gptrilogy.metrics import read_metrics
    from gptrilogy.runs import Run

    run = Run(out)
    if not run.metrics_path.exists():
        return False
    max_steps = run.config().get("train", {}).get("max_steps")
    rows = read_metrics(run.metrics_path)
    return bool(max_steps and rows and rows[-1]["step"] >= share * max_steps)


def _last_bits(out: Path) -> float:
    from gptrilogy.metrics import read_metrics
    from gptrilogy.runs import Run

    rows = [row for row in read_metrics(Run(out).metrics_path) if row["event"] == "end"]
    return float(rows[-1]["bits_per_byte"])


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201
