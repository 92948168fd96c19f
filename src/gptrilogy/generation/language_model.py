"""A model with its tokenizer: text in, text or log-probabilities out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from gptrilogy.errors import PromptError
from gptrilogy.generation.config import Sampling
from gptrilogy.generation.engine import Engine, Stream
from gptrilogy.generation.stopping import StopStrings
from gptrilogy.models.gpt import GPT
from gptrilogy.tokenizers.base import Tokenizer
from gptrilogy.tokenizers.streaming import StreamDecoder


@dataclass(frozen=True, slots=True)
class Completion:
    """A continuation without its prompt. `finish_reason`: `stop` (end of text, stop string) or `length`."""

    text: str
    ids: tuple[int, ...]
    finish_reason: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A bit of the text of completion `index`, never half a character."""

    index: int
    text: str


class LanguageModel:
    """What `gptrilogy.load` returns.

    `generate` and `score` do not depend on batch size or neighbours: in fp32 the same prompt, sampling and seed give
    the same tokens alone and in company.
    """

    def __init__(self, model: GPT, tokenizer: Tokenizer, source: Path | None = None) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.source = source

    def generate(
        self, prompt: str, *, max_tokens: int = 40, seed: int = 0, stop: Sequence[str] = (), **how: object
    ) -> str:
        """Continue one prompt; `how` are the fields of `Sampling` (temperature, top_k, top_p).

        Raises: PromptError where the prompt does not fit the context; ConfigError for a bad sampling value.
        """
        sampling = Sampling().replace(**how)
        return self.complete([prompt], sampling, max_tokens=max_tokens, seed=seed, stop=stop)[0].text

    def complete(
        self,
        prompts: Sequence[str],
        sampling: Sampling | None = None,
        *,
        max_tokens: int = 40,
        n: int = 1,
        seed: int = 0,
        stop: Sequence[str] = (),
    ) -> list[Completion]:
        """Continue many prompts of any lengths, `n` times each; completion i * n + j is sample j of prompt i.

        Raises: PromptError where a prompt does not fit the context.
        """
        batch = _Batch(self, prompts, sampling or Sampling(), max_tokens, n, seed, stop)
        for _ in batch.run():
            pass
        return batch.completions()

    def stream(
        self,
        prompt: str,
        sampling: Sampling | None = None,
        *,
        max_tokens: int = 40,
        seed: int = 0,
        stop: Sequence[str] = (),
    ) -> Iterator[str]:
        """Continue one prompt, yielding its text as it comes; together the pieces are `complete`'s text.

        Raises: PromptError where the prompt does not fit the context.
        """
        batch = _Batch(self, [prompt], sampling or Sampling(), max_tokens, 1, seed, stop)
        return (piece.text for piece in batch.run() if piece.text)

    @torch.inference_mode()
    def score(self, prompt: str, answers: Sequence[str]) -> list[float]:
        """Log P(answer | prompt) of each answer, its tokens summed.

        Units: nats. Raises: PromptError where prompt and answer together exceed the context.
        """
        before = self.prompt_ids(prompt)
        scores: list[float] = []
        for answer in answers:
            after = self.tokenizer.encode(answer)
            if not after:
                scores.append(0.0)  # nothing is certain to follow
                continue
            if len(before) + len(after) - 1 > self.model.config.n_ctx:
                raise PromptError(
                    f"prompt and answer have {len(before) + len(after)} tokens, the model can score "
                    f"{self.model.config.n_ctx + 1}; shorten the prompt"
                )
            ids = torch.tensor([before + after], device=self.model.wte.weight.device)
            nats = self.model.token_nats(ids)[0, len(before) - 1 :]
            scores.append(-nats.sum(dtype=torch.float64).item())
        return scores

    def prompt_ids(self, prompt: str) -> list[int]:
        """A prompt's tokens; an empty prompt is the start of a document, <|endoftext|>.

        Raises: PromptError for an empty prompt where the tokenizer has no such token.
        """
        ids = self.tokenizer.encode(prompt)
        if ids:
            return ids
        if self.tokenizer.eot_id is None:
            raise PromptError(f"{self.tokenizer.name} has no token that begins a document; give a prompt with words")
        return [self.tokenizer.eot_id]


class _Batch:
    """The streams of one call, with the text each has so far."""

    def __init__(
        self,
        language_model: LanguageModel,
        prompts: Sequence[str],
        sampling: Sampling,
        max_tokens: int,
        n: int,
        seed: int,
        stop: Sequence[str],
    ) -> None:
        tokenizer = language_model.tokenizer
        self.engine = Engine(language_model.model, eot_id=tokenizer.eot_id)
        self.eot_id = tokenizer.eot_id
        ids = [tuple(language_model.prompt_ids(prompt)) for prompt in prompts]
        self.streams = [Stream(prompt, max_tokens, sampling, seed, j) for prompt in ids for j in range(n)]
        self.decoders = [StreamDecoder(tokenizer, after=stream.prompt) for stream in self.streams]
        self.stops = [StopStrings(stop) for _ in self.streams]
        self.texts = [""] * len(self.streams)
        for stream in self.streams:
            self.engine.add(stream)

    def run(self) -> Iterator[Piece]:
        index_of = {id(stream): index for index, stream in enumerate(self.streams)}
        while advanced := self.engine.step():
            for stream in advanced:
                yield self._read(index_of[id(stream)], stream)

    def _read(self, index: int, stream: Stream) -> Piece:
        stops = self.stops[index]
        token = stream.ids[-1]
        text = stops.push("" if token == self.eot_id else self.decoders[index].push(token))
        if stops.found:
            stream.finish_reason = "stop"
        elif stream.finish_reason is not None:
            text += stops.push(self.decoders[index].finish()) + stops.finish()
        self.texts[index] += text
        return Piece(index, text)

    def completions(self) -> list[Completion]:
        return [
            Completion(
                text, tuple(token for token in stream.ids if token != self.eot_id), stream.finish_reason or "length"
            )
            for text, stream in zip(self.texts, self.streams, strict=True)
        ]
