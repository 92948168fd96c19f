"""A run from its requested config to its end: survey, tokenizer, shards, fit, plan, train. Imports torch."""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from gptrilogy.checkpoints import checkpoint_folders, manifest
from gptrilogy.cli.output import print_json
from gptrilogy.cli.plan_text import mixture_lines, mixture_warnings, plan_lines
from gptrilogy.config import merge, parse
from gptrilogy.data.mixture import MixtureRow, mixture_table
from gptrilogy.data.shards import PackedData, open_shards
from gptrilogy.data.split import Split
from gptrilogy.devices import Precision, matmul_flops, memory_bytes, pick_device, pick_precision
from gptrilogy.errors import CheckpointError
from gptrilogy.generation.config import Sampling
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.models.gpt import GPT
from gptrilogy.native.building import compiled
from gptrilogy.recipes.auto import DEFAULT_BUDGET_S, TIMING_SHARE, candidates, expected, fit_steps, vocabulary_size
from gptrilogy.runs import Run
from gptrilogy.scaling.compute import training_flops_per_token
from gptrilogy.scaling.plan import Plan, make_plan
from gptrilogy.tokenizers import Tokenizer, load_tokenizer
from gptrilogy.training.config import RunConfig
from gptrilogy.training.picture import draw_loss
from gptrilogy.training.preparation import check_vocabulary, prepare, readable, survey_sets, take_in
from gptrilogy.training.pretrain import pretrain
from gptrilogy.training.progress import ConsoleReporter
from gptrilogy.training.resolve import resolve
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.timing import Timing, time_steps

