"""`gpt resume`: go on where a run stopped."""

import sys
import time
from pathlib import Path

from gptrilogy.cli.options import Json
from gptrilogy.config import parse
from gptrilogy.errors import ConfigError
from gptrilogy.training.config import RunConfig


def resume(run: Path, /, *, max_steps: int | None = None, stop_at: int | None = None, json: Json = False) -> None:
    """Continue a stopped run, to the same bits as if it had never stopped.

    It goes on from the last checkpoint whose files are whole. On the same CPU
    model, torch version and thread count (which is restored) the numbers are
    the same to the bit; where one differs, it says so and goes on.

        gpt resume runs/novels
        gpt resume runs/novels --max-steps 20000

    Parameters
    ----------
    run
        The run folder.
    max_steps
        Go on to this step on the stored schedule, flat at its last rate past its end.
    stop_at
        Stop and save after this many steps in all.
    json
        Print the last metrics row and the path of the best checkpoint as one JSON document.
    """
    started_at = time.monotonic()
    from gptrilogy.cli import launch, launch_finetune
    from gptrilogy.finetuning.saved import is_finetuned
    from gptrilogy.runs import Run
    from gptrilogy.training.progress import ConsoleReporter
    from gptrilogy.training.resolve import is_resolved

    reporter = ConsoleReporter()
    opened = Run.open(run)
    with opened.locked():
        launch.restore_environment(opened, reporter)
        if is_finetuned(opened.config()):
            if max_steps is not None:
                raise ConfigError("a fine-tuning run ends where its schedule does; for more, call gpt finetune anew")
            tuned = launch_finetune.reopen_run(opened, reporter)
            sys.exit(launch_finetune.tune_run(tuned, opened, reporter, stop_at=stop_at, json=json))
        config = parse(RunConfig, opened.config())
        if not is_resolved(config):  # it was interrupted while the text was prepared
            prepared = launch.prepare_run(config, opened, reporter, started_at=started_at)
            launch.show_plan(prepared, reporter)
        else:
            prepared = launch.reopen_run(config, opened)
        done = launch.steps_done(opened)
        if max_steps is not None:
            if max_steps < done:
                raise ConfigError(f"--max-steps must be at least {done}, the steps already done, got {max_steps}")
            prepared = launch.lengthened(prepared, max_steps)
        if done == prepared.config.train.max_steps:
            reporter.note(f"{run} is finished after step {done:,}; --max-steps {2 * done} would go on to twice that")
        opened.write_config(prepared.config.model_dump(mode="json"))
        code = launch.train_run(prepared, opened, reporter, stop_at=stop_at, json=json)
    sys.exit(code)
