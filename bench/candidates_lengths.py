"""`python -m bench.candidates_lengths`: what padding costs fine-tuning, and what steps of like length would save.

Three ways to lay out the same examples: in the order of the draw, cut by size alone; as `gpt finetune` does, in groups
of like length within each step; and in steps that are of like length themselves, which changes what a step sees.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.finetuning_cases import snli
from bench.finetuning_contenders import Start, padded_tokens, real_tokens, tune_config
from bench.finetuning_sweep import SMALL, shrunk
from bench.measure import Say
from bench.record import Log, facts, write_record
from bench.report import table
from gptrilogy.finetuning.batches import Item
from gptrilogy.finetuning.finetune import l3_gradients
from gptrilogy.training.loop import update
from gptrilogy.training.optimizer import build_optimizer
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.state import TrainState

DRAWN, GROUPED, SORTED = "in the order drawn", "groups of like length in a step (ours)", "steps of like length"
WAYS = (GROUPED, DRAWN, SORTED)
HEADING = ("model", "way", "tokens a real one", "ms a real token", "speed", "lowest", "highest")

METHOD = """\
{examples} examples of SNLI in steps of {batch_size}, bf16, lambda 0, dropout {dropout:g}: gradient, clipping, update.
The ways take turns on one model, step by step, n = {n} after one of warm-up; steps of like length are taken evenly from
the shortest to the longest. "tokens a real one" are those computed, padding included. "speed" is the median over the
turns of real tokens a second, over those of ours in the same turn. The small model has 4 layers of 128."""

app = App(name="bench.candidates_lengths", help_format="plaintext", version_flags=[])


@dataclass(slots=True)
class Found:
    """One way on one model: seconds, real tokens and computed tokens of each step."""

    model: str
    way: str
    seconds: list[float] = field(default_factory=list[float])
    real: list[int] = field(default_factory=list[int])
    padded: list[int] = field(default_factory=list[int])

    @property
    def tokens_per_s(self) -> list[float]:
        return [tokens / seconds for tokens, seconds in zip(self.real, self.seconds, strict=True)]


@app.default
def lengths(
    *,
    data: Path,
    repeats: Annotated[int, Parameter(validator=Number(gte=1))] = 7,
    record: Path | None = None,
) -> None:
    """Time steps of fine-tuning GPT-2 small, and a small model, on SNLI by all three ways in turn.

    Args:
        data: the folder with finetune/snli/validation.tsv and vocab/gpt2.
        repeats: steps of each way on each model; fewer than five are for trying out.
        record: write README.md, results.json and log.txt into this folder.
    """
    log = Log()
    log.say_load()
    case = snli(data.absolute(), dropout=0.1)
    start = Start.of(case, tune_config(case, "bf16"))
    found = [
        one
        for name, its in (("4 x 128", shrunk(start, SMALL)), ("GPT-2 small", start))
        for one in measure(name, its, repeats, log.say)
    ]
    method = METHOD.format(examples=case.n_examples, batch_size=case.batch_size, dropout=case.dropout, n=repeats)
    page = f"{table(HEADING, lines(found))}\n\n{method}"
    print(page)
    if record:
        known = facts(f"python -m bench.candidates_lengths --data DIR --repeats {repeats} --record DIR", repeats)
        numbers = {"ways": [asdict(one) for one in found]}
        write_record(record, "What padding costs fine-tuning", page, known, numbers, log.lines)


def measure(name: str, start: Start, repeats: int, say: Say) -> list[Found]:
    """A step of each way after the other, on one model that goes on learning."""
    train = start.config.train
    model = start.model().train()
    state = TrainState(model, build_optimizer(model, train))
    found = {way: Found(name, way) for way in WAYS}
    for number in range(repeats + 1):
        for way, one in found.items():
            items = step_items(start, way, number, repeats)
            how = train.replace(bucket=way != DRAWN)
            begun = time.perf_counter()
            state.model.zero_grad(set_to_none=True)
            losses = l3_gradients(state.model, items, how, StopRequest())
            assert losses is not None
            update(state, train.learning_rate, losses["loss_nats"], train.grad_clip)
            if number:  # round 0 warms up
                one.seconds.append(time.perf_counter() - begun)
                one.real.append(real_tokens(items))
                one.padded.append(padded_tokens(items, bucket=how.bucket))
                say(f"{name}, turn {number} of {repeats}, {way}: {one.seconds[-1]:.4f} s")
    return list(found.values())


def step_items(start: Start, way: str, turn: int, turns: int) -> list[Item]:
    """The examples of a step: the next of the draw, or adjacent ones by length, from the shortest to the longest."""
    size = start.config.train.batch_size
    if way != SORTED:
        return start.batch(turn * size, size)
    ordered = sorted(start.items, key=lambda item: item.length)
    first = turn * (len(ordered) - size) // turns
    return ordered[first : first + size]


def lines(found: Sequence[Found]) -> list[tuple[str, ...]]:
    ours = {one.model: one.tokens_per_s for one in found if one.way == GROUPED}
    rows: list[tuple[str, ...]] = []
    for one in found:
        speeds = [its / our for its, our in zip(one.tokens_per_s, ours[one.model], strict=True)]
        padding = sum(one.padded) / sum(one.real)
        times = 1e3 / statistics.median(one.tokens_per_s)
        figures = (statistics.median(speeds), min(speeds), max(speeds))
        rows.append((one.model, one.way, f"{padding:.2f}", f"{times:.3f}", *(f"{figure:.2f}" for figure in figures)))
    return rows


if __name__ == "__main__":
    app()
