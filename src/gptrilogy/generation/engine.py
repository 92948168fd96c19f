"""Decoding of many completions at once: prefill a prompt once, branch its cache, then one token a stream and step.

A stream's tokens do not depend on its neighbours. Each prompt is prefilled alone, each row attends alone, and the
products that rows share always run with 4, 8, 32 or 64 rows, for which fp32 arithmetic gives every row the same bits.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

import torch
from torch import Tensor

from gptrilogy.errors import PromptError
from gptrilogy.generation.config import Sampling
from gptrilogy.generation.sampling import choose, uniforms
from gptrilogy.models.cache import KVCache
from gptrilogy.models.gpt import GPT

ROW_COUNTS = (4, 8, 32, 64)


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

    def __init__(self, model: GPT, *, eot_id: int | None) -> None:
        self.model = model.eval()
        self.eot_id = eot_id
        self._waiting: deque[Stream] = deque()
        self._live: list[Stream] = []  # stream i has row i of the cache
        self._cache = self._empty_cache(ROW_COUNTS[0])
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
        while self._waiting and len(self._live) < ROW_COUNTS[-1]:
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
                    self._cache.put(row, self._cache, len(self._live))
        self._cache.keep_first(len(self._live))

    def _continue_live(self) -> list[Tensor]:
        """Run the newest token of every live stream; the rows are padded to a fixed count."""
        if not self._live:
            return []
        for row, stream in enumerate(self._live):
            if self._cache.lengths[row] == self._cache.capacity:
                self._slide(row, stream)
        ids = torch.zeros(self._cache.n_rows, 1, dtype=torch.long)
        ids[: len(self._live), 0] = torch.tensor([stream.ids[-1] for stream in self._live])
        hidden = self.model.hidden(ids.to(self._device), self._cache)[:, 0]  # (rows, C)
        return list(self.model.logits(hidden)[: len(self._live)])

    def _slide(self, row: int, stream: Stream) -> None:
        """Start a full row again from the last half of its text, whose positions then count from 0."""
        half = self._cache.capacity // 2
        recent = [*stream.prompt, *stream.ids][-half - 1 : -1]
        self._cache.lengths[row] = 0
        if recent:
            self._cache.put(row, self._prefill(tuple(recent))[0])

    def _admit(self, stream: Stream) -> Tensor:
        """Give a stream a row that holds its prompt; returns the scores of its first token, (V,)."""
        row = len(self._live)
        if row == self._cache.n_rows:
            larger = self._empty_cache(next(count for count in ROW_COUNTS if count > row))
            for index in range(row):
                larger.put(index, self._cache, index)
            self._cache = larger
        if self._prefilled is None or self._prefilled[0] != stream.prompt:
            self._prefilled = (stream.prompt, *self._prefill(stream.prompt))
        _, cache, logits = self._prefilled
        self._cache.put(row, cache)
        self._live.append(stream)
        self._cache.n_active = len(self._live)
        return logits

    def _prefill(self, prompt: Sequence[int]) -> tuple[KVCache, Tensor]:
        cache = KVCache(self.model.config, 1, like=self.model.wte.weight, capacity=len(prompt))
        hidden = self.model.hidden(torch.tensor([prompt], device=self._device), cache)
        return cache, self.model.logits(hidden[0, -1:])[0]  # (V,)

    def _empty_cache(self, n_rows: int) -> KVCache:
        cache = KVCache(self.model.config, n_rows, like=self.model.wte.weight)
        cache.keep_first(0)
        return cache

    @property
    def _device(self) -> torch.device:
        return self.model.wte.weight.device
