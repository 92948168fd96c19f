"""A run as TensorBoard reads it: one file of events in the folder that gives the run its name."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from gptrilogy.extras import needs
from gptrilogy.metrics import Row
from gptrilogy.runs import Run
from gptrilogy.tracking.points import flat, judged_by, points
from gptrilogy.tracking.tail import News

SUFFIX = ".gptrilogy"  # of the files that are ours to replace


class TensorBoardFiles:
    """Scalars by step, the config as hyperparameters and as text. Written anew each time, from the log's first row."""

    def __init__(self, run: Run, began_s: float, *, folder: Path) -> None:
        """Raises: MissingExtraError without the package tensorboard."""
        with needs("tensorboard", purpose="gpt track --to tensorboard"):
            from torch.utils.tensorboard.writer import SummaryWriter
        self._folder, self._began_s = folder, began_s
        for path in folder.glob(f"events.out.tfevents.*{SUFFIX}"):
            path.unlink()
        self._new_writer = partial(SummaryWriter, str(folder), filename_suffix=SUFFIX)
        self._writer = self._new_writer(purge_step=0)  # whoever has an older file open forgets what it said
        self._show_config(run.config())

    def log(self, row: Row) -> None:
        wall_time = self._began_s + row.get("elapsed_s", 0.0)
        for name, number in points(row).items():
            self._writer.add_scalar(name, number, row["step"], walltime=wall_time)

    def take_back(self, news: News) -> None:
        """Begin another file, whose first word is that what others say of this step and later ones is void."""
        self._writer.close()
        self._writer = self._new_writer(purge_step=news.cut_step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> str:
        self._writer.close()
        return f"look at it: tensorboard --logdir {self._folder}"

    def _show_config(self, config: Row) -> None:
        from torch.utils.tensorboard import summary

        assert self._writer.file_writer is not None
        hparams = cast("Callable[..., tuple[Any, ...]]", summary.hparams)  # torch gives it no types
        for part in hparams(flat(config), dict.fromkeys(judged_by(config), 0.0))[
            :2
        ]:  # which there are, and what they are here; the third would say that the run is over
            self._writer.file_writer.add_summary(part)
        lines = json.dumps(config, indent=2, ensure_ascii=False).splitlines()
        self._writer.add_text("config", "\n".join(f"    {line}" for line in lines))
