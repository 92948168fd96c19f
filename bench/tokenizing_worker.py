"""One contender in a fresh process: build it, encode a text cold and warm, or learn a vocabulary; answer in JSON."""

import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from bench.tokenizing_text import text_files, texts
from gptrilogy.tokenizers import END_OF_TEXT, ByteLevelBPE, bpe_training, load_tokenizer, native_bpe, piece_counts
from gptrilogy.tokenizers.byte_bpe import FAST_FROM_CHARS
from gptrilogy.tokenizers.engines import SteadyEngine, description
from gptrilogy.tokenizers.symbols import vocabulary

Encode: TypeAlias = Callable[[Sequence[str]], Sequence[Any]]
PROMPT = "The quick brown fox jumps over the lazy dog; it is a truth universally acknowledged that 2 + 2 = 4 !!"
SLICES = 32  # of a text that several threads share


def main() -> None:
    job = json.loads(sys.argv[1])
    answer = encode(**job["encode"]) if "encode" in job else train(**job["train"])
    print(json.dumps(answer | {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


def encode(contender: str, tokenizer: str, file: str, threads: int) -> dict[str, Any]:
    os.environ |= {"RAYON_NUM_THREADS": str(threads), "FASTOKENS_BPE_THREADS": str(threads)}
    loaded = load_tokenizer(tokenizer)
    assert isinstance(loaded, ByteLevelBPE)
    text = Path(file).read_text(encoding="utf-8")
    step = len(text) // (SLICES if threads > 1 else 1) + 1
    parts = [text[start : start + step] for start in range(0, len(text), step)]
    build_s, engine = _timed(lambda: _engine(contender, loaded, threads))
    cold_s, _ = _timed(lambda: engine(parts))
    warm_s, ids = _timed(lambda: engine(parts))
    prompt_s, _ = _timed(lambda: [engine([PROMPT]) for _ in range(1000)])
    digest = hashlib.sha256(b"".join(np.asarray(one, "<u4").tobytes() for one in ids)).hexdigest()
    rate = len(text.encode()) / 1e6
    return {
        "build_s": build_s,
        "cold_mb_s": rate / cold_s,
        "warm_mb_s": rate / warm_s,
        "prompt_us": prompt_s * 1e3,
        "ids": digest,
    }


def train(
    contender: str, folder: str, name: str, n_vocab: int, size_bytes: int, table_bytes: int, out: str
) -> dict[str, Any]:
    """Learn from one file, or from `size_bytes` of all, mixed; our table of pieces may be made smaller."""
    if contender == "tokenizers":
        native_bpe.library = lambda: None
    else:
        native_bpe.library()  # loaded beforehand, as the peer's is by its import
        piece_counts.MAX_TABLE_BYTES = table_bytes
    files = text_files(Path(folder))
    source = texts(files, size_bytes) if size_bytes else [files[name].read_text(encoding="utf-8")]
    notes: list[str] = []
    seconds, made = _timed(lambda: bpe_training.train_byte_bpe(source, n_vocab, on_progress=notes.append))
    counted = [note for note in notes if note.startswith("counted")]
    answer = {"seconds": seconds, "ids": made.fingerprint, "counted": counted[-1] if counted else ""}
    if out:
        held_out = list(texts(files, 16_000_000, seed=1))
        tokens = sum(map(len, made.encode_arrays(held_out)))
        answer["bytes_per_token"] = sum(len(text.encode()) for text in held_out) / tokens
    return answer


def _engine(contender: str, tokenizer: ByteLevelBPE, threads: int) -> Encode:
    if contender == "ours":
        tokenizer.encode_arrays([" " * FAST_FROM_CHARS])  # builds the fast engine
        return tokenizer.encode_arrays
    if contender == "tokenizers":
        return SteadyEngine(vocabulary(tokenizer.merges), tokenizer.merges).encode
    if contender == "gigatoken":
        return _gigatoken(tokenizer, threads)
    return _tiktoken(tokenizer, threads)


def _gigatoken(tokenizer: ByteLevelBPE, threads: int) -> Encode:
    gigatoken: Any = import_module("gigatoken")  # a candidate, installed for the comparison alone
    engine = gigatoken.Tokenizer.from_json(json.dumps(description(vocabulary(tokenizer.merges), tokenizer.merges)))
    engine.encode_batch([PROMPT])  # loads the packages that hold its results

    def encode(parts: Sequence[str]) -> Sequence[Any]:
        return engine.encode_batch(list(parts)) if threads > 1 else [engine.encode(part) for part in parts]

    return encode


def _tiktoken(tokenizer: ByteLevelBPE, threads: int) -> Encode:
    from tiktoken import Encoding
    from tiktoken_ext import openai_public

    peer = Encoding(
        name="peer",
        pat_str=openai_public.r50k_pat_str,
        mergeable_ranks={tokenizer.token_bytes(i): i for i in range(tokenizer.eot_id)},
        special_tokens={END_OF_TEXT: tokenizer.eot_id},
    )
    if threads > 1:
        return lambda parts: peer.encode_ordinary_batch(list(parts), num_threads=threads)
    return lambda parts: [peer.encode_ordinary(part) for part in parts]


def _timed(act: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = act()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
