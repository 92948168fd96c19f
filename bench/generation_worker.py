"""Who continues texts, in a process of its own: `python -m bench.generation_worker FOLDER CONTENDER`.

Driven by lines on stdin, each a `Work`, which is answered with one JSON object; between lines it sleeps. With TOKENIZER
and contenders' names after FOLDER and CONFIG it makes their models instead: GPT-2 with random weights, as a Hugging
Face folder and as what llama.cpp and CTranslate2 read.
"""

import json
import sys
import time
from collections.abc import Callable, Collection
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TextIO

import torch

from bench.generation_cases import CT2, FOLDER, HF, LIVELIER, PREFILL, PROMPT, READ, TOKENS, Contender, Work, prompt
from bench.worker import peak_bytes
from gptrilogy import load
from gptrilogy.files import read_json
from gptrilogy.generation.config import Sampling
from gptrilogy.generation.engine import Engine, Stream
from gptrilogy.interop.gguf import write_gguf
from gptrilogy.interop.huggingface import write_hf
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.tokenizers import load_tokenizer

LLAMA_TYPES = {"bf16": 32, "q8_0": 7}  # llama.cpp's numbers for them
GREEDY = Sampling(temperature=0)


class Program(Protocol):
    def decode(self, rows: int) -> tuple[float, list[int]]:
        """Seconds from the first new token of several texts to the last, and the tokens of the first text."""
        ...

    def read(self, length: int) -> float:
        """Seconds from a text to the scores of what follows it."""
        ...


class Ours:
    """The engine behind `gpt generate`. All texts begin alike: what came before the first new token is not timed."""

    def __init__(self, folder: Path, precision: Any) -> None:
        self.language_model = load(folder / HF, device="cpu", precision=precision)
        self.n_vocab = self.language_model.model.config.n_vocab

    def decode(self, rows: int) -> tuple[float, list[int]]:
        engine, text = self._engine(), tuple(prompt(PROMPT, 0, self.n_vocab))
        streams = [Stream(text, TOKENS + 1, GREEDY) for _ in range(rows)]
        for stream in streams:
            engine.add(stream)
        engine.step()
        start = time.perf_counter()
        for _ in range(TOKENS):
            engine.step()
        return time.perf_counter() - start, streams[0].ids

    def read(self, length: int) -> float:
        engine = self._engine()
        engine.add(Stream(tuple(prompt(length, 0, self.n_vocab)), 1, GREEDY))
        start = time.perf_counter()
        engine.step()
        return time.perf_counter() - start

    def _engine(self) -> Engine:
        return Engine(self.language_model.model, eot_id=None, native=self.language_model.native)


class Transformers:
    """`generate` with its key-value cache; every token is handed to a streamer, which notes the time."""

    def __init__(self, folder: Path, precision: str) -> None:
        from transformers import AutoModelForCausalLM

        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder / HF, dtype=dtype).eval()
        self.n_vocab = self.model.config.vocab_size

    def decode(self, rows: int) -> tuple[float, list[int]]:
        times: list[float] = []
        ids = self._run(prompt(PROMPT, 0, self.n_vocab), rows, TOKENS + 1, times)
        return times[-1] - times[1], ids  # the first time is that of the prompt

    def read(self, length: int) -> float:
        times: list[float] = []
        start = time.perf_counter()
        self._run(prompt(length, 0, self.n_vocab), 1, 1, times)
        return times[1] - start

    def _run(self, text: list[int], rows: int, tokens: int, times: list[float]) -> list[int]:
        class Clock:
            def put(self, _value: torch.Tensor) -> None:
                times.append(time.perf_counter())

            def end(self) -> None:
                pass

        ids = torch.tensor([text] * rows)
        greedy = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "attention_mask": torch.ones_like(ids)}
        with torch.inference_mode():
            found = self.model.generate(ids, max_new_tokens=tokens, streamer=Clock(), **greedy)
        return found[0, len(text) :].tolist()


class LlamaCpp:
    """`Llama.generate` of llama-cpp-python; keys and values in fp32 beside fp32 weights, else in its default."""

    def __init__(self, folder: Path, precision: str) -> None:
        llama_cpp: Any = import_module("llama_cpp")
        kinds = {"type_k": llama_cpp.GGML_TYPE_F32, "type_v": llama_cpp.GGML_TYPE_F32} if precision == "fp32" else {}
        threads = {"n_threads": torch.get_num_threads(), "n_threads_batch": torch.get_num_threads()}
        if precision == "q8_0":
            _without_amx(llama_cpp)
        path = str(folder / FOLDER[precision])
        self.llama: Any = llama_cpp.Llama(path, n_ctx=1024, n_batch=PREFILL, verbose=False, **threads, **kinds)
        self.n_vocab = self.llama.n_vocab()

    def decode(self, rows: int) -> tuple[float, list[int]]:
        assert rows == 1, "its binding continues one text"
        following = self._following(prompt(PROMPT, 0, self.n_vocab))
        ids = [next(following)]
        start = time.perf_counter()
        ids += [next(following) for _ in range(TOKENS)]
        return time.perf_counter() - start, ids

    def read(self, length: int) -> float:
        start = time.perf_counter()
        next(self._following(prompt(length, 0, self.n_vocab)))
        return time.perf_counter() - start

    def _following(self, text: list[int]) -> Any:
        self.llama.reset()
        return self.llama.generate(text, temp=0.0, top_k=1, repeat_penalty=1.0, reset=True)


