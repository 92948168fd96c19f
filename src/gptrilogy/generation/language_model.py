"""A model with its tokenizer: text in, text or log-probabilities out."""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from gptrilogy.errors import ConfigError, PromptError
from gptrilogy.generation.beam import beam_search
from gptrilogy.generation.completions import Batch, Completion, Piece
from gptrilogy.generation.config import BeamSearch, Sampling
from gptrilogy.generation.engine import Engine
from gptrilogy.generation.native_model import NativeModel, native_model
from gptrilogy.generation.scoring import Score, encode_pairs, first_id, rolling_windows, score_pairs
from gptrilogy.generation.stopping import StopStrings
from gptrilogy.models.gpt import GPT
from gptrilogy.tokenizers.base import Tokenizer
from gptrilogy.tokenizers.streaming import text_after


class LanguageModel:
    """What `gptrilogy.load` returns.

    `generate` and `score` do not depend on batch size or neighbours: the same prompt, sampling and seed give the same
    tokens alone and in company, in every precision.
    """

    def __init__(
        self, model: GPT, tokenizer: Tokenizer, source: Path | None = None, *, int8_weights: bool = False
    ) -> None:
        """`int8_weights`: continue texts by a bf16 model with weights rounded to int8, on a CPU; scores keep the
        model's.

        In bf16 and int8 weights are copied when the first text is continued.
        """
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.source = source
        self._int8_weights = int8_weights
        self._native: NativeModel | None = None

    @property
    def native(self) -> NativeModel | None:
        """The model as prepared for decoding in C++, anew where its weights have moved; None where that cannot be."""
        if self._native is None or not self._native.is_current:
            self._native = native_model(self.model, int8=self._int8_weights)
        return self._native

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

        Raises: PromptError where a prompt does not fit the context; ConfigError for fewer than one of each.
        """
        _check_least("n", n, 1)
        samples = [(tuple(self.prompt_ids(prompt)), j) for prompt in prompts for j in range(n)]
        return self._batch(samples, sampling, max_tokens, seed, stop).completions()

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
        pieces = self.pieces(prompt, sampling, max_tokens=max_tokens, seed=seed, stop=stop)
        return (piece.text for piece in pieces if piece.text)

    def pieces(
        self,
        prompt: str,
        sampling: Sampling | None = None,
        *,
        max_tokens: int = 40,
        seed: int = 0,
        sample: int = 0,
        stop: Sequence[str] = (),
    ) -> Iterator[Piece]:
        """`stream`, token by token, of the sample that `complete` would number so.

        Raises: PromptError where the prompt does not fit the context.
        """
        return self._batch([(tuple(self.prompt_ids(prompt)), sample)], sampling, max_tokens, seed, stop).run()

    def generate_until(
        self,
        prompts: Sequence[str],
        how: Sampling | BeamSearch | None = None,
        *,
        max_tokens: int,
        seed: int = 0,
        stop: Sequence[str] = (),
        on_done: Callable[[int], object] | None = None,
    ) -> list[str]:
        """`complete`, where a prompt that leaves no room for `max_tokens` loses its first tokens, with a warning.

        `how`: by sampling, of which temperature 0 is greedy, or by beam search, which needs no seed. Equal prompts are
        samples of one: the second is sample 1. `on_done` hears 1 for each that has ended.

        Raises: PromptError where `max_tokens` alone fill the context.
        """
        _check_least("max_tokens", max_tokens, 0)
        room = self.model.config.n_ctx - max_tokens
        if room < 1:
            raise PromptError(
                f"{max_tokens} new tokens leave no room for a prompt in the model's context of "
                f"{self.model.config.n_ctx}; ask for fewer"
            )
        ids = [tuple(self.prompt_ids(prompt)) for prompt in prompts]
        _warn_of_cuts("prompts", map(len, ids), room)
        fitting = [prompt[-room:] for prompt in ids]
        if isinstance(how, BeamSearch):
            return self._search(fitting, how, max_tokens, stop, on_done)
        batch = self._batch(_numbered(fitting), how, max_tokens, seed, stop)
        return [completion.text for completion in batch.completions(on_done)]

    def _search(
        self,
        prompts: Sequence[Sequence[int]],
        how: BeamSearch,
        max_tokens: int,
        stop: Sequence[str],
        on_done: Callable[[int], object] | None,
    ) -> list[str]:
        """What a beam finds after each prompt, up to a stop string."""

        def text(prompt: Sequence[int], ids: Sequence[int]) -> tuple[str, bool]:
            """What comes before a stop string, and whether there is one."""
            stops = StopStrings(_several(stop))
            words = [token for token in ids if token != self.tokenizer.eot_id]
            return stops.whole(text_after(self.tokenizer, prompt, words)), stops.found

        beams = beam_search(
            self.model,
            prompts,
            width=how.width,
            length_penalty=how.length_penalty,
            max_tokens=max_tokens,
            eot_id=self.tokenizer.eot_id,
            ends=lambda prompt, ids: text(prompt, ids)[1],
            on_done=on_done,
        )
        return [text(prompt, beam.ids)[0] for prompt, beam in zip(prompts, beams, strict=True)]

    def score(self, prompt: str, answers: Sequence[str]) -> list[float]:
        """Log P(answer | prompt) of each answer, its tokens summed.

        Units: nats. Raises: PromptError where prompt and answer together exceed the context.
        """
        before = self.prompt_ids(prompt)
        pairs = [(before, after) for after in self.tokenizer.encode_batch(answers)]
        return [score.nats for score in score_pairs(self.model, pairs)]

    def loglikelihood(
        self,
        requests: Sequence[tuple[str, str]],
        *,
        batch_size: int = 1,
        truncate: bool = False,
        on_scored: Callable[[int], object] | None = None,
    ) -> list[Score]:
        """Score many (context, continuation) texts; see `encode_pairs` for their tokens, `score_pairs` for the rest.

        Raises: PromptError where a pair exceeds the context; with `truncate`, a warning says how many were cut.
        """
        pairs = encode_pairs(self.tokenizer, requests)
        if truncate:
            _warn_of_cuts("texts", (len(before) + len(after) for before, after in pairs), self.model.config.n_ctx + 1)
        return score_pairs(self.model, pairs, batch_size=batch_size, truncate=truncate, on_scored=on_scored)

    def loglikelihood_rolling(
        self,
        texts: Sequence[str],
        *,
        stride: int | None = None,
        batch_size: int = 1,
        on_scored: Callable[[int], object] | None = None,
    ) -> list[float]:
        """Log P of whole texts of any length, each token scored once and each text by itself, from <|endoftext|> on.

        `stride`: how many tokens each window scores, all it holds by default; fewer have more before them. `on_scored`
        hears of windows of the context's length. Units: nats.
        Raises: PromptError where the tokenizer has no <|endoftext|>.
        """
        first, n_ctx = first_id(self.tokenizer), self.model.config.n_ctx
        windows = [list(rolling_windows(ids, first, n_ctx, stride)) for ids in self.tokenizer.encode_batch(texts)]
        scores = iter(
            score_pairs(
                self.model, [pair for pairs in windows for pair in pairs], batch_size=batch_size, on_scored=on_scored
            )
        )
        return [math.fsum(next(scores).nats for _ in pairs) for pairs in windows]

    def prompt_ids(self, prompt: str) -> list[int]:
        """A prompt's tokens; an empty prompt is the start of a document, <|endoftext|>.

        Raises: PromptError for an empty prompt where the tokenizer has no such token.
        """
        return self.tokenizer.encode(prompt) or [first_id(self.tokenizer)]

    def _batch(
        self,
        samples: Sequence[tuple[tuple[int, ...], int]],
        sampling: Sampling | None,
        max_tokens: int,
        seed: int,
        stop: Sequence[str],
    ) -> Batch:
        _check_least("max_tokens", max_tokens, 0)
        engine = Engine(self.model, eot_id=self.tokenizer.eot_id, native=self.native)
        return Batch(engine, self.tokenizer, samples, sampling or Sampling(), max_tokens, seed, _several(stop))


def _numbered(prompts: Iterable[tuple[int, ...]]) -> list[tuple[tuple[int, ...], int]]:
    """Each prompt with how many equal ones came before it."""
    seen: Counter[tuple[int, ...]] = Counter()
    samples: list[tuple[tuple[int, ...], int]] = []
    for prompt in prompts:
        samples.append((prompt, seen[prompt]))
        seen[prompt] += 1
    return samples


def _warn_of_cuts(what: str, lengths: Iterable[int], most: int) -> None:
    too_long = [length > most for length in lengths]
    if any(too_long):
        warnings.warn(
            f"{sum(too_long)} of {len(too_long)} {what} have more than {most} tokens and lost their first ones",
            stacklevel=3,
        )


def _check_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{name} must be at least {least}, got {value}")


def _several(stop: Sequence[str]) -> Sequence[str]:
    """Stop strings, of which one alone may be given as it is: its letters are none."""
    return (stop,) if isinstance(stop, str) else stop
