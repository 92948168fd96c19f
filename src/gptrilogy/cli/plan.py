"""`gpt plan`: what a model or a run would cost, before it costs anything."""

import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from gptrilogy.cli.options import ConfigFile, Fields, Json, budget_seconds, requested_config
from gptrilogy.config import Tree, suggest
from gptrilogy.errors import ConfigError
from gptrilogy.models.config import PRESETS
from gptrilogy.training.config import RunConfig


def plan(
    *targets: str,
    budget: str | None = None,
    max_steps: int | None = None,
    config_file: ConfigFile = None,
    json: Json = False,
    fields: Fields = None,
) -> None:
    """What a model or a run would cost, and what to expect of it.

    A preset is planned from its paper's numbers and this machine's measured
    matrix ceiling. For your own text, the same decisions are taken as by `gpt
    pretrain`: a tokenizer is trained, the text packed in a temporary folder,
    and real steps are timed. Of a corpus with weights, a table says how much
    of each set is read, and how many times.

        gpt plan gpt2-small
        gpt plan gpt3-175b --json
        gpt plan novels/ --budget 2h

    Parameters
    ----------
    targets
        One preset (gpt1, gpt2-small|medium|large|xl, gpt3-small|medium|large|xl|2.7b|6.7b|13b|175b), or sources as
        of `gpt pretrain`, - for standard input among them.
    budget
        Wall-clock time such as 90s, 10m or 1.5h; for the recipe auto. [default: 10m]
    max_steps
        Length of the schedule in optimizer steps.
    config_file
        A TOML file with fields under [model], [data] and [train].
    json
        Print one JSON document.

    """
    if not targets:
        raise ConfigError(f"name a preset or a source of text; presets: {', '.join(PRESETS)}")
    shorthands: Tree = {} if max_steps is None else {"train": {"max_steps": max_steps}}
    if budget is not None:
        shorthands["budget_s"] = budget_seconds(budget)
    if len(targets) == 1 and targets[0] in PRESETS and not Path(targets[0]).exists():
        _plan_preset(requested_config(fields, config_file, {"recipe": targets[0], **shorthands}), json=json)
        return
    if len(targets) == 1 and not Path(targets[0]).exists():
        raise ConfigError(f"{targets[0]} is neither a preset nor a file or folder: {suggest(targets[0], PRESETS)}")
    shorthands["data"] = {"sources": targets}
    _plan_sources(requested_config(fields, config_file, shorthands), json=json)


def _plan_preset(config: RunConfig, *, json: bool) -> None:
    from gptrilogy.cli.launch import measured_ceiling, precision_of
    from gptrilogy.cli.output import print_json
    from gptrilogy.cli.plan_text import print_plan
    from gptrilogy.devices import memory_bytes
    from gptrilogy.scaling.plan import make_plan

    made = make_plan(
        config.model,
        steps=config.train.max_steps,
        batch_size=config.train.batch_size,
        micro_batch_size=config.train.micro_batch_size or 1,
        precision=precision_of(config),
        flops_per_s=measured_ceiling(config),
        available_bytes=memory_bytes(),
    )
    if json:
        print_json(asdict(made))
    else:
        print_plan(made, config)


def _plan_sources(requested: RunConfig, *, json: bool) -> None:
    from gptrilogy.cli import launch
    from gptrilogy.cli.output import print_json
    from gptrilogy.cli.plan_text import print_plan
    from gptrilogy.corpus.spooling import check_sources
    from gptrilogy.devices import describe
    from gptrilogy.runs import Run
    from gptrilogy.training.progress import ConsoleReporter

    check_sources((*requested.data.sources, *requested.data.valid))
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", requested.model_dump(mode="json", exclude_unset=True), describe())
        reporter = ConsoleReporter()
        prepared = launch.new_run(requested, run, reporter, started_at=started_at)
        made, mixture = launch.plan_of(prepared), launch.mixture_of(prepared)
    if json:
        rows = {"mixture": [asdict(row) for row in mixture]} if mixture else {}
        print_json({**asdict(made), **rows, "config": prepared.config.model_dump(mode="json")})
    else:
        print_plan(made, prepared.config, mixture)
