"""`gpt generate`: let a model continue a text."""

import sys
from pathlib import Path
from typing import Annotated, Literal, TextIO

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
    precision: Literal["fp32", "bf16", "int8"] = "fp32",
    json: Json = False,
    sampling: Annotated[Sampling | None, Parameter(name="*")] = None,
) -> None:
    """Let a model continue a text.

    One prompt on a terminal is continued as you watch; without one, you type
    beginnings there as often as you like, and /help lists what else can be
    said. The same prompt, settings and seed give the same text, alone or among
    others.

        gpt generate runs/novels
        gpt generate runs/novels --prompt "It is a truth"
        gpt generate runs/novels --prompt "It is" --temperature 0 --json
        echo "It is" | gpt generate runs/novels --top-p 0.9 --n 3

    Parameters
    ----------
    model
        A run folder (its best checkpoint), a checkpoint folder, or any folder that `gpt import` reads.
    prompt
        The text to continue; may be given several times. Without it, standard input is read; if that is empty, the
        model begins a document of its own.
    max_tokens
        The most tokens a completion may have.
    n
        Completions for each prompt.
    seed
        Of the random choices.
    stop
        End before this text; may be given several times.
    precision
        fp32 is exact. bf16 rounds the weights: a token in half the time, a hundredth of a nat worse or less. int8
        rounds those that continue the text further, on a CPU: a third of the time.
    json
        Print {"completions": [{"text", "ids", "finish_reason"}, ...]}, prompts excluded.

    """
    from gptrilogy.errors import ConfigError
    from gptrilogy.loading import load

    if max_tokens < 0 or n < 1:
        raise ConfigError(f"--max-tokens must be at least 0 and --n at least 1, got {max_tokens} and {n}")
    how, stops = sampling or Sampling(), tuple(stop or ())
    if not prompt and not json and n == 1 and _is_terminal(sys.stdin) and _is_terminal(sys.stdout):
        from gptrilogy.cli.launch_dialogue import Settings, talk

        settings = Settings(sampling=how, seed=seed, stop=stops).replace(max_tokens=max_tokens)
        how_loaded = [] if precision == "fp32" else ["--precision", precision]
        talk(load(model, precision=precision), settings, ["gpt", "generate", str(model), *how_loaded])
        return
    from gptrilogy.cli.launch_writing import context_note
    from gptrilogy.cli.output import print_json, print_note

    prompts = prompt or [_read_stdin()]
    loaded = load(model, precision=precision)
    n_ctx = loaded.model.config.n_ctx
    if (longest := max(len(loaded.prompt_ids(text)) for text in prompts)) <= n_ctx < longest + max_tokens:
        print_note(context_note(n_ctx))
    if len(prompts) == 1 and n == 1 and not json:
        pieces = loaded.stream(prompts[0], how, max_tokens=max_tokens, seed=seed, stop=stops)
        _print(prompts[0])
        for piece in pieces:
            _print(piece)
        _print("\n")
        return
    found = loaded.complete(prompts, how, max_tokens=max_tokens, n=n, seed=seed, stop=stops)
    if json:
        rows = [{"text": c.text, "ids": list(c.ids), "finish_reason": c.finish_reason} for c in found]
        print_json({"completions": rows})
        return
    for index, completion in enumerate(found):
        _print(f"--- {index + 1} of {len(found)}\n{prompts[index // n]}{completion.text}\n")


def _read_stdin() -> str:
    return "" if _is_terminal(sys.stdin) or sys.stdin is None else sys.stdin.read().rstrip("\n")


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _print(text: str) -> None:
    """To stdout; a terminal gets no orders from a text."""
    from gptrilogy.cli.output import print_text
    from gptrilogy.corpus.card.printable import visible

    print_text(visible(text) if _is_terminal(sys.stdout) else text, end="")
