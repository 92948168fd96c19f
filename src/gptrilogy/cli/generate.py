"""`gpt generate`: let a model continue a text."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gptrilogy.cli.options import Json
from gptrilogy.generation.config import Sampling


def generate(
    model: Path,
    /,
    *,
    prompt: list[str] | None = None,
    max_tokens: int = 200,
    n: int = 1,
    seed: int = 0,
    stop: list[str] | None = None,
    json: Json = False,
    sampling: Annotated[Sampling | None, Parameter(name="*")] = None,
) -> None:
    """Let a model continue a text.

    One prompt on a terminal is continued as you watch. The same prompt,
    settings and seed give the same text, alone or among others.

        gpt generate runs/novels --prompt "It is a truth"
        gpt generate runs/novels --prompt "It is" --temperature 0 --json
        echo "It is" | gpt generate runs/novels --top-p 0.9 --n 3

    Parameters
    ----------
    model
        A run folder (its best checkpoint), a checkpoint folder, or any folder that `gpt import` reads.
    prompt
        The text to continue; may be given several times. Without it, standard input is read; if that is empty or a
        terminal, the model begins a document of its own.
    max_tokens
        The most tokens a completion may have.
    n
        Completions for each prompt.
    seed
        Of the random choices.
    stop
        End before this text; may be given several times.
    json
        Print {"completions": [{"text", "ids", "finish_reason"}, ...]}, prompts excluded.

    """
    from gptrilogy.cli.output import print_json, print_note, print_text
    from gptrilogy.errors import ConfigError
    from gptrilogy.loading import load

    if max_tokens < 0 or n < 1:
        raise ConfigError(f"--max-tokens must be at least 0 and --n at least 1, got {max_tokens} and {n}")
    prompts = prompt or [_read_stdin()]
    loaded = load(model)
    n_ctx = loaded.model.config.n_ctx
    longest = max(len(loaded.prompt_ids(text)) for text in prompts) + max_tokens
    if longest > n_ctx:
        print_note(
            f"note: this goes past the context of {n_ctx} tokens; there the model sees only the last half or more"
        )
    how = sampling or Sampling()
    if json:
        found = loaded.complete(prompts, how, max_tokens=max_tokens, n=n, seed=seed, stop=stop or ())
        rows = [{"text": c.text, "ids": list(c.ids), "finish_reason": c.finish_reason} for c in found]
        print_json({"completions": rows})
    elif len(prompts) == 1 and n == 1:
        pieces = loaded.stream(prompts[0], how, max_tokens=max_tokens, seed=seed, stop=stop or ())
        print_text(prompts[0], end="")
        for piece in pieces:
            print_text(piece, end="")
        print_text("")
    else:
        found = loaded.complete(prompts, how, max_tokens=max_tokens, n=n, seed=seed, stop=stop or ())
        for index, completion in enumerate(found):
            print_text(f"--- {index + 1} of {len(found)}\n{prompts[index // n]}{completion.text}")


def _read_stdin() -> str:
    return "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read().rstrip("\n")
