"""A plan as lines and tables for people."""

from collections.abc import Callable, Iterator, Sequence

from gptrilogy.cli.output import count, print_note, print_table, print_text, size, table_lines
from gptrilogy.data.mixture import MixtureRow, total_weight
from gptrilogy.models.config import GPTConfig
from gptrilogy.scaling.plan import OVERFITTING_EPOCHS, Plan
from gptrilogy.training.config import RunConfig
from gptrilogy.training.progress import duration


def plan_lines(plan: Plan, model: GPTConfig) -> Iterator[str]:
    """The plan of a run in a few lines, shown before it starts."""
    attention = "" if set(model.attention) == {"dense"} else f", attention {', '.join(model.attention)}"
    yield (
        f"model: {count(plan.parameters)} parameters, {model.n_layer} layers of {model.n_embd}, "
        f"{model.n_head} heads, context {model.n_ctx}, vocabulary {model.n_vocab:,}{attention}"
    )
    epochs = f", {plan.epochs:.1f} times the text" if plan.epochs is not None else ""
    yield f"training: {plan.steps or 0:,} steps of {plan.tokens_per_step:,} tokens{epochs}"
    yield f"memory: about {size(plan.memory_bytes)}; time: about {duration(plan.seconds or 0)} ({plan.seconds_from})"
    if plan.expected_bits_per_byte is not None:
        yield (
            f"expect about {plan.expected_bits_per_byte:.2f} bits a byte on held-out text "
            "(a rule of thumb from small runs on English prose, not a promise)"
        )


def mixture_lines(rows: Sequence[MixtureRow]) -> Iterator[str]:
    """The mixture of a run as a table like GPT-3's Table 2.2; nothing where it trains on one text."""
    if not rows:
        return
    total = total_weight({row.set: row.weight for row in rows})
    of_sum = "" if total == 1 else f", which add up to {total:g} and are divided by that"
    cells = [(row.set, count(row.tokens), f"{row.weight:g}", f"{row.share:.1%}", f"{row.epochs:.2f}") for row in rows]
    yield from table_lines(
        f"mixture: windows of {len(rows)} sets by weights{of_sum}",
        [("", "tokens", "weight", "of training", "times the set"), *cells],
    )


def mixture_warnings(rows: Sequence[MixtureRow]) -> Iterator[str]:
    """Which sets are read so often that they begin to be learnt by heart."""
    for row in rows:
        if row.epochs > OVERFITTING_EPOCHS:
            yield (
                f"the set {row.set} is small for its weight: it will be read {row.epochs:.1f} times, and after about "
                f"{OVERFITTING_EPOCHS} (Muennighoff et al. 2023) the model begins to learn it by heart; more of it or "
                "a smaller weight helps"
            )


def print_plan(plan: Plan, config: RunConfig, mixture: Sequence[MixtureRow] = ()) -> None:
    """The whole plan as tables on stdout; warnings on stderr."""
    model, train = config.model, config.train
    print_table(f"{config.recipe}: {plan.parameters:,} parameters", _parts(plan.parameters_by_part, lambda n: f"{n:,}"))
    print_table(
        "operations",
        [
            ("forward, FLOPs a token (Kaplan eq. 2.2)", f"{plan.flops_per_token_forward:.3e}"),
            ("training, FLOPs a token, output layer included", f"{plan.flops_per_token_training:.3e}"),
            ("non-embedding parameters (Kaplan eq. 2.1)", f"{plan.non_embedding_parameters:,}"),
        ],
    )
    what = f"memory of a step, {train.micro_batch_size or 1} sequences of {model.n_ctx} at a time"
    print_table(f"{what}: {size(plan.memory_bytes)}", _parts(plan.memory_by_part, size))
    print_table("run", _run_rows(plan))
    if mixture:
        print_text("")
        for line in mixture_lines(mixture):
            print_text(line)
    for warning in (*plan.warnings, *mixture_warnings(mixture)):
        print_note(f"warning: {warning}")


def _run_rows(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "tokens a step", f"{plan.tokens_per_step:,}"
    if plan.steps is None:
        yield "steps", "as many as its epochs need on your text"
        return
    yield "steps", f"{plan.steps:,}"
    yield "tokens", count(plan.tokens or 0)
    if plan.epochs is not None:
        yield "times the text", f"{plan.epochs:.2f}"
    yield "PF-days", f"{plan.pf_days:.3g}"
    yield f"time here ({plan.seconds_from})", duration(plan.seconds or 0)
    if plan.expected_bits_per_byte is not None:
        yield "expected bits a byte (a rule of thumb)", f"{plan.expected_bits_per_byte:.2f}"


def _parts(parts: dict[str, int], show: Callable[[int], str]) -> list[tuple[str, str, str]]:
    total = sum(parts.values())
    return [(name, show(value), f"{value / total:.1%}") for name, value in parts.items()]
