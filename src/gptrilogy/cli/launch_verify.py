"""A run's proof that it can be repeated, and what is said of it. Imports torch."""

from gptrilogy.cli import launch_finetune
from gptrilogy.cli.environment import Changes
from gptrilogy.cli.output import print_json, print_text
from gptrilogy.config import parse
from gptrilogy.data.shards import open_shards
from gptrilogy.devices import pick_device
from gptrilogy.errors import RunError
from gptrilogy.finetuning.finetune import FineTuning
from gptrilogy.finetuning.finetune import state_builder as tuning_builder
from gptrilogy.finetuning.saved import is_finetuned
from gptrilogy.runs import ASKED, Run
from gptrilogy.tokenizers import load_tokenizer
from gptrilogy.training.config import RunConfig
from gptrilogy.training.pretrain import LanguageModelling, state_builder
from gptrilogy.training.progress import ConsoleReporter
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.verifying import Replay, replay


def verify_run(run: Run, steps: int, changed: Changes, reporter: ConsoleReporter, *, json: bool) -> int:
    """Replay so many steps and tell how it went; -> the exit code.

    Raises: RunError naming the first difference, and what has changed around the run; ConfigError; CheckpointError.
    """
    if changed:
        verb = "cannot be expected to" if changed.decisive else "may not"
        reporter.warn(f"the replay {verb} be bit-exact: {changed}")
    with StopRequest() as stop:
        found = _replay(run, steps, reporter, stop)
    if stop:
        reporter.note(f"stopped by {stop.name}: {found.losses_compared:,} steps were the same until there")
        return stop.exit_code
    if found.verified and found.losses_compared < steps:
        reporter.note(
            f"{found.losses_compared:,} steps instead of {steps:,}: no more are kept after step {found.from_step:,}"
        )
    if json:
        print_json(
            {
                "verified": found.verified,
                "from_step": found.from_step,
                "to_step": found.to_step,
                "losses_compared": found.losses_compared,
                "states_compared": found.states_compared,
                "state_sha256": found.state_sha256,
                "difference": found.difference,
            }
        )
    if found.difference:
        cause = f"what has changed around it: {changed}" if changed else "nothing is known to have changed around it"
        raise RunError(f"{run.folder} does not repeat its {found.difference}; {cause}")
    if not json:
        print_text(verdict(run, found))
    return 0


def verdict(run: Run, found: Replay) -> str:
    """One sentence on a replay without a difference."""
    steps = f"steps {found.from_step + 1:,} to {found.to_step:,} of {run.folder}"
    what = "the whole state after step " + " and ".join(f"{step:,}" for step in found.states_compared)
    if not found.states_compared:
        what = "no state, for there is no checkpoint among these steps"
        if found.next_checkpoint is not None:
            what += f" (--verify {found.next_checkpoint - found.from_step} reaches one)"
    return (
        f"verified: {steps} repeat to the bit: {found.losses_compared:,} losses and gradient norms, {what}; "
        f"the state of step {found.to_step:,} is {found.state_sha256}"
    )


def _replay(run: Run, steps: int, reporter: ConsoleReporter, stop: StopRequest) -> Replay:
    """Put the run together as it trains, and let it go over its steps again.

    Raises: as `replay`; RunError where the run was interrupted before its training began.
    """
    stored = run.config()
    if is_finetuned(stored):
        tuned = launch_finetune.reopen_run(run, reporter)
        reporter.expect(max_steps=tuned.config.train.max_steps or 0)
        objective = FineTuning(tuned.config, run, tuned.data)
        return replay(run, steps, tuning_builder(tuned.config, run), objective, stop, reporter.within_step)
    if ASKED in stored:
        raise RunError(f"{run.folder} has no steps to verify: its text was being prepared; `gpt resume {run.folder}`")
    config = parse(RunConfig, stored)
    reporter.expect(max_steps=config.train.max_steps or 0)
    data = open_shards(run.data_folder, fingerprint=load_tokenizer(run.tokenizer_folder).fingerprint)
    objective = LanguageModelling(config, data, pick_device(config.train.device))
    return replay(run, steps, state_builder(config), objective, stop, reporter.within_step)
