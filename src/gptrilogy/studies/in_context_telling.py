"""What a study of in-context learning found, in curves, in a table and in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from gptrilogy.evaluation.metrics import Estimate, over_seeds, paired_difference
from gptrilogy.metrics import Row
from gptrilogy.studies.in_context_picture import Panel
from gptrilogy.studies.telling import cell, judged

MEAN = "mean of the tasks"
VERBS = "raise", "lower", "have no settled effect on"


@dataclass(frozen=True, slots=True)
class Line:
    """One model at one task: for each number of demonstrations the share of right answers in every draw.

    `controls`: the same after demonstrations with random answers.
    """

    scores: Mapping[int, Sequence[float]]
    controls: Mapping[int, Sequence[float]]

    @property
    def most(self) -> int:
        return max(self.scores)

    @property
    def gain(self) -> Estimate:
        """From the fewest demonstrations to the most."""
        return paired_difference(self.scores[self.most], self.scores[min(self.scores)])

    @property
    def use(self) -> Estimate:
        """What right answers in the most demonstrations are worth, against random ones."""
        return paired_difference(self.scores[self.most], self.controls[self.most])


Lines = Mapping[str, Mapping[str, Line]]  # by model and task


def read_lines(rows: Sequence[Row]) -> Lines:
    """The rows by model and task, and after the tasks their mean in every draw."""
    models, tasks = (list(dict.fromkeys(row[field] for row in rows)) for field in ("model", "task"))
    lines: dict[str, dict[str, Line]] = {}
    for model in models:
        of_tasks = {
            task: _line([row for row in rows if row["model"] == model and row["task"] == task]) for task in tasks
        }
        lines[model] = {**of_tasks, MEAN: _mean(list(of_tasks.values()))}
    return lines


def _line(rows: Sequence[Row]) -> Line:
    def by_shots(field: str) -> dict[int, list[float]]:
        return {shots: [row[field][place] for row in rows] for place, shots in enumerate(rows[0]["shots"])}

    return Line(by_shots("scores"), by_shots("random_scores"))


def _mean(lines: Sequence[Line]) -> Line:
    def mean(of: Sequence[Mapping[int, Sequence[float]]]) -> dict[int, list[float]]:
        return {shots: [fmean(draw) for draw in zip(*(scores[shots] for scores in of), strict=True)] for shots in of[0]}

    return Line(mean([line.scores for line in lines]), mean([line.controls for line in lines]))


def panels(lines: Lines, chance: Mapping[str, float]) -> list[Panel]:
    """A panel for each task and one for their mean."""
    whole = {**chance, MEAN: fmean(chance.values())}
    return [
        Panel(
            title=task,
            chance=share,
            curves={name: _curve(of_model[task].scores) for name, of_model in lines.items()},
            controls={name: _curve(of_model[task].controls) for name, of_model in lines.items()},
        )
        for task, share in whole.items()
    ]


def _curve(scores: Mapping[int, Sequence[float]]) -> list[tuple[int, Estimate]]:
    return [(shots, over_seeds(values)) for shots, values in scores.items()]


def table(lines: Lines) -> list[tuple[str, ...]]:
    """Points by demonstrations for each model and task, and what right answers are worth against random ones."""
    shots = list(_best(lines)[MEAN].scores)
    header = ("model", "task", *map(str, shots), f"{shots[-1]}, random answers", "gain", "right over random")
    body = [
        (model, task, *(cell(_points(over_seeds(line.scores[n]))) for n in shots), *_ends(line))
        for model, of_model in lines.items()
        for task, line in of_model.items()
    ]
    return [header, *body]


def _ends(line: Line) -> tuple[str, str, str]:
    random = over_seeds(line.controls[line.most])
    return cell(_points(random)), cell(_points(line.gain), signed=True), cell(_points(line.use), signed=True)


def verdict(rows: Sequence[Row], lines: Lines, *, quick: bool) -> str:
    """Whether accuracy rises with demonstrations and because of their answers, and whether size matters.

    Tasks are judged against random answers: demonstrations of any kind tell which answers there are.
    """
    best = _best(lines)
    mean, most = best[MEAN], best[MEAN].most
    few, values = min(mean.scores), {shots: 100 * fmean(scores) for shots, scores in mean.scores.items()}
    shows = mean.gain.low > 0 and mean.use.low > 0
    draws = f"With {len(mean.scores[most])} draws of rules and examples and one model a size"
    rise = f"{values[few]:.1f} at {few} demonstrations to {values[most]:.1f} at {most}"
    sentences = [
        f"{draws}, in points out of 100 with 95% intervals, the claim {'shows' if shows else 'does not show'}",
        f"The largest model's mean goes from {rise}, {cell(_points(mean.gain), signed=True)}",
        judged(
            f"The answers in {most} demonstrations, right instead of random,",
            {task: _points(line.use) for task, line in best.items()},
            VERBS,
        ),
    ]
    if len(lines) > 1:
        more = paired_difference(_gains(mean), _gains(next(iter(lines.values()))[MEAN]))
        sentences.append(
            f"The largest model gains {cell(_points(more), signed=True)} more by demonstrations than the smallest"
        )
    bits = {row["model"]: f"{row['text_bits_per_byte']:.3f} ({row['model']})" for row in rows}
    sentences.append(f"Messages held out cost {', '.join(bits.values())} bits a byte")
    return f"{'A test of the path, whose numbers mean nothing. ' if quick else ''}{'. '.join(sentences)}."


def _best(lines: Lines) -> Mapping[str, Line]:
    """The lines of the largest model."""
    return list(lines.values())[-1]


def _gains(line: Line) -> list[float]:
    return [last - first for last, first in zip(line.scores[line.most], line.scores[min(line.scores)], strict=True)]


def _points(estimate: Estimate) -> Estimate:
    return Estimate(*(100 * number for number in estimate))