class CTranslate2:
    """`Generator.generate_batch` of CTranslate2; it calls back at every token, and we note the time."""

    def __init__(self, folder: Path, precision: str) -> None:
        ctranslate2: Any = import_module("ctranslate2")
        kind = {"fp32": "float32", "int8": "int8"}[precision]
        threads = torch.get_num_threads()
        self.generator: Any = ctranslate2.Generator(str(folder / CT2), compute_type=kind, intra_threads=threads)
        self.words: list[str] = read_json(folder / CT2 / "vocabulary.json")
        self.n_vocab = len(self.words)

    def decode(self, rows: int) -> tuple[float, list[int]]:
        times: list[float] = []
        ids = self._run(PROMPT, rows, TOKENS + 1, times)
        return times[-1] - times[rows - 1], ids  # the first time of each row is that of the prompt

    def read(self, length: int) -> float:
        times: list[float] = []
        start = time.perf_counter()
        self._run(length, 1, 1, times)
        return times[0] - start

    def _run(self, length: int, rows: int, tokens: int, times: list[float]) -> list[int]:
        def clock(_step: Any) -> bool:
            times.append(time.perf_counter())
            return False

        text = [self.words[i] for i in prompt(length, 0, self.n_vocab)]
        greedy = {"beam_size": 1, "sampling_topk": 1, "min_length": tokens, "max_length": tokens}
        found = self.generator.generate_batch([text] * rows, include_prompt_in_result=False, callback=clock, **greedy)
        return found[0].sequences_ids[0]


def _without_amx(llama_cpp: Any) -> None:
    """llama-cpp-python 0.3.36 dies of q8_0 weights that it has laid out for AMX; its other layouts go with them."""
    defaults = llama_cpp.llama.llama_cpp.llama_model_default_params

    def plain() -> Any:
        parameters = defaults()
        parameters.use_extra_bufts = False
        return parameters

    llama_cpp.llama.llama_cpp.llama_model_default_params = plain


PROGRAMS: dict[str, Callable[[Path, Any], Program]] = {
    "ours": Ours,
    "transformers": Transformers,
    "llama.cpp": LlamaCpp,
    "CTranslate2": CTranslate2,
}


def serve(program: Program, commands: TextIO, answers: TextIO) -> None:
    """Say that the model is loaded, then answer until the commands end."""
    print(json.dumps({"peak_bytes": peak_bytes()}), file=answers, flush=True)
    for line in commands:
        work = Work.model_validate_json(line)
        if work.what == READ:
            seconds, ids = program.read(work.size), []
        else:
            seconds, ids = program.decode(work.size)
        print(json.dumps({"seconds": seconds, "ids": ids, "peak_bytes": peak_bytes()}), file=answers, flush=True)


def make_models(folder: Path, config: GPTConfig, tokenizer: str, contenders: Collection[str]) -> None:
    """The same random weights for all: as a Hugging Face folder, and as those of the contenders read it that do not."""
    known = load_tokenizer(tokenizer)
    weights = lively(GPT(config, torch.Generator().manual_seed(0)).state_dict())
    (folder / HF).mkdir()
    write_hf(folder / HF, config, weights, known)
    if any(name.startswith("CTranslate2") for name in contenders):
        converters: Any = import_module("ctranslate2.converters")
        converters.TransformersConverter(str(folder / HF)).convert(str(folder / CT2))
    files = {name.split()[1] for name in contenders if name.startswith("llama.cpp")}
    if not files:
        return
    write_gguf(folder / FOLDER["fp32"], config, weights, known)
    llama_cpp: Any = import_module("llama_cpp")
    for precision in files & set(LLAMA_TYPES):
        how = llama_cpp.llama_model_quantize_default_params()
        how.ftype = LLAMA_TYPES[precision]
        paths = [str(folder / FOLDER[name]).encode() for name in ("fp32", precision)]
        if llama_cpp.llama_model_quantize(*paths, how):
            raise RuntimeError(f"llama.cpp could not write {FOLDER[precision]}")


def lively(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Wider matrices in the blocks, so that what follows a text depends on more than its last token."""
    return {name: w * LIVELIER if name.startswith("h.") and w.dim() == 2 else w for name, w in weights.items()}


if __name__ == "__main__":
    folder, what, *rest = sys.argv[1:]
    if rest:
        make_models(Path(folder), GPTConfig.model_validate_json(what), rest[0], rest[1:])
    else:
        stdout = sys.stdout
        with redirect_stdout(sys.stderr):  # what libraries print is no answer
            contender = Contender.model_validate_json(what)
            serve(PROGRAMS[contender.who](Path(folder), contender.precision), sys.stdin, stdout)
