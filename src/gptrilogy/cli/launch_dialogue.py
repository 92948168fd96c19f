"""The loop behind `gpt generate` on a terminal: a person begins, the model continues, commands begin with a slash."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from rich.table import Table
from rich.text import Text

from gptrilogy.cli.launch_writing import Settings, Writer
from gptrilogy.cli.output import count
from gptrilogy.cli.terminal import Terminal
from gptrilogy.config import suggest
from gptrilogy.errors import ConfigError, GPTrilogyError
from gptrilogy.files import write_atomic
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.generation.sampling import filtered

N_LIKELIEST = 10
BAR_WIDTH = 30


def talk(model: LanguageModel, settings: Settings, command: Sequence[str]) -> None:
    """Read and answer until Ctrl-D or /quit; `command` is the shell's command that loads this model.

    Raises: KeyboardInterrupt after a second Ctrl-C.
    """
    converse(Writer(model, settings, command, Terminal(COMMANDS)))


def converse(writer: Writer) -> None:
    """Read and answer until Ctrl-D or /quit.

    Raises: KeyboardInterrupt after a second Ctrl-C.
    """
    terminal, weights = writer.terminal, writer.model.model.parameters()
    terminal.aside(
        f"{count(sum(weight.numel() for weight in weights))} parameters, a context of "
        f"{writer.model.model.config.n_ctx} tokens. Type the beginning of a text and press Enter; /help says what else "
        "there is, Ctrl-D leaves."
    )
    terminal.aside(writer.settings.described())
    while True:
        try:
            line = terminal.read()
            writer.stopped = False
            answer(writer, line)
        except EOFError:
            terminal.write("\n")
            return
        except UnicodeDecodeError as error:
            terminal.aside(f"that was not {error.encoding}; nothing was taken of it")
        except KeyboardInterrupt:
            terminal.write("\n")
            if writer.stopped:
                raise
            writer.stopped = True
            terminal.aside("Ctrl-C again, or Ctrl-D, leaves")


def answer(writer: Writer, line: str) -> None:
    """Obey a command or continue a text; what is wrong with it is said in one line.

    Raises: EOFError for /quit; KeyboardInterrupt after a second Ctrl-C.
    """
    try:
        if line.startswith("/") and not line.startswith("//"):
            name, _, argument = line.partition(" ")
            if name not in COMMANDS:
                raise ConfigError(f"there is no {name}, {suggest(name, COMMANDS)} // begins a text with a slash")
            COMMANDS[name].act(writer, argument.strip())
        else:
            writer.begin(line[1:] if line.startswith("//") else line)
    except (GPTrilogyError, OSError) as error:
        writer.terminal.aside(str(error))


def show_help(writer: Writer, _argument: str) -> None:
    table = Table.grid(padding=(0, 2))
    for name, command in COMMANDS.items():
        table.add_row(f"{name} {command.argument}".rstrip(), command.purpose)
    writer.terminal.show(table)
    writer.terminal.aside(
        "Any other line is the beginning of a text, an empty one that of a document; a backslash at its end goes on "
        "with the next line. Ctrl-C stops the model."
    )
    writer.terminal.aside(writer.settings.described())


def setting(*path: str) -> Callable[[Writer, str], None]:
    """A command that sets this field of the settings, or without a value says what they are."""

    def change(writer: Writer, argument: str) -> None:
        if argument:
            *parents, name = path
            fields: dict[str, object] = {name: argument}
            for parent in parents:
                fields = {parent: fields}
            writer.settings = writer.settings.replace(**fields)
        writer.terminal.aside(writer.settings.described())

    return change


def show_likeliest(writer: Writer, argument: str) -> None:
    """The distribution of the next token: as the model has it, and as the settings leave it."""
    model, sampling = writer.model.model, writer.settings.sampling
    ids = writer.ids_of(argument)[-model.config.n_ctx :]
    with torch.inference_mode():
        hidden = model.hidden(torch.tensor([ids], device=model.wte.weight.device))[0, -1]
        logits = model.logits(hidden).double().cpu()  # (V,)
    drawn = torch.zeros_like(logits)
    if sampling.temperature == 0:
        drawn[logits.argmax()] = 1
    else:
        kept, tokens = filtered(logits, sampling)
        drawn[tokens] = kept / kept.sum()
    chances, likeliest = logits.softmax(0).topk(min(N_LIKELIEST, len(logits)))
    table = Table("next token", "model", "drawn", "", box=None, header_style="dim", padding=(0, 2, 0, 0))
    for token, chance in zip(map(int, likeliest), chances, strict=True):
        bar = "█" * round(BAR_WIDTH * drawn[token].item())
        table.add_row(Text(spelt(writer, token)), f"{chance.item():.2%}", f"{drawn[token].item():.2%}", bar)
    writer.terminal.show(table)
    writer.terminal.aside(f"after ...{''.join(spelt(writer, token) for token in ids[-8:])}")


def show_tokens(writer: Writer, argument: str) -> None:
    ids = writer.ids_of(argument)
    cut = Text("|", style="dim").join(Text(spelt(writer, token)) for token in ids)
    writer.terminal.show(cut)
    writer.terminal.aside(f"{len(ids)} tokens")


def spelt(writer: Writer, token: int) -> str:
    """A token on one line: what cannot be seen, and bytes that are no character by themselves, as escapes."""
    text = writer.model.tokenizer.token_bytes(token).decode("utf-8", errors="backslashreplace")
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def save(writer: Writer, argument: str) -> None:
    """Write the last text, prompt included, to a new file."""
    last, path = writer.latest(), Path(argument).expanduser()
    if not argument or path.exists():
        raise ConfigError(
            "/save needs the name of a file" + (f" that is not there yet, got {path}" if argument else "")
        )
    write_atomic(path, (last.prompt + last.text + "\n").encode())
    writer.terminal.aside(f"saved to {path}")


def go_again(writer: Writer, _argument: str) -> None:
    writer.again()


def go_on(writer: Writer, _argument: str) -> None:
    writer.more()


def show_command(writer: Writer, _argument: str) -> None:
    writer.terminal.write(writer.command() + "\n")
    if writer.latest().sample:
        writer.terminal.aside("of its completions this text is the last")


def leave(_writer: Writer, _argument: str) -> None:
    raise EOFError


class Command(NamedTuple):
    """What follows the name, what it is for, and what it does."""

    argument: str
    purpose: str
    act: Callable[[Writer, str], None]


COMMANDS = {
    "/again": Command("", "another continuation of the same beginning", go_again),
    "/more": Command("", "go on where the text has stopped", go_on),
    "/probs": Command("[TEXT]", "the likeliest next tokens after TEXT, or the last text", show_likeliest),
    "/tokens": Command("[TEXT]", "how TEXT, or the last text, is cut into tokens", show_tokens),
    "/temperature": Command(
        "T", "0: always the likeliest token; 1: as the model has it", setting("sampling", "temperature")
    ),
    "/top-k": Command("K", "draw from the K likeliest tokens only; none: from all", setting("sampling", "top_k")),
    "/top-p": Command("P", "draw from the likeliest that reach P together; 1: all", setting("sampling", "top_p")),
    "/max-tokens": Command("N", "pause after N tokens", setting("max_tokens")),
    "/seed": Command("N", "of the random choices", setting("seed")),
    "/command": Command("", "the shell's command that gives the last text again", show_command),
    "/save": Command("FILE", "write the last text to a new file", save),
    "/help": Command("", "this list", show_help),
    "/quit": Command("", "leave, as Ctrl-D does", leave),
}
