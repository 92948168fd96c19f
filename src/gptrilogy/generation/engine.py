"""Decoding of many completions at once: prefill a prompt once, branch its cache, then one token a stream and step.

A stream's tokens do not depend on its neighbours: each prompt is prefilled alone, and `Rows` go on as if alone.
"""

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Literal

import torch
from torch import Tensor

from gptrilogy.errors import PromptError
from gptrilogy.generation.config import Sampling
from gptrilogy.generation.native_decoding import NativeRows
from gptrilogy.generation.native_model import NativeModel, native_model
from gptrilogy.generation.rows import PaddedRows, Rows
from gptrilogy.generation.sampling import choose, uniforms
from gptrilogy.models.cache import KVCache
from gptrilogy.models.gpt import GPT

MAX_LIVE = 64


@dataclass(slots=True, eq=False)
class Stream:
    """One completion in the making; its tokens follow from the model and the first five fields alone.

    Setting `finish_reason` from outside ends it before the next step.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    sample: int = 0
    ids: list[int] = field(default_factory=list[int])
    finish_reason: Literal["stop", "length"] | None = None
    uniforms: Random = field(init=False)

    def __post_init__(self) -> None:
        self.uniforms = uniforms(self.seed, self.sample)


class Engine:
    """A model and the streams it is continuing.

    >>> from gptrilogy.models import GPTConfig
    >>> tiny = GPT(GPTConfig(n_vocab=5, n_ctx=8, n_embd=4, n_head=1, n_layer=1))
    >>> engine = Engine(tiny, eot_id=None)
    >>> engine.add(Stream(prompt=(1, 2), max_tokens=3))
    >>> [len(engine.step()) for _ in range(4)]
    [1, 1, 1, 0]
    """

    def __init__(self, model: GPT, *, eot_id: int | None, native: NativeModel | None = None) -> None:
        """`native`: the model as prepared before, which takes a while in bf16 and int8."""
        self.model = model.eval()
        self.eot_id = eot_id
        self._waiting: deque[Stream] = deque()
        self._live: list[Stream] = []  # stream i has row i
        native = native or native_model(model)
        self._rows: Rows = PaddedRows(model) if native is None else NativeRows(native)
        self._prefilled: tuple[tuple[int, ...], KVCache, Tensor] | None = None

    def add(self, stream: Stream) -> None:
        """Queue a stream; it gets its first token at the next step that has a free row.

        Raises: PromptError where the prompt is empty or longer than the context.
        """
        n_ctx = self.model.config.n_ctx
        if not 1 <= len(stream.prompt) <= n_ctx:
            raise PromptError(
                f"a prompt must have 1 to {n_ctx} tokens, which is the model's context; got {len(stream.prompt)}; "
                "shorten it"
            )
        if stream.max_tokens < 1:
            stream.finish_reason = "length"
        else:
            self._waiting.append(stream)

    @torch.inference_mode()
    def step(self) -> list[Stream]:
        """Give every live stream one more token, the last of its `ids`; -> those streams, none when all is done."""
        self._retire()
        logits = self._continue_live()  # one (V,) a live stream
        while self._waiting and len(self._live) < MAX_LIVE:
            stream = self._waiting.popleft()
            if stream.finish_reason is None:
                logits.append(self._admit(stream))
        for stream, scores in zip(self._live, logits, strict=True):
            self._append(stream, choose(scores, stream.sampling, stream.uniforms.random()))
        return list(self._live)

    def _append(self, stream: Stream, token: int) -> None:
        stream.ids.append(token)
        if token == self.eot_id:
            stream.finish_reason = "stop"
        elif len(stream.ids) >= stream.max_tokens:
            stream.finish_reason = "length"

    def _retire(self) -> None:
        """Free the rows of ended streams; the last row moves into each gap."""
        for row in reversed(range(len(self._live))):
            if self._live[row].finish_reason is not None:
                last = self._live.pop()
                if row < len(self._live):
                    self._live[row] = last
                self._rows.remove(row)

    def _continue_live(self) -> list[Tensor]:
        """Run the newest token of every live stream."""
        for row, stream in enumerate(self._live):
            if self._rows.length(row) == self.model.config.n_ctx:
                self._slide(row, stream)
        return list(self._rows.next([stream.ids[-1] for stream in self._live]))

    def _slide(self, row: int, stream: Stream) -> None:
        """Start a full row again from the last half of its text, whose positions then count from 0."""
        half = self.model.config.n_ctx // 2
        recent = [*stream.prompt, *stream.ids][-half - 1 : -1]
        self._rows.restart(row, self._rows.read(recent)[0] if recent else None)

    def _admit(self, stream: Stream) -> Tensor:
        """Give a stream a row that holds its prompt; returns the scores of its first token, (V,)."""
        if self._prefilled is None or self._prefilled[0] != stream.prompt:
            self._prefilled = (stream.prompt, *self._rows.read(stream.prompt))
        _, cache, logits = self._prefilled
        longest = len(stream.prompt) + stream.max_tokens - 1  # the last token is never read
        self._rows.append(cache, min(longest, self.model.config.n_ctx))
        self._live.append(stream)
        return logits
