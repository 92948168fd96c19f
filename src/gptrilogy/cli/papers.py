"""`gpt papers list|explain|check|demo`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from gptrilogy.cli.options import Flag, Json, data_folder
from gptrilogy.studies.catalogue import STUDIES, find_study
from gptrilogy.studies.study import Options, run_study


def list_studies(name: str | None = None, /, *, json: Json = False) -> None:
    """The papers' tables, and the studies that try their claims; or one table.

        gpt papers list gpt3-2.1

    A study says what a paper claims, where, and how long it takes to try it on
    one thread. Those that fine-tune pretrain a model first, about 20 minutes
    more, unless --model names one.

    Parameters
    ----------
    name
        A table to show; `misprints` has what the papers say that does not hold. [default: list what there is]
    json
        Print it as one JSON document.

    """
    from gptrilogy.cli import ledger
    from gptrilogy.cli.output import print_json, print_text

    if name is not None:
        print_json(ledger.table(name)) if json else print_text("\n".join(ledger.listing(name)))
        return
    if json:
        studies = [
            {"name": study.name, "source": study.source, "minutes": study.minutes, "claim": study.claim}
            for study in STUDIES
        ]
        print_json({**ledger.contents(), "studies": studies})
        return
    print_text("\n".join(ledger.contents_lines()))
    print_text("Studies, for `gpt papers demo`")
    for study in STUDIES:
        print_text(f"{study.name}  ({study.source}, about {study.minutes} min)\n    {study.claim}")


def explain_result(name: str, /, *, data: Path | None = None, json: Json = False) -> None:
    """How a paper measured a result, and what it leaves unpublished.

    What the model was shown, how that became a score, the numbers by size, and
    one real example.

        gpt papers explain gpt3-lambada-fewshot --data DIR

    A name may leave out the setting (gpt3-lambada has all three) or end with a
    metric (gpt3-lambada-fewshot-ppl).

    Parameters
    ----------
    name
        A result, as the first column of `gpt papers list gpt3-h.1` has it.
    data
        The folder of the data sets, for the example. [default: the one that GPTRILOGY_DATA names]
    json
        Print it as one JSON document.

    """
    from gptrilogy.cli import ledger
    from gptrilogy.cli.output import print_json, print_text

    folder = data_folder(data)
    print_json(ledger.result(name, folder)) if json else print_text("\n".join(ledger.explanation(name, folder)))


def check_table(
    model: str,
    /,
    *,
    table: str,
    data: Path | None = None,
    limit: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    out: Path | None = None,
    json: Json = False,
) -> None:
    """Measure a model on the tasks of a paper's table, beside the printed numbers.

        gpt papers check runs/novels --table gpt2-3 --data DIR --limit 200

    Each task is put as the paper put it. The model is held against the
    published size nearest to it without embeddings. What is known of why the
    numbers may differ stands below.

    Parameters
    ----------
    model
        A run, a checkpoint, a Hugging Face folder: whatever gpt generate takes.
    table
        A table of results that `gpt papers list` names.
    data
        The folder of the published files, or hub. [default: the one that GPTRILOGY_DATA names]
    limit
        At most so many records of each test set.
    out
        A folder that keeps the answers, so that the same command goes on from there.
    json
        Print it as one JSON document, with the numbers of all published sizes.

    """
    from gptrilogy.cli.comparison import comparison, comparison_lines
    from gptrilogy.cli.launch_check import check
    from gptrilogy.cli.output import print_json, print_note, print_text

    rows, n_non_embedding, failures = check(model, table, data=data_folder(data), limit=limit, out=out)
    for failure in failures:
        print_note(f"not measured: {failure['task']}: {failure['reason']}")
    if json:
        print_json({**comparison(rows, n_non_embedding), "failures": failures})
    else:
        print_text("\n".join(comparison_lines(rows, n_non_embedding)))


def demo_study(
    name: str,
    /,
    *,
    out: Path,
    model: Path | None = None,
    data: Path | None = None,
    seeds: Annotated[int, Parameter(validator=Number(gte=1))] = 5,
    quick: Flag = False,
    json: Json = False,
) -> None:
    """Try a claim of the papers at a size that this machine can train, and say
    whether it shows.

        gpt papers demo gpt1-figure2-zero-shot --out studies/zero-shot

    Every measurement goes to OUT/rows.jsonl as it is made. A study that was
    stopped goes on from there when the same command is given again; the table
    comes at the end, with OUT/results.json and OUT/figure.png.

    Parameters
    ----------
    name
        A study that `gpt papers list` names.
    out
        The folder for results, picture and models.
    model
        A pretrained run to begin with, for a study that takes one. [default: it pretrains its own in OUT/pretrained]
    data
        The folder of the data sets. [default: the one that GPTRILOGY_DATA names]
    seeds
        How many runs each number is the mean of.
    quick
        Try the whole path in a few steps; the numbers mean nothing.
    json
        Print what results.json holds as one JSON document.

    """
    from gptrilogy.cli.output import print_json, print_note, print_table, print_text

    study = find_study(name)
    options = Options(out=out, model=model, data=data, seeds=seeds, quick=quick)
    results = run_study(study, options, print_note)
    if json:
        print_json(results)
        return
    print_table(f"{study.claim} ({study.source})", results["table"])
    print_text(f"\n{results['verdict']}\nresults: {out / 'results.json'}, picture: {out / 'figure.png'}")
