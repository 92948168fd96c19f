"""Texts in the making: tokens from the engine into characters, until a stop string, the end or the limit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gptrilogy.generation.config import Sampling
from gptrilogy.generation.engine import Engine, Stream
from gptrilogy.generation.stopping import StopStrings
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
    """A token of completion `index`, and the text that has become certain with it, never half a character."""

    index: int
    token: int
    text: str


class Batch:
    """The streams of one call, with the text each has so far."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        samples: Sequence[tuple[tuple[int, ...], int]],
        sampling: Sampling,
        max_tokens: int,
        seed: int,
        stop: Sequence[str],
    ) -> None:
        """`samples` are prompts, each with the number of its sample."""
        self.engine = engine
        self.eot_id = tokenizer.eot_id
        self.streams = [Stream(prompt, max_tokens, sampling, seed, sample) for prompt, sample in samples]
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
        return Piece(index, token, text)

    def completions(self, on_done: Callable[[int], object] | None = None) -> list[Completion]:
        """Run to the end; `on_done` hears 1 for each text that is there."""
        if on_done is not None:
            for _ in filter(_is_done, self.streams):  # those of no tokens
                on_done(1)
        for piece in self.run():
            if on_done is not None and _is_done(self.streams[piece.index]):
                on_done(1)
        return [
            Completion(
                text, tuple(token for token in stream.ids if token != self.eot_id), stream.finish_reason or "length"
            )
            for text, stream in zip(self.texts, self.streams, strict=True)
        ]


def _is_done(stream: Stream) -> bool:
    return stream.finish_reason is not None
