"""A model that continues texts before a person's eyes, and can say how to get each of them again."""

import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from gptrilogy.cli.terminal import Terminal, stoppable
from gptrilogy.config import Config
from gptrilogy.errors import ConfigError
from gptrilogy.generation.completions import Piece
from gptrilogy.generation.config import Sampling
from gptrilogy.generation.language_model import LanguageModel

SHOWN_AGAIN = 40  # characters at most of where a text stopped, before it goes on


class Settings(Config):
    """What decides a continuation besides its prompt and the number of its sample."""

    sampling: Sampling = Sampling()
    seed: int = Field(default=0, description="of the random choices")
    stop: tuple[str, ...] = Field(default=(), description="texts before which a continuation ends")
    max_tokens: int = Field(default=200, ge=1, description="tokens after which the model pauses")

    def described(self) -> str:
        """One line, in the words of the commands that change it."""
        how = self.sampling
        return (
            f"temperature {how.temperature:g}, top-k {how.top_k or 'none'}, top-p {how.top_p:g}, "
            f"max-tokens {self.max_tokens}, seed {self.seed}"
        )

    def draws_like(self, other: "Settings") -> bool:
        """Whether both choose the same tokens, as far as each goes."""
        return self.replace(max_tokens=1) == other.replace(max_tokens=1)


@dataclass(slots=True)
class Continuation:
    """A text in the making. Its pieces end where the model ends; how many are taken is for the writer to say."""

    prompt: str
    settings: Settings
    sample: int
    pieces: Iterator[Piece]
    ids: list[int] = field(default_factory=list[int])
    text: str = ""
    ended: bool = False


class Writer:
    """A model, the settings, and the text that both are at.

    A continuation is the text that `gpt generate` gives for the same prompt, settings, seed and sample; of a character
    that the limit cuts in two it shows nothing, where `gpt generate` writes U+FFFD.
    """

    def __init__(self, model: LanguageModel, settings: Settings, command: Sequence[str], terminal: Terminal) -> None:
        """`command` is the shell's command that loads this model, without prompt and settings."""
        self.model = model
        self.settings = settings
        self.terminal = terminal
        self.last: Continuation | None = None
        self.stopped = False  # by Ctrl-C, in the last continuation
        self._command = command
        self._context_noted = False

    def begin(self, prompt: str, sample: int = 0) -> None:
        """Continue a prompt; an empty one is the beginning of a document.

        Raises: PromptError where it does not fit the context; KeyboardInterrupt after a second Ctrl-C.
        """
        now, endless = self.settings, sys.maxsize
        pieces = self.model.pieces(
            prompt, now.sampling, max_tokens=endless, seed=now.seed, sample=sample, stop=now.stop
        )
        self._note_context(prompt)
        self.last = Continuation(prompt, now, sample, pieces)
        self.terminal.strong(prompt)
        self._go_on(self.last)

    def again(self) -> None:
        """Another sample; after a change of settings, the first under the new ones.

        Raises: ConfigError where there is no other.
        """
        last = self.latest()
        same = self.settings.draws_like(last.settings)
        if same and self.settings.sampling.temperature == 0:
            raise ConfigError("at temperature 0 every sample is the same; /temperature 1 changes that")
        self.begin(last.prompt, last.sample + 1 if same else 0)

    def more(self) -> None:
        """Go on as if the limit had been higher; after a change of settings, with the text so far as the prompt.

        Raises: ConfigError where the model has ended the text.
        """
        last = self.latest()
        if last.ended:
            raise ConfigError("the model has ended this text; /again begins another")
        if not self.settings.draws_like(last.settings):
            self.begin(self._fitting(last.prompt + last.text))
            return
        *_, line = (last.prompt + last.text).split("\n")
        self.terminal.strong(f"... {line[-SHOWN_AGAIN:]}")
        self._go_on(last)

    def _go_on(self, last: Continuation) -> None:
        """Show up to `max_tokens` more tokens of a text, and how fast they came."""
        n, started = 0, time.perf_counter()
        with stoppable() as stop:
            try:
                while not stop and n < self.settings.max_tokens:
                    piece = next(last.pieces, None)
                    if piece is None:
                        last.ended = True
                        break
                    n += 1
                    last.ids.append(piece.token)
                    last.text += piece.text
                    self.terminal.write(piece.text)
            finally:
                self.stopped = bool(stop)
        pace = n / (time.perf_counter() - started)
        how = "the end of the text" if last.ended else "stopped; /more goes on" if stop else "/more goes on"
        self.terminal.write("\n")
        self.terminal.aside(f"{n} tokens, {pace:,.0f} a second; seed {last.settings.seed}, sample {last.sample}; {how}")

    def latest(self) -> Continuation:
        """Raises: ConfigError before the first continuation."""
        if self.last is None:
            raise ConfigError("there is no text yet; begin one")
        return self.last

    def ids_of(self, text: str) -> list[int]:
        """The tokens of a text, or without one those of the last continuation, as the model wrote it."""
        if text or self.last is None:
            return self.model.prompt_ids(text)
        return [*self.model.prompt_ids(self.last.prompt), *self.last.ids]

    def command(self) -> str:
        """The shell's command that gives the last text again; of several completions, the last.

        Raises: ConfigError before the first continuation.
        """
        last = self.latest()
        how = last.settings.sampling
        prompt = [f"--prompt={last.prompt}"] if last.prompt.startswith("-") else ["--prompt", last.prompt]
        words = [*self._command, *prompt, "--max-tokens", len(last.ids), "--seed", last.settings.seed]
        words += ["--temperature", f"{how.temperature:.17g}", *(["--top-k", how.top_k] if how.top_k else [])]
        words += ["--top-p", f"{how.top_p:.17g}"] if how.top_p < 1 else []
        words += [f"--stop={stop}" for stop in last.settings.stop]
        words += ["--n", last.sample + 1] if last.sample else []
        return shlex.join(map(str, words))

    def _fitting(self, text: str) -> str:
        """A text, or where the context is too short for it, the end of it that fills half the context."""
        ids, n_ctx = self.model.prompt_ids(text), self.model.model.config.n_ctx
        if len(ids) <= n_ctx:
            return text
        self.terminal.aside(f"{len(ids)} tokens are more than the context of {n_ctx}: the last half of it goes on")
        return self.model.tokenizer.decode(ids[-max(1, n_ctx // 2) :])

    def _note_context(self, prompt: str) -> None:
        n_ctx = self.model.model.config.n_ctx
        if not self._context_noted and len(self.model.prompt_ids(prompt)) + self.settings.max_tokens > n_ctx:
            self._context_noted = True
            self.terminal.aside(context_note(n_ctx))


def context_note(n_ctx: int) -> str:
    return f"note: this goes past the context of {n_ctx} tokens; there the model sees only the last half or more"
