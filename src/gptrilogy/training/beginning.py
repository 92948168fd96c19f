"""Where a run goes on from: the newest of its checkpoints that is whole, or the beginning."""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

from gptrilogy.checkpoints import Checkpoint, checkpoint_folders, damage, set_aside
from gptrilogy.config import Config
from gptrilogy.errors import CheckpointError
from gptrilogy.files import remove_temporaries
from gptrilogy.metrics import cut_metrics
from gptrilogy.runs import Run
from gptrilogy.training.loop import Reporter
from gptrilogy.training.state import TrainState, restore

M = TypeVar("M", bound=nn.Module)


def begin(
    run: Run, config: Config, reporter: Reporter, build: Callable[[Checkpoint | None], TrainState[M]]
) -> TrainState[M]:
    """The state a run goes on from: its newest checkpoint that is whole, or the beginning where there is none.

    `build` makes a state of that checkpoint's weights, whose moments are then restored, or of initial ones. Damaged
    checkpoints are set aside, and the log is cut after the state's step; nothing is changed where there is no state.

    Raises: CheckpointError where no checkpoint is whole, one cannot be read, or the newest is of another config.
    """
    folders = checkpoint_folders(run.checkpoints_folder)
    damaged = {folder: error for folder in folders if (error := damage(folder)) is not None}
    whole = [folder for folder in folders if folder not in damaged]
    if folders and not whole:
        raise CheckpointError(
            f"no checkpoint of {run.folder} is whole: {damaged[folders[-1]]}; put the file back, or delete "
            f"{run.checkpoints_folder} to train from the beginning"
        )
    state = restore(whole[-1], config, build) if whole else build(None)
    for place in (run.folder, run.tokenizer_folder, run.checkpoints_folder):
        remove_temporaries(place)
    for folder, error in damaged.items():
        backwards = "" if folder < whole[-1] else f", and training goes on from {whole[-1].name}"
        reporter.warn(f"{error}; its checkpoint is set aside as {set_aside(folder).name}{backwards}")
    cut_metrics(run.metrics_path, state.step)
    return state
