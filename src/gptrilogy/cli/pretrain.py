"""`gpt pretrain`: from sources to a trained run."""

import sys
import tempfile
import time
from pathlib import Path

from gptrilogy.cli.options import ConfigFile, Fields, Files, Flag, Json, Out, StopAt, budget_seconds, requested_config
from gptrilogy.config import Tree
from gptrilogy.errors import ConfigError, DataError, TokenizerError


def pretrain(
    *sources: str,
    out: Out = None,
    budget: str | None = None,
    max_steps: int | None = None,
    stop_at: StopAt = None,
    valid: Files | None = None,
    config_file: ConfigFile = None,
    dry_run: Flag = False,
    profile: Flag = False,
    force: Flag = False,
    json: Json = False,
    fields: Fields = None,
) -> None:
    """Train a GPT on text.

    Without a recipe, the budget (10 minutes if you give none) decides
    vocabulary, model, batch and steps, after a few timed steps; the plan is
    shown first. With one of the papers' recipes (gpt1, gpt2-small ...
    gpt3-175b) their numbers hold. Every field below overrides the recipe, and
    --config FILE.toml does too, before the flags.

        gpt pretrain novels/ --out runs/novels
        gpt pretrain novels/ --out runs/novels --budget 2h --model.n-ctx 512
        gpt pretrain novels/ --out runs/small --recipe gpt2-small \\
            --max-steps 2000 --train.batch-size 8
        zcat dump.jsonl.gz | gpt pretrain - --out runs/dump

    A source named - is standard input, read to its end before anything else:
    JSON lines if its first line is a JSON object, else text, one document.
    Of a built corpus whose sets have weights, each set gets its share of the
    training windows. The flag --data.weights gives other weights, or makes a
    mixture of any sources, each of which is called by its file or folder:

        gpt pretrain corpus/ --out runs/mixed
        gpt pretrain web/ books/ --out runs/mixed --data.weights web=3,books=1

    Ctrl-C saves and stops; `gpt resume RUN` goes on exactly there.

    Parameters
    ----------
    sources
        Text files, JSON lines (both also as .gz, .bz2, .xz, .zst), Parquet, folders of these, - for standard input,
        named pipes and <(...); a built corpus; or a packed folder (RUN/data). A text file is one document.
    out
        The run folder to make. Required but for --dry-run and --profile.
    budget
        Wall-clock time for everything, such as 90s, 10m or 1.5h; for the recipe auto. [default: 10m]
    max_steps
        Length of the schedule in optimizer steps; short for --train.max-steps.
    stop_at
        Stop and save after this many steps, as Ctrl-C would; the schedule stays as long as it is.
    valid
        Text of its own for validation, instead of a held-out part; short for --data.valid.
    config_file
        A TOML file with fields under [model], [data] and [train].
    dry_run
        Prepare, print the resolved config as JSON, leave nothing behind.
    profile
        Prepare, take a few steps apart, print where their time and memory go, leave nothing behind.
    force
        Replace the run that --out already holds; it goes once the new one is prepared, and stays if that cannot be.
    json
        Print the last metrics row and the path of the best checkpoint as one JSON document; of --profile all of it.

    """
    started_at = time.monotonic()
    shorthands: Tree = {"data": {"sources": sources}} if sources else {}
    if valid:
        shorthands.setdefault("data", {})["valid"] = tuple(map(str, valid))
    if max_steps is not None:
        shorthands["train"] = {"max_steps": max_steps}
    if budget is not None:
        shorthands["budget_s"] = budget_seconds(budget)
    requested = requested_config(fields, config_file, shorthands)
    if not requested.data.sources:
        raise ConfigError("name at least one source of text, for example: gpt pretrain novels/ --out runs/novels")
    if profile and dry_run:
        raise ConfigError("--dry-run prints a config and --profile a profile: give one of them")
    if out is None and not (dry_run or profile):
        raise ConfigError("--out is missing: name the run folder to make, for example --out runs/novels")

    from gptrilogy.corpus.spooling import check_sources

    check_sources((*requested.data.sources, *requested.data.valid), out)

    from gptrilogy.cli.profile_text import print_profile, silence_tracing

    if profile:
        silence_tracing()

    from gptrilogy.cli import launch
    from gptrilogy.cli.environment import environment
    from gptrilogy.cli.output import print_json
    from gptrilogy.runs import ASKED, Run
    from gptrilogy.training.profiling import profile_steps
    from gptrilogy.training.progress import ConsoleReporter
    from gptrilogy.training.state import check_memory

    reporter = ConsoleReporter()
    asked = requested.model_dump(mode="json", exclude_unset=True)
    if dry_run or profile or out is None:
        with tempfile.TemporaryDirectory() as folder:
            run = Run.create(Path(folder) / "run", asked, environment())
            prepared = launch.new_run(requested, run, reporter, started_at=started_at)
            launch.show_plan(prepared, reporter)
            if profile:
                print_profile(profile_steps(prepared.config, prepared.data), json=json)
            else:
                print_json(prepared.config.model_dump(mode="json"))
        return
    with Run(out).at_work():
        run = Run.create(out, {ASKED: asked}, environment(), force=force)
        with run.taken_back_on(ConfigError, DataError, TokenizerError):
            prepared = launch.new_run(requested, run, reporter, started_at=started_at)
            check_memory(prepared.config)
        run.write_config(prepared.config.model_dump(mode="json"))
        launch.show_plan(prepared, reporter)
        code = launch.train_run(prepared, run, reporter, stop_at=stop_at, json=json)
    sys.exit(code)
