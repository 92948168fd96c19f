"""GPT-1's Figure 2 (right), small: zero-shot scores of a model during its pretraining.

The paper scales each score between random answers (0) and the state of the art of its day (1). A model of this size is
far from that, so the table has raw scores, and the picture the share of the way from chance to a perfect score.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from gptrilogy.errors import ConfigError
from gptrilogy.evaluation.metrics import Estimate, over_seeds, paired_difference
from gptrilogy.metrics import Row
from gptrilogy.studies.picture import draw_curves
from gptrilogy.studies.pretraining import Pupil, new_pupil, pack_speeches
from gptrilogy.studies.study import Journal, Options, Result, Say, data_folder
from gptrilogy.studies.zero_shot_tasks import Task, read_tasks


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the study is: the updates after which models are scored, of which the last end the training."""

    stages: tuple[int, ...]
    max_seeds: int | None = None
    max_examples: int | None = None


FULL = Scale((0, 10, 30, 100, 200, 400, 800, 1500))
QUICK = Scale((0, 5, 20), max_seeds=2, max_examples=40)


@dataclass(frozen=True, slots=True)
class Line:
    """One measure of one task over the updates: at each a score for every seed, in their order."""

    name: str
    chance: Estimate
    scores: Mapping[int, Sequence[float]]

    @property
    def first(self) -> Sequence[float]:
        return self.scores[min(self.scores)]

    @property
    def last(self) -> Sequence[float]:
        return self.scores[max(self.scores)]

    @property
    def gain(self) -> Estimate:
        """How much more the last models score than the untrained ones."""
        return paired_difference(self.last, self.first)

    def above_chance(self, updates: int) -> Estimate:
        """The share of the way from chance to a perfect score."""
        chance = self.chance.value
        return over_seeds([(score - chance) / (1 - chance) for score in self.scores[updates]])

    @property
    def rose(self) -> bool:
        """Whether seeds agree on a gain, and the last models score more than random answers may on these examples.

        The second, because all seeds may learn to give one answer alone, which some examples favour a little.
        """
        return self.gain.low > 0 and fmean(self.last) > self.chance.high


def run(options: Options, say: Say) -> Result:
    """Pretrain a model for each seed, and score it on every task at every stage.

    Seeds differ in initial weights and in the order of the text; the tokenizer and the text are the same for all.

    Raises: ConfigError and DataError where the data cannot be used; what pretraining raises.
    """
    if options.model is not None:
        raise ConfigError(
            f"this study scores models from before their first update on, so it trains its own: got --model "
            f"{options.model}, leave it out"
        )
    scale = QUICK if options.quick else FULL
    tasks = read_tasks(data_folder(options), say, limit=scale.max_examples)
    n_seeds = min(options.seeds, scale.max_seeds or options.seeds)
    rows = list(_measured(options, scale, tasks, n_seeds, say))
    lines = [_line(task, measure, rows) for task in tasks for measure in task.chance]
    draw_curves(
        {line.name: [(updates, line.above_chance(updates)) for updates in scale.stages] for line in lines},
        options.out / "figure.png",
        title=f"zero-shot scores during pretraining: mean of {n_seeds} runs and its 95% interval",
        x_label="updates",
        y_label="from chance (0%) to perfect (100%)",
        linear_until=scale.stages[1],
    )
    return Result(rows, table(lines), verdict(lines, quick=options.quick))


def _measured(options: Options, scale: Scale, tasks: Sequence[Task], n_seeds: int, say: Say) -> Iterator[Row]:
    """A row for each seed, stage and task, measured now unless it was before."""
    text = options.out / "pretrained" / "text"
    packed = pack_speeches(text, say)
    journal = Journal(options.out / "rows.jsonl")
    for seed in range(n_seeds):
        pupil = new_pupil(text.with_name(f"seed-{seed}"), text, packed, seed=seed, max_steps=scale.stages[-1], say=say)
        for updates in scale.stages:
            place: Row = {"quick": options.quick, "config": pupil.recipe_hash, "seed": seed, "updates": updates}
            yield from _stage(pupil, tasks, place, journal, say)


def _stage(pupil: Pupil, tasks: Sequence[Task], place: Row, journal: Journal, say: Say) -> list[Row]:
    """The rows of all tasks for one seed after so many updates; it trains only if one is missing."""
    conditions = [{**place, "task": task.name, "data": task.digest} for task in tasks]
    missing = [
        (task, condition) for task, condition in zip(tasks, conditions, strict=True) if not journal.find(condition)
    ]
    if missing:
        model = pupil.after(place["updates"], say)
        for task, condition in missing:
            journal.add({**condition, "examples": task.examples, "scores": task.score(model)})
    rows = [row for condition in conditions if (row := journal.find(condition))]
    found = (f"{row['task']} {measure} {score:.3f}" for row in rows for measure, score in row["scores"].items())
    say(f"seed {place['seed']}, {place['updates']:,} updates: {', '.join(found)}")
    return rows


def _line(task: Task, measure: str, rows: Sequence[Row]) -> Line:
    scores: dict[int, list[float]] = {}
    for row in rows:
        if row["task"] == task.name:
            scores.setdefault(row["updates"], []).append(row["scores"][measure])
    return Line(f"{task.name} {measure}", task.chance[measure], scores)


def table(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    """Raw scores by updates, and under them what training brought: mean and half the 95% interval over seeds."""
    stages = list(lines[0].scores)
    return [
        ("updates", *(line.name for line in lines)),
        ("chance", *(_cell(line.chance) for line in lines)),
        *((f"{updates:,}", *(_cell(over_seeds(line.scores[updates])) for line in lines)) for updates in stages),
        ("gain", *(_cell(line.gain) for line in lines)),
        ("above chance", *(_cell(line.above_chance(stages[-1])) for line in lines)),
    ]


def verdict(lines: Sequence[Line], *, quick: bool) -> str:
    """Which measures rose from the first stage to the last by more than chance explains, and which did not."""
    rose = [line for line in lines if line.rose]
    others = [line for line in lines if not line.rose]
    text = f"In {len(lines[0].first)} runs of {max(lines[0].scores):,} updates, {len(rose)} of {len(lines)} zero-shot "
    text += "scores rose (95% interval of the gain above 0, and the last score above what chance gives)"
    text += f": {', '.join(map(_change, rose))}" if rose else ""
    text += f"; it does not show for {', '.join(map(_change, others))}" if others else ""
    return f"{'A test of the path, whose numbers mean nothing. ' if quick else ''}{text}."


def _change(line: Line) -> str:
    return f"{line.name} {fmean(line.first):.3f} to {fmean(line.last):.3f}"


def _cell(estimate: Estimate) -> str:
    """A mean with half its interval, where it has one.

    >>> _cell(Estimate(0.5, 0.45, 0.55)), _cell(Estimate(0.5, math.nan, math.nan))
    ('0.500 ± 0.050', '0.500')
    """
    half = estimate.high - estimate.value
    return f"{estimate.value:.3f}" if math.isnan(half) else f"{estimate.value:.3f} ± {half:.3f}"
