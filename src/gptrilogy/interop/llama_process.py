"""llama.cpp in a process of its own: where others raise, it aborts, and would take ours along. Needs no torch."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptrilogy.errors import FormatError

QUESTION, IDS, LOGITS = "question.json", "ids.json", "logits.npy"


def has_llama_cpp() -> bool:
    """Whether its Python binding is installed."""
    return find_spec("llama_cpp") is not None


def ask_llama_cpp(
    path: Path, rows: Sequence[Sequence[int]], texts: Sequence[str], *, n_threads: int
) -> tuple[NDArray[np.float32], list[list[int]]]:
    """What llama.cpp makes of a GGUF file: the logits of rows of ids, and the ids of texts.

    Shapes: rows (B, T) -> logits (B, T, V).
    Raises: FormatError where it does not load the file, or dies of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        question = {"path": str(path.absolute()), "rows": rows, "texts": texts, "n_threads": n_threads}
        Path(folder, QUESTION).write_text(json.dumps(question), encoding="utf-8")
        command = [sys.executable, "-P", "-m", __name__, folder]  # -P: not what happens to lie in this folder
        environment = {**os.environ, "GGML_NO_BACKTRACE": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        if done.returncode:
            raise FormatError(f"llama.cpp cannot use the file: {_reason(done)}; please report this with the model")
        return np.load(Path(folder, LOGITS)), json.loads(Path(folder, IDS).read_bytes())


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """The line of its log that says why, else the last one: Python's own."""
    lines = done.stderr.decode(errors="replace").split("\n")
    telling = [line for line in lines if "GGML_ASSERT" in line or "error loading" in line]
    return f"{([f'exit code {done.returncode}', *filter(None, lines), *telling])[-1]:.200}"


def answer(folder: Path) -> None:
    """The other side: read the question in a folder, and leave the answers there."""
    question: dict[str, Any] = json.loads((folder / QUESTION).read_bytes())
    llama_cpp: Any = import_module("llama_cpp")
    n_ctx = len(question["rows"][0])
    llama = llama_cpp.Llama(
        question["path"],
        n_ctx=n_ctx,
        n_batch=n_ctx,
        n_gpu_layers=0,
        n_threads=question["n_threads"],
        n_threads_batch=question["n_threads"],
        type_k=llama_cpp.GGML_TYPE_F32,  # half precision, unless asked for
        type_v=llama_cpp.GGML_TYPE_F32,
        flash_attn=False,
        logits_all=True,
    )
    logits: list[NDArray[np.float32]] = []
    for row in question["rows"]:
        llama.reset()
        llama.eval(row)
        logits.append(llama.scores[:n_ctx].copy())
    np.save(folder / LOGITS, np.stack(logits))
    ids = [llama.tokenize(text.encode(), add_bos=False, special=False) for text in question["texts"]]
    (folder / IDS).write_text(json.dumps(ids), encoding="utf-8")
    llama.close()


if __name__ == "__main__":
    answer(Path(sys.argv[1]))
