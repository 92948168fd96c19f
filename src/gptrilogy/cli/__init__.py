"""The command `gpt`: verbs, each in a module of its own that imports torch only when it begins to work."""

import errno
import os
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter
from pydantic import ValidationError

from gptrilogy import __version__
from gptrilogy.cli import completion
from gptrilogy.cli import tokenizer as tokenizer_verbs
from gptrilogy.cli.contamination import contamination
from gptrilogy.cli.convert import export_model, import_model
from gptrilogy.cli.evaluate import evaluate
from gptrilogy.cli.finetune import finetune
from gptrilogy.cli.generate import generate
from gptrilogy.cli.inspect import inspect
from gptrilogy.cli.papers import check_table, demo_study, explain_result, list_studies
from gptrilogy.cli.plan import plan
from gptrilogy.cli.predict import predict
from gptrilogy.cli.pretrain import pretrain
from gptrilogy.cli.resume import resume
from gptrilogy.cli.tokenizer_report import report
from gptrilogy.cli.track import track
from gptrilogy.config import Config, explain, in_part
from gptrilogy.demo import demo
from gptrilogy.errors import GPTrilogyError
from gptrilogy.training.config import RunConfig

HELP = """GPT-1, GPT-2 and GPT-3 as one working system: from a folder of text to a
model that talks.

Start here:

    gpt demo                                   watch a model learn to speak
    gpt corpus build pages/ --recipe ...       clean text out of raw web pages
    gpt pretrain novels/ --out runs/novels     train on your own text, 10 min
    gpt generate runs/novels --prompt "It"     let it continue a sentence
    gpt finetune runs/novels labels.csv ...    teach it to label texts
    gpt evaluate runs/novels --tasks ...       measure it, zero to few shots
    gpt papers list                            the papers' claims, to try again
    gpt inspect runs/novels --attention        draw where each head looks
    gpt import models/124M --out models/gpt2   bring in OpenAI's GPT-2

Results go to stdout, progress and warnings to stderr. Exit codes: 0 done,
1 could not be done, 2 wrong command or config, 130 after Ctrl-C and 143 after
SIGTERM, both after saving. --traceback shows where an error arose.
"""

# How long a thread of a finished product waits awake for the others. OpenMP's default assumes idle cores: with one more
# busy process on two cores it made a training step 19 times slower; with this many it is 6 times, and as fast if idle.
SPINS = 30_000
ADVICE = {
    errno.ENOSPC: "make room, then give the same command again",
    errno.EDQUOT: "make room, then give the same command again",
    errno.EROFS: "choose a place that can be written",
}

TAKE_STDIN = ("plan", "pretrain", "tokenizer")  # verbs to which - is standard input; the parser takes it for an option

app = App(
    name="gpt",
    help=HELP,
    help_format="plaintext",
    version=__version__,
    default_parameter=Parameter(negative_iterable=()),
)
for verb in (demo, plan, pretrain, resume, finetune, predict, evaluate, contamination, generate, inspect, track):
    app.command(verb)
app.command(import_model, name="import")
app.command(export_model, name="export")

tokenizer = App(
    name="tokenizer",
    help="Train a tokenizer, or fetch a published one; text into token ids and back; what they cost on your text.",
    help_format="plaintext",
)
for verb in (tokenizer_verbs.train, tokenizer_verbs.fetch, tokenizer_verbs.encode, tokenizer_verbs.decode, report):
    tokenizer.command(verb)
app.command(tokenizer)

corpora = App(
    name="corpus",
    help="Raw web pages, books and dumps into clean training text; a page that shows what was kept and dropped.",
    help_format="plaintext",
)
corpora.command("gptrilogy.cli.corpus:build", name="build")  # by name: numpy would double the time of `gpt --help`
corpora.command("gptrilogy.cli.corpus:card", name="card")
app.command(corpora)

studies = App(
    name="papers",
    help="The papers' numbers and how they were measured; your model beside them; their claims tried again, small.",
    help_format="plaintext",
)
studies.command(list_studies, name="list")
studies.command(explain_result, name="explain")
studies.command(check_table, name="check")
studies.command(demo_study, name="demo")
app.command(studies)

