"""`gpt finetune`: from a pretrained model and labelled examples to a run that predicts."""

import sys
from typing import Annotated

from cyclopts import Parameter
from pydantic import Field

from gptrilogy.cli.options import ConfigFile, Flag, Json, Out, StopAt
from gptrilogy.config import Config, merge, parse, read_toml
from gptrilogy.errors import ConfigError, GPTrilogyError
from gptrilogy.finetuning.config import FinetuneConfig, MetricName, Regression, TuneConfig


class Settings(Config):
    """What flags and a file may set of a `FinetuneConfig`."""

    seed: int = Field(default=0, ge=0, lt=2**63, description="of the new weights, the order of examples and dropout")
    train: TuneConfig = TuneConfig()


def finetune(
    model: str,
    train: str,
    /,
    *,
    task: str,
    out: Out = None,
    valid: str | None = None,
    columns: str | None = None,
    regression: Regression | None = None,
    metric: MetricName | None = None,
    pretraining: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    stop_at: StopAt = None,
    config_file: ConfigFile = None,
    force: Flag = False,
    json: Json = False,
    fields: Annotated[Settings | None, Parameter(name="*")] = None,
) -> None:
    """Fine-tune a model on labelled examples, as GPT-1 was.

    A classification reads text; entailment a premise and a hypothesis;
    similarity first and second; choice a context, a question, or both, and
    answers; regression text, or first and second. Columns of other names are
    named by --columns, or by their number in a file without a header.

        gpt finetune runs/novels reviews.jsonl --task classification \\
            --columns text=review,label=stars --out runs/reviews
        gpt finetune runs/novels cola/ --task cola --out runs/cola
        gpt finetune gpt2-small pairs.tsv --task entailment \\
            --columns premise=0,hypothesis=1,label=2 --out runs/pairs
        gpt predict runs/reviews new.jsonl

    Rates, batch and epochs are GPT-1's unless you say otherwise; its rate of
    6.25e-5 suits 100 million weights, a model of one million wants ten times
    as much. Ctrl-C saves and stops; `gpt resume RUN` goes on exactly there.

    Parameters
    ----------
    model
        A run, a checkpoint, a Hugging Face folder, OpenAI's files, or a preset (gpt1, gpt2-small ...) with new weights.
    train
        Examples: JSONL, CSV, TSV or Parquet; for a published data set its folder or file, or hf: to download it.
    task
        classification, entailment, similarity, choice or regression; or a published data set: cola, sst2, mrpc, stsb,
        qqp, mnli, qnli, rte, snli, scitail, race, storycloze, openbookqa, arc_easy, arc_challenge.
    out
        The run folder to make.
    valid
        Examples for validation; without it a published set's own, or else a tenth of the training examples.
    columns
        Field=column, several by commas. A column is a name, a number from 0, a path into JSON (a.b), or several (a+b).
    regression
        classes: a soft target on whole scores, as GPT-1's code does; mse: squared error. [default: classes]
    metric
        What chooses the best checkpoint, before the task's own.
    pretraining
        Text as the model was pretrained on, to measure forgetting, and for --train.replay. [default: the run's own]
    stop_at
        Stop and save after this many steps, as Ctrl-C would; the schedule stays as long as it is.
    config_file
        A TOML file with fields under [train].
    force
        Replace the run that --out already holds; it goes once the new one is prepared, and stays if that cannot be.
    json
        Print the last metrics row and the path of the best checkpoint as one JSON document.

    """
    if out is None:
        raise ConfigError("--out is missing: name the run folder to make, for example --out runs/reviews")
    asked = read_toml(config_file) if config_file else {}
    asked = merge(asked, fields.model_dump(exclude_unset=True) if fields else {})
    settings = parse(Settings, asked)

    from gptrilogy.cli import launch_finetune as launch
    from gptrilogy.cli.environment import environment
    from gptrilogy.runs import Run
    from gptrilogy.training.progress import ConsoleReporter

    reporter = ConsoleReporter()
    Run(out).check_free(force=force)
    asked_task = launch.asked_task(task, columns, regression, metric)
    sources = launch.find_examples(asked_task, train, valid, settings.seed, reporter)
    base = launch.load_base(model, settings.seed)
    config = FinetuneConfig(base=model, seed=settings.seed, task=asked_task, train=settings.train)
    asked_config = config.model_dump(mode="json")
    text = pretraining or launch.own_text(model)
    config = launch.decided(config, base, sources, reporter, has_text=bool(text))
    with Run(out).at_work():
        run = Run.create(out, asked_config, environment(), force=force)
        with run.taken_back_on(GPTrilogyError):
            prepared = launch.prepare_run(config, base, sources, run, reporter, text)
        code = launch.tune_run(prepared, run, reporter, stop_at=stop_at, json=json)
    sys.exit(code)
