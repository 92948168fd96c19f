"""A run as W&B reads it: a folder on this disk. Nothing is sent anywhere unless WANDB_MODE says so."""

import os
from pathlib import Path

from gptrilogy.errors import RunError
from gptrilogy.extras import needs
from gptrilogy.metrics import Row
from gptrilogy.runs import Run
from gptrilogy.tracking.points import points
from gptrilogy.tracking.tail import News

PROJECT = "gptrilogy"


class WandbRuns:
    """A W&B run of the folder's name, with its config. Steps only rise there: what is taken back needs another run."""

    def __init__(self, run: Run, _began_s: float, *, folder: Path) -> None:
        """Raises: MissingExtraError without the package wandb; RunError where W&B cannot begin."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it sends its own errors home otherwise
        with needs("wandb", purpose="gpt track --to wandb"):
            import wandb
        self._wandb, self._run, self._folder = wandb, run, folder
        self._mode = os.environ.get("WANDB_MODE", "offline")
        self._superseded = 0
        self._begin()

    def log(self, row: Row) -> None:
        if numbers := points(row):
            self._current.log(numbers, step=row["step"])

    def take_back(self, news: News) -> None:
        """Leave the W&B run as it is, and tell the whole story so far to a new one."""
        self._current.finish()
        self._superseded += 1
        self._begin()
        for row in news.kept:
            self.log(row)

    def flush(self) -> None:
        """W&B writes in a process of its own."""

    def close(self) -> str:
        self._current.finish()
        left = f"; {self._superseded} older beside it have rows that were taken back" if self._superseded else ""
        return f"send it, if you want to: wandb sync {self._place}{left}" if self._mode == "offline" else self._place

    def _begin(self) -> None:
        name = self._run.folder.resolve().name
        quiet = self._wandb.Settings(
            console="off", silent=True, disable_git=True, disable_code=True, x_disable_stats=True, x_disable_meta=True
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._current = self._wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                name=name,
                dir=str(self._folder),
                config=self._run.config(),
                mode=self._mode,
                reinit="create_new",
                settings=quiet,
            )
        except self._wandb.Error as error:
            raise RunError(
                f"W&B could not begin a run in {self._folder}: {error}; WANDB_MODE=offline needs no network"
            ) from None
        self._place = self._current.settings.sync_dir
