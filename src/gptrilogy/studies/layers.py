"""GPT-1's Figure 2 (left), small: the score by how many pretrained layers fine-tuning takes over.

With the first layer come the embeddings, with the last one the final norm.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from gptrilogy.evaluation.metrics import Estimate, over_seeds, paired_difference
from gptrilogy.metrics import Row
from gptrilogy.studies.study import Options, Result, Say
from gptrilogy.studies.telling import cell, draw, judged, opening, scores
from gptrilogy.studies.tuning import Scale, Trial, find_base, measured, quick_scale, read_data_sets

FULL = Scale(("SNLI",))
QUICK = quick_scale("CoLA")
TRANSFERRED = (-1, 0, 2, 4)  # and all
NAMES = {-1: "nothing", 0: "embeddings"}

Scores = dict[str, dict[int, list[float]]]  # of a task, with so many layers: one a seed


def run(options: Options, say: Say) -> Result:
    """Fine-tune with every number of transferred layers on every task, for each seed.

    Raises: ConfigError and DataError where the data cannot be used; what pretraining and fine-tuning raise.
    """
    scale = QUICK if options.quick else FULL
    data_sets = read_data_sets(options, scale, say)
    base = find_base(options, scale, say)
    layers = sorted({*(n for n in TRANSFERRED if n < base.n_layer), base.n_layer})
    trials = [
        Trial(data, layer_name(n), seed, {**scale.length, "transfer_layers": n})
        for seed in scale.seeds(options)
        for data in data_sets
        for n in layers
    ]
    rows = list(measured(options, base, trials, say))
    found = {
        data.title: {n: scores(rows, task=data.name, condition=layer_name(n)) for n in layers} for data in data_sets
    }
    draw(
        {task: [(n, over_seeds(values)) for n, values in of.items()] for task, of in found.items()},
        {n: layer_name(n) for n in layers},
        options.out / "figure.png",
        title="fine-tuned from a part of the pretrained weights: mean over seeds and its 95% interval",
        labels=("transferred", "score times 100"),
        bands=True,
    )
    return Result(rows, table(found), verdict(rows, found, quick=options.quick))


def layer_name(n: int) -> str:
    """How a table calls so many layers.

    >>> layer_name(0), layer_name(1), layer_name(6)
    ('embeddings', '1 layer', '6 layers')
    """
    return NAMES.get(n, f"{n} layer{'s' if n > 1 else ''}")


def table(found: Scores) -> list[tuple[str, ...]]:
    """Mean and half the 95% interval over seeds, and beside it how much more than with one step less."""
    layers = list(next(iter(found.values())))
    lines = [(layer_name(n), *(text for of in found.values() for text in _cells(of, n))) for n in layers]
    return [("transferred", *(text for task in found for text in (task, "more than above"))), *lines]


def _cells(of: Mapping[int, list[float]], n: int) -> tuple[str, str]:
    before = max((less for less in of if less < n), default=None)
    more = "" if before is None else cell(paired_difference(of[n], of[before]), signed=True)
    return cell(over_seeds(of[n])), more


def verdict(rows: Sequence[Row], found: Scores, *, quick: bool) -> str:
    """What all layers bring over nothing and over the embeddings, and whether each further one brought more."""
    parts = [
        judged(f"transferring all layers rather than {what}", {task: _gain(of, less) for task, of in found.items()})
        for what, less in (("nothing", -1), ("the embeddings alone", 0))
    ]
    parts += [_course(task, of) for task, of in found.items()]
    return f"{opening(rows, quick=quick)}{'; '.join(parts)}."


def _gain(of: Mapping[int, list[float]], less: int) -> Estimate:
    return paired_difference(of[max(of)], of[less])


def _course(task: str, of: Mapping[int, list[float]]) -> str:
    means = [over_seeds(values).value for values in of.values()]
    rises = sum(after > before for before, after in pairwise(means))
    listed = ", ".join(f"{mean:.1f}" for mean in means)
    how = "rises at every step" if rises == len(means) - 1 else f"rises at {rises} of {len(means) - 1} steps"
    return f"the mean of {task} {how} ({listed})"