OPENING_TOKENS, SAMPLE_TOKENS = 12, 60


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that is ready to train: everything decided, everything on disk."""

    config: RunConfig
    tokenizer: Tokenizer
    data: PackedData
    ceiling_flops: float
    timing: Timing | None = None


def new_run(requested: RunConfig, run: Run, reporter: ConsoleReporter, *, started_at: float) -> Prepared:
    """As `prepare_run`, of sources that may be such as can be read only once.

    Raises: as `prepare_run`.
    """
    check_vocabulary(requested)
    take_in(requested.data, run, reporter.note, reporter.passing)
    return prepare_run(requested, run, reporter, started_at=started_at)


def prepare_run(requested: RunConfig, run: Run, reporter: ConsoleReporter, *, started_at: float) -> Prepared:
    """Decide what the config leaves open and pack the text; `started_at` is when the budget began to run.

    Raises: DataError, ConfigError, TokenizerError, RunError.
    """
    split = survey_sets(readable(requested.data, run), requested.seed, reporter.note)
    ceiling = measured_ceiling(requested)
    auto = requested.recipe == "auto"
    budget_s = requested.budget_s or DEFAULT_BUDGET_S
    if auto and split and "n_vocab" not in requested.model.model_fields_set:
        splits = [split] if isinstance(split, Split) else split.values()
        n_vocab = vocabulary_size(budget_s, ceiling, sum(one.text_bytes for one in splits))
        asked = requested.model_dump(exclude_unset=True)
        requested = parse(RunConfig, merge(asked, {"model": {"n_vocab": n_vocab}}))
    tokenizer, data = prepare(requested, split, run, reporter.note, reporter.passing)
    timing: Timing | None = None
    config = requested
    if auto:
        left_s = budget_s - (time.monotonic() - started_at)
        config, timing = fit_to_budget(requested, data, reporter, ceiling, left_s)
    config, notes = resolve(config, data)
    for note in notes:
        reporter.note(note)
    return Prepared(config, tokenizer, data, ceiling, timing)


def fit_to_budget(
    requested: RunConfig, data: PackedData, reporter: ConsoleReporter, ceiling: float, seconds: float
) -> tuple[RunConfig, Timing]:
    """Time the likely candidates, and take the one from which most is to be expected in the time that is left.

    On a machine so slow or busy that the first of them take long, the others are not timed.
    """
    begun = time.monotonic()
    compiled("decoding")  # the first time on a machine it takes seconds, which samples would take out of training
    tried: list[tuple[float, RunConfig, Timing]] = []
    for candidate in candidates(requested, data, seconds=seconds, flops_per_s=ceiling):
        config, _ = resolve(candidate, data)
        timing = time_steps(config, data)
        tokens = seconds / timing.step_s * config.train.batch_size * config.model.n_ctx
        bits = expected(config.model, data, tokens)
        tried.append((bits, candidate, timing))
        reporter.note(
            f"timed {config.model.n_layer} layers of {config.model.n_embd}: {timing.step_s * 1e3:.0f} ms a step, "
            f"so about {bits:.2f} bits a byte in the time there is"
        )
        if time.monotonic() - begun > TIMING_SHARE * seconds:
            break
    _, chosen, timing = min(tried, key=lambda row: row[0])
    if chosen.train.optimizer == "muon":
        reporter.note("optimizer muon for the matrices of the blocks, AdamW, the papers', for the rest")
    left_s = seconds - (time.monotonic() - begun)
    return fit_steps(chosen, requested, data, seconds=left_s, timing=timing), timing


def reopen_run(config: RunConfig, run: Run) -> Prepared:
    """A run whose text is packed and whose config is resolved.

    Raises: DataError where shards are missing, damaged or another tokenizer's.
    """
    tokenizer = load_tokenizer(run.tokenizer_folder)
    data = open_shards(run.data_folder, fingerprint=tokenizer.fingerprint)
    return Prepared(config, tokenizer, data, measured_ceiling(config))


def lengthened(prepared: Prepared, max_steps: int) -> Prepared:
    """The same run with another last step; its schedule stays."""
    return replace(prepared, config=prepared.config.replace(train={"max_steps": max_steps}))


def steps_done(run: Run) -> int:
    """The step of the newest checkpoint, without those whose manifest is damaged."""
    for folder in reversed(checkpoint_folders(run.checkpoints_folder)):
        with suppress(CheckpointError):
            return int(manifest(folder)["step"])
    return 0


def measured_ceiling(config: RunConfig) -> float:
    """FLOP/s of a large matrix product in the precision training will use."""
    return matmul_flops(precision_of(config), pick_device(config.train.device))


def precision_of(config: RunConfig) -> Precision:
    """The precision training will use."""
    asked = config.train.precision
    return pick_precision(pick_device(config.train.device), config.model.n_embd)[0] if asked == "auto" else asked


def plan_of(prepared: Prepared) -> Plan:
    """What a prepared run will take."""
    config, data = prepared.config, prepared.data
    return make_plan(
        config.model,
        steps=config.train.max_steps,
        batch_size=config.train.batch_size,
        micro_batch_size=config.train.micro_batch_size or 1,
        precision="bf16" if config.train.precision == "bf16" else "fp32",
        flops_per_s=prepared.ceiling_flops,
        step_s=prepared.timing.step_s if prepared.timing else None,
        warmup_tokens=config.train.warmup_tokens,
        text_tokens=len(data.train),
        text_bytes=data.train.text_bytes,
        available_bytes=memory_bytes(),
    )


def mixture_of(prepared: Prepared) -> list[MixtureRow]:
    """What the run takes of each set of its mixture; nothing where it trains on one text."""
    train, sets = prepared.config.train, prepared.data.sets
    if not sets:
        return []
    tokens = (train.max_steps or 0) * train.batch_size * prepared.config.model.n_ctx
    return mixture_table({one.name: len(one.train) for one in sets}, {one.name: one.weight for one in sets}, tokens)


def show_plan(prepared: Prepared, reporter: ConsoleReporter) -> None:
    plan, mixture = plan_of(prepared), mixture_of(prepared)
    for line in (*plan_lines(plan, prepared.config.model), *mixture_lines(mixture)):
        reporter.note(line)
    for warning in (*plan.warnings, *mixture_warnings(mixture)):
        reporter.warn(warning)


def show_reading(prepared: Prepared, reporter: ConsoleReporter) -> None:
    """How often a run with another last step reads its text, all its steps counted."""
    plan, mixture = plan_of(prepared), mixture_of(prepared)
    times = "" if mixture else f", {plan.epochs or 0:.2f} times the text"
    reporter.note(f"by step {plan.steps:,} it will have read {plan.tokens:,} tokens{times}")
    for line in mixture_lines(mixture):
        reporter.note(line)
    for warning in (*plan.warnings, *mixture_warnings(mixture)):
        reporter.warn(warning)


def train_run(
    prepared: Prepared, run: Run, reporter: ConsoleReporter, *, stop_at: int | None = None, json: bool = False
) -> int:
    """Train a prepared run and tell how it went; -> the exit code."""
    config = prepared.config
    shutil.rmtree(run.spool_folder, ignore_errors=True)  # it is packed
    reporter.expect(
        max_steps=config.train.max_steps or 0,
        flops_per_token=training_flops_per_token(config.model),
        ceiling_flops=prepared.ceiling_flops,
    )
    with StopRequest() as stop:
        sample = sampler(prepared, config.seed)
        outcome = pretrain(config, run, prepared.data, reporter, stop, stop_at=stop_at, sample=sample)
    if outcome.finished:
        _report_end(run, config, reporter)
    else:
        reason = f"stopped by {stop.name}" if stop else "stopped"
        reporter.note(f"{reason} and saved; `gpt resume {run.folder}` continues exactly here")
    if json:
        best = str(outcome.best_checkpoint) if outcome.best_checkpoint else None
        print_json({**outcome.last_row, "best_checkpoint": best})
    return stop.exit_code


def sampler(prepared: Prepared, seed: int) -> Callable[[GPT], str]:
    """How a model continues the first words of the held-out text, always with the same random numbers."""
    tokenizer, held_out = prepared.tokenizer, prepared.data.valid
    n_opening = max(1, min(OPENING_TOKENS, prepared.config.model.n_ctx // 4, len(held_out)))
    words = tokenizer.decode(held_out.window(0, n_opening).tolist())
    opening = words.rpartition(" ")[0] or words  # the last word may be half a word

    def sample(model: GPT) -> str:
        speaker, how = LanguageModel(model, tokenizer), Sampling(temperature=0.8, top_p=0.95)
        try:
            return f"«{opening}»{speaker.complete([opening], how, max_tokens=SAMPLE_TOKENS, seed=seed)[0].text}"
        except CheckpointError:
            return "no text: the model's scores are not finite"  # of which the loop has its own to say

    return sample


def _report_end(run: Run, config: RunConfig, reporter: ConsoleReporter) -> None:
    model = config.model
    title = (
        f"{run.folder.name}: {model.n_layer} layers of {model.n_embd}, context {model.n_ctx}, {model.n_vocab:,} tokens"
    )
    reporter.picture(run.picture_path, lambda: draw_loss(run.metrics_path, run.picture_path, title=title))
    reporter.note(f'try: gpt generate {run.folder} --prompt "..."')