completion.offer(plan, targets=completion.presets_and_files)
completion.offer(inspect, model=completion.presets_and_files)
completion.offer(pretrain, sources=completion.files)
completion.offer_field(RunConfig, "recipe", completion.recipes)
completion.offer(tokenizer_verbs.train, sources=completion.files)
completion.offer(report, corpus=completion.files)
completion.offer(finetune, model=completion.files, train=completion.files, valid=completion.files)
completion.offer(import_model, path=completion.files)
completion.offer(export_model, model=completion.files)
completion.offer(evaluate, models=completion.files, tasks=completion.tasks)
completion.offer(contamination, corpus=completion.files, tasks=completion.tasks)
completion.offer(demo_study, name=completion.studies)
completion.offer(list_studies, name=completion.tables)
completion.offer(check_table, model=completion.files, table=completion.tables)
app.register_install_completion_command(
    help="Let the shell complete verbs, options and files: bash, zsh, fish, PowerShell."
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with the code its outcome has."""
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
    _open_streams()
    _name_temporary_folder()
    words = list(sys.argv[1:] if arguments is None else arguments)
    show_traceback = "--traceback" in words
    signal.signal(signal.SIGTERM, _on_sigterm)
    warnings.showwarning = _show_warning
    show_of_threads, threading.excepthook = threading.excepthook, _show_thread_error
    try:
        with in_part():  # flags say a few fields of a config; recipe and file have the others
            said = [word for word in words if word != "--traceback"]
            if said[:1] == ["corpus"]:
                _ = [corpora[name] for name in ("build", "card")]  # until they are looked up, their help is empty
            if said and said[0] in TAKE_STDIN:
                said = ["/dev/stdin" if word == "-" else word for word in said]
            verb, bound, _ = app.parse_args(said, exit_on_error=False, print_error=False)
        try:
            verb(*bound.args, **bound.kwargs)
        finally:
            sys.stdout.flush()  # also where a verb exits by itself: results that cannot be written are a failure
    except (GPTrilogyError, CycloptsError, KeyboardInterrupt, OSError, MemoryError) as error:
        if show_traceback:
            traceback.print_exc()
        sys.exit(_explain(error))
    except Exception as error:  # noqa: BLE001 - a bug of ours still gets one line
        if show_traceback:
            traceback.print_exc()
        _say(f"this is a bug in gptrilogy, please report it: {type(error).__name__}: {error} (--traceback shows more)")
        sys.exit(1)
    finally:
        threading.excepthook = show_of_threads
        _forget_unwritable_stderr()
    sys.exit(0)


def _name_temporary_folder() -> None:
    """Where no usual one can be written, Linux's folder in memory: PyTorch will not be imported without any."""
    try:
        tempfile.gettempdir()
    except OSError:
        tempfile.tempdir = "/dev/shm"  # noqa: S108 - whatever is made in it has a name of its own


def _open_streams() -> None:
    """Give a process that was started without stdin, stdout or stderr the null device in its place.

    Else the next file it opens, a checkpoint perhaps, would get that number, and with it whatever a library prints.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _forget_unwritable_stderr() -> None:
    """What is still held back for a full disk behind stderr would otherwise change the exit code."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    except ValueError:  # closed
        return


def _explain(error: BaseException) -> int:
    """Print one line about an error; return its exit code."""
    match error:
        case KeyboardInterrupt():
            _say("stopped")
            return 128 + signal.SIGINT
        case BrokenPipeError():
            sys.stderr.close()  # the reader of our output has left; there is nobody to tell
            return 1
        case CycloptsError(__cause__=cause):
            known = "(`gpt --help` and `gpt VERB --help` list what there is)"
            _say(explain(Config, cause) if isinstance(cause, ValidationError) else f"{error} {known}")
            return 2
        case GPTrilogyError():
            _say(str(error))
            return error.exit_code
        case MemoryError():
            _say("this machine's memory is full; a smaller --train.micro-batch-size or model needs less")
            return 1
        case _:
            _say(_plainly(error))
            return 1


def _plainly(error: BaseException) -> str:
    """What an error says, without the number that Python puts before what a disk says."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    said = error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
    return f"{said}; {ADVICE[error.errno]}" if error.errno in ADVICE else said


def _say(message: str) -> None:
    """One line to stderr, in which no file name can give the terminal orders."""
    line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in " ".join(message.split()))
    with suppress(OSError):  # nobody to tell; the exit code does
        print(f"gpt: {line}", file=sys.stderr, flush=True)  # noqa: T201


def _show_warning(message: Warning | str, *_: object) -> None:
    _say(f"warning: {message}")


def _show_thread_error(told: threading.ExceptHookArgs) -> None:
    """A disk's errors in a library's thread are one line, as everywhere; what else ends a thread is told in full."""
    if isinstance(told.exc_value, OSError):
        _show_warning(_plainly(told.exc_value))
    else:
        threading.__excepthook__(told)


def _on_sigterm(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
