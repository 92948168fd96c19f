"""`gpt track`: runs in TensorBoard or W&B."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from gptrilogy.cli.options import Flag
from gptrilogy.errors import ConfigError
from gptrilogy.files import check_writable
from gptrilogy.runs import Run
from gptrilogy.tracking.following import Follower
from gptrilogy.tracking.tensorboard_files import TensorBoardFiles
from gptrilogy.tracking.wandb_runs import WandbRuns

LOOK_EVERY_S = 1.0


def track(
    runs: Annotated[list[Path], Parameter(consume_multiple=True)],
    /,
    *,
    to: Literal["tensorboard", "wandb"],
    out: Path | None = None,
    follow: Flag = False,
) -> None:
    """Show runs in TensorBoard or W&B, while they train or afterwards.

    It reads metrics.jsonl, which each run writes anyway: training does not know
    of it, and is neither slowed nor stopped by it. What a resumed run takes
    back is taken back there too.

        gpt track runs/novels --to tensorboard
        gpt track runs/novels runs/tales --to tensorboard --follow
        gpt track runs/novels --to wandb

    W&B runs are written to this disk only; `wandb sync` sends them, and
    WANDB_MODE=online sends them as they come.

    Parameters
    ----------
    runs
        Run folders, of pretraining or fine-tuning. With --follow they need not be there yet.
    to
        The tracker; each is an extra: pip install 'gptrilogy[tensorboard]', 'gptrilogy[wandb]'.
    out
        A folder to which each run's files go, under the run's name. Without it they lie in the run folders.
    follow
        Go on as rows are written, until all runs have ended, or until Ctrl-C.

    """
    from gptrilogy.cli.output import print_note, print_text

    opened = [Run(path) if follow else Run.open(path) for path in runs]
    followers = [Follower(run, partial(_tracker(to), folder=folder)) for run, folder in _places(opened, out)]
    if waiting := [str(run.folder) for run in opened if not run.config_path.is_file()]:
        print_note(f"waiting for runs to begin (Ctrl-C ends): {', '.join(waiting)}")
    try:
        while True:
            for follower in followers:
                follower.catch_up()
            if not follow or all(follower.has_ended for follower in followers):
                break
            time.sleep(LOOK_EVERY_S)
    finally:
        for follower in followers:
            if line := follower.close():
                print_text(f"{follower.run.folder}: {follower.n_rows} rows; {line}")


def _tracker(to: str) -> type[TensorBoardFiles | WandbRuns]:
    return TensorBoardFiles if to == "tensorboard" else WandbRuns


def _places(runs: Sequence[Run], out: Path | None) -> Iterator[tuple[Run, Path]]:
    """Each run with the folder for its tracker's files.

    Raises: ConfigError where two runs would share one; RunError where one cannot be written.
    """
    taken: dict[Path, Run] = {}
    for run in runs:
        folder = run.folder if out is None else out / run.folder.resolve().name
        if folder.resolve() in taken:
            raise ConfigError(
                f"{taken[folder.resolve()].folder} and {run.folder} would both be shown from {folder}; give each run "
                "once, and runs of one name without --out"
            )
        check_writable(folder)
        taken[folder.resolve()] = run
        yield run, folder
