"""`gpt papers list|demo`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from gptrilogy.cli.options import Flag, Json
from gptrilogy.studies.catalogue import STUDIES, find_study
from gptrilogy.studies.study import Options, run_study


def list_studies() -> None:
    """The studies there are: what a paper claims, where, and how long it takes to try it on one thread.

    Those that fine-tune pretrain a model first, about 20 minutes more, unless --model names one.
    """
    from gptrilogy.cli.output import print_text

    for study in STUDIES:
        print_text(f"{study.name}  ({study.source}, about {study.minutes} min)\n    {study.claim}")


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
