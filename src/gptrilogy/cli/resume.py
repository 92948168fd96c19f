"""`gpt resume`: go on where a run stopped."""

import sys
import time
from pathlib import Path

from gptrilogy.cli.options import Json, StopAt
from gptrilogy.config import parse
from gptrilogy.errors import ConfigError
from gptrilogy.training.config import RunConfig


def resume(
    run: Path,
    /,
    *,
    max_steps: int | None = None,
    stop_at: StopAt = None,
    verify: int | None = None,
    json: Json = False,
) -> None:
    """Continue a stopped run, to the same bits as if it had never stopped.

    It goes on from the last checkpoint whose files are whole. On the same CPU
    model, torch version and thread count (which is restored) the numbers are
    the same to the bit; where one differs, it says so and goes on.

        gpt resume runs/novels
        gpt resume runs/novels --max-steps 20000
        gpt resume runs/novels --verify 100

    With --verify nothing is trained or written: so many of the steps that the
    run has logged are made again in memory, from a checkpoint that is kept (the
    best and the last two are; where there is but one, from the beginning). It
    is the last one from which another checkpoint is reached. Every loss and
    gradient norm must be the logged one to the bit, and where a checkpoint
    stands the hash of the whole state that of its files: weights, moments,
    random generators, counters. If not, the exit code is 1 and the first
    difference is named.

    Parameters
    ----------
    run
        The run folder.
    max_steps
        Go on to this step on the stored schedule, flat at its last rate past its end.
    stop_at
        Stop and save after this many steps in all.
    verify
        Replay this many logged steps and compare them to the bit, instead of going on.
    json
        Print the last metrics row and the path of the best checkpoint as one JSON document; of --verify its outcome.
    """
    started_at = time.monotonic()
    if verify is not None and not (max_steps is None and stop_at is None):
        raise ConfigError("--verify only looks back: leave --max-steps and --stop-at out")
    from gptrilogy.cli import launch, launch_finetune
    from gptrilogy.cli.environment import restore_environment, source_warning
    from gptrilogy.cli.launch_verify import verify_run
    from gptrilogy.finetuning.saved import is_finetuned
    from gptrilogy.runs import ASKED, Run
    from gptrilogy.training.progress import ConsoleReporter

    reporter = ConsoleReporter()
    opened = Run.open(run)
    with opened.locked(to_read=verify is not None):
        changed = restore_environment(opened)
        if verify is not None:
            sys.exit(verify_run(opened, verify, changed, reporter, json=json))
        if changed:
            reporter.warn(f"the run continues, {'' if changed.decisive else 'perhaps '}not bit-exact: {changed}")
        stored = opened.config()
        if is_finetuned(stored):
            if max_steps is not None:
                raise ConfigError("a fine-tuning run ends where its schedule does; for more, call gpt finetune anew")
            tuned = launch_finetune.reopen_run(opened, reporter)
            sys.exit(launch_finetune.tune_run(tuned, opened, reporter, stop_at=stop_at, json=json))
        if ASKED in stored:  # it was interrupted while the text was prepared
            requested = parse(RunConfig, stored[ASKED])
            prepared = launch.prepare_run(requested, opened, reporter, started_at=started_at)
            launch.show_plan(prepared, reporter)
        else:
            if warning := source_warning(opened):
                reporter.warn(warning)
            prepared = launch.reopen_run(parse(RunConfig, stored), opened)
        done = launch.steps_done(opened)
        if max_steps is not None:
            if max_steps < done:
                raise ConfigError(f"--max-steps must be at least {done}, the steps already done, got {max_steps}")
            prepared = launch.lengthened(prepared, max_steps)
            launch.show_reading(prepared, reporter)
        if done == prepared.config.train.max_steps:
            reporter.note(f"{run} is finished after step {done:,}; --max-steps {2 * done} would go on to twice that")
        opened.write_config(prepared.config.model_dump(mode="json"))
        code = launch.train_run(prepared, opened, reporter, stop_at=stop_at, json=json)
    sys.exit(code)
