"""Who continues texts, and what is timed of it. Needs no torch."""

import random
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Literal, TypeAlias

from gptrilogy.config import Config
from gptrilogy.devices import NO_BF16, bf16_unit

Who: TypeAlias = Literal["ours", "transformers", "llama.cpp", "CTranslate2"]

PROMPT, TOKENS = 176, 32  # a text's mean length is then that of a prompt of 64 and 256 new tokens
PREFILL = 512
LIVELIER = 3.0  # times the spread of a fresh model's matrices
DECODE, READ = "decode", "read"
ROWS = (1, 8, 32)
FOLDER = {"fp32": "f32.gguf", "bf16": "bf16.gguf", "q8_0": "q8_0.gguf"}  # llama.cpp's file of each precision
HF = "hf"  # the folder that the others load
CT2 = "ct2"  # CTranslate2's own, made of that
MODULES: dict[Who, str] = {"transformers": "transformers", "llama.cpp": "llama_cpp", "CTranslate2": "ctranslate2"}


class Contender(Config):
    """A program, in a precision it has."""

    who: Who
    precision: Literal["fp32", "bf16", "int8", "q8_0"]

    @property
    def name(self) -> str:
        return f"{self.who} {self.precision}"

    @property
    def rows(self) -> tuple[int, ...]:
        """How many texts at once it is timed with.

        transformers in fp32 takes minutes for 32, and llama.cpp's Python binding continues one.
        """
        return (1,) if self.who == "llama.cpp" else (1, 8) if self.name == "transformers fp32" else ROWS


CONTENDERS = (
    *(Contender(who="ours", precision=precision) for precision in ("fp32", "bf16", "int8")),
    *(Contender(who="transformers", precision=precision) for precision in ("fp32", "bf16")),
    *(Contender(who="llama.cpp", precision=precision) for precision in ("fp32", "bf16", "q8_0")),
    *(Contender(who="CTranslate2", precision=precision) for precision in ("fp32", "int8")),
)


def absent(contender: Contender) -> str | None:
    """Why it cannot be asked, where its program is not there, or would take minutes for a sample."""
    module = MODULES.get(contender.who)
    if module and not find_spec(module):
        return f"{module} is not installed: pip install 'gptrilogy[peers]'"
    if contender.name == "transformers bf16" and not bf16_unit():
        return NO_BF16
    return None


class Work(Config):
    """What a sample does: continue `size` texts by `TOKENS` tokens each, or read a text of `size` tokens."""

    what: Literal["decode", "read"]
    size: int

    @property
    def tokens(self) -> int:
        return self.size * TOKENS if self.what == DECODE else self.size

    @property
    def name(self) -> str:
        return f"continue {self.size} at once" if self.what == DECODE else f"read {self.size}"


def works(contender: Contender) -> Iterator[Work]:
    for rows in contender.rows:
        yield Work(what=DECODE, size=rows)
    yield Work(what=READ, size=PREFILL)


def prompt(length: int, seed: int, n_vocab: int) -> list[int]:
    """The same random tokens for all."""
    draws = random.Random(seed)
    return [draws.randrange(n_vocab) for _ in range(length)]
