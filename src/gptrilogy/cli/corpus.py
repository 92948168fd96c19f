"""`gpt corpus`: from raw web to clean training text, and a page that shows what came of it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from gptrilogy.cli import completion
from gptrilogy.cli.options import ConfigFile, Json, Out, data_folder
from gptrilogy.config import Tree, merge, parse, read_toml, suggest
from gptrilogy.corpus.build.config import CorpusConfig
from gptrilogy.errors import ConfigError
from gptrilogy.recipes.corpus import corpus_recipe

if TYPE_CHECKING:
    from gptrilogy.corpus.build.build import Progress

Fields: TypeAlias = Annotated[CorpusConfig | None, Parameter(name="*")]


def build(
    *sources: str,
    out: Out = None,
    recipe: str | None = None,
    links: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    against: str | None = None,
    data: Path | None = None,
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    config_file: ConfigFile = None,
    json: Json = False,
    fields: Fields = None,
) -> None:
    """Clean training text out of raw web pages, books and dumps.

    Sources are WARC and WET files, HTML, text, JSONL, Parquet and MediaWiki
    dumps, folders of these, or fsspec URLs such as s3://. One written as
    SET=SOURCE belongs to that set of the recipe, any other to its first.

        gpt corpus build pages/ --links posts.jsonl --recipe webtext --out web
        gpt corpus build crawl/ webtext2=web/documents wikipedia=wiki.xml.bz2 \\
            --recipe gpt3 --against lambada,hellaswag --out corpora/gpt3

    Stop it anywhere; the same command goes on. What was dropped, by step and
    reason, is counted, and `gpt corpus card OUT` shows it. `gpt pretrain OUT`
    trains on it, by the sets' weights.

    Parameters
    ----------
    sources
        Files, folders or URLs, each as SOURCE or SET=SOURCE.
    out
        The folder to make, or to go on with.
    recipe
        webtext, gpt3, or a TOML file of your own, which may begin with recipe = "gpt3" and change some fields.
    links
        Files of links with their votes, JSONL or CSV: url, votes, subreddit, time.
    against
        Tests that must not be trained on: tasks as of `gpt evaluate`, and files of text, with commas between.
    data
        The folder with the tasks' published files, or hub. [default: the one that GPTRILOGY_DATA names]
    engine
        local: all cores of this machine; ray: the cluster that RAY_ADDRESS names, or one started here.
    workers
        How many processes work at once; on a Ray cluster, as many as it has cores. [default: one a core]
    config_file
        A TOML file that changes fields of the recipe.
    json
        Print what was built and the ledger as one JSON document.

    """
    if out is None:
        raise ConfigError("--out is missing: name the folder to make, for example --out corpora/web")
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {workers}")
    shorthands: Tree = {} if links is None else {"links": links}
    if against is not None:
        shorthands["against"] = [name.strip() for name in against.split(",") if name.strip()]
    config = requested_corpus(sources, recipe, config_file, fields, shorthands)

    from gptrilogy.cli.output import print_json, print_note
    from gptrilogy.corpus.build.build import build_corpus
    from gptrilogy.files import read_json
    from gptrilogy.training.progress import ConsoleReporter

    console = ConsoleReporter()
    if not config.against:
        print_note("no tests are kept out of this text: --against names those that a model trained on it will meet")
    corpus = build_corpus(
        config,
        out,
        tests=texts_against(config.against, data_folder(data)),
        engine=engine,
        workers=workers or os.cpu_count() or 1,
        on_progress=lambda progress: console.passing(_progress_line(progress)),
        on_note=console.note,
        on_skip=lambda path, reason: console.note(f"skipped {path}: {reason}"),
    )
    ledger = read_json(out / "ledger.json")
    if json:
        print_json({**corpus, "ledger": ledger})
    else:
        _print_tables(corpus, ledger, out)


completion.offer(build, recipe=completion.corpus_recipes_and_files)


def card(out: Path) -> None:
    """A page about a corpus: what was kept and dropped, and samples of both.

    Languages, lengths, domains, duplicates and what was shared with tests, as
    card.html with pictures, and as card.md.

        gpt corpus card corpora/web

    Parameters
    ----------
    out
        A folder that `gpt corpus build` finished.

    """
    from gptrilogy.cli.output import print_text
    from gptrilogy.corpus.card import write_card

    for path in write_card(out):
        print_text(str(path))


def requested_corpus(
    sources: Sequence[str], recipe: str | None, file: Path | None, fields: CorpusConfig | None, shorthands: Tree
) -> CorpusConfig:
    """Recipe, then files, then flags, then sources; the later overrides field by field.

    Raises: ConfigError naming what is wrong.
    """
    asked = read_toml(file) if file else {}
    if recipe and recipe.endswith(".toml"):
        asked = merge(read_toml(Path(recipe)), asked)
        recipe = None
    flags = fields.model_dump(exclude_unset=True) if fields else {}
    in_files = asked
    asked = merge(merge(asked, flags), shorthands)
    name = recipe or asked.get("recipe") or ("own" if "sets" in in_files else None)
    if not name:
        raise ConfigError("--recipe is missing: webtext, gpt3, or a TOML file of your own")
    asked["recipe"] = name
    own = recipe is None and "sets" in asked and name not in {"webtext", "gpt3"}
    base = {} if own else corpus_recipe(str(name)).model_dump(exclude_unset=True)
    written = merge(base, in_files).get("sets", {})
    config = merge(base, asked)
    config = merge(config, {"sets": _with_sources(config.get("sets", {}), sources)})
    for name in flags.get("sets", {}):
        if name not in written and not config["sets"][name].get("paths"):
            raise ConfigError(f"--sets.{name}: the recipe has no set {name}: {suggest(name, written)}")
    return parse(CorpusConfig, config)


def _with_sources(sets: Tree, sources: Sequence[str]) -> Tree:
    """The sources by the set they belong to."""
    named: dict[str, list[str]] = {}
    for source in sources:
        name, equals, path = source.partition("=")
        if equals and name in sets:
            named.setdefault(name, []).append(path)
        elif equals and name.isidentifier() and not Path(source).exists():
            raise ConfigError(f"{source}: the recipe has no set {name}: {suggest(name, sets)}")
        elif sets:
            named.setdefault(next(iter(sets)), []).append(source)
    return {name: {"paths": [*sets[name].get("paths", ()), *paths]} for name, paths in named.items()}


def texts_against(against: Sequence[str], data: Path | None) -> Iterator[tuple[str, str]]:
    """The texts that must not be trained on, each with the name of its task or file.

    Raises: ConfigError, DataError for what is neither a file nor a task.
    """
    from gptrilogy.corpus.sources import read_documents
    from gptrilogy.evaluation.contamination.task_texts import task_texts

    files = [name for name in against if Path(name).exists()]
    for file in files:
        yield from ((file, document.text) for document in read_documents([file]))
    if tasks := [name for name in against if name not in files]:
        yield from task_texts(tasks, data)


def _progress_line(progress: "Progress") -> str:
    return f"{progress.doing}: {progress.done} of {progress.total} parts"


def _print_tables(corpus: dict[str, Any], ledger: Sequence[dict[str, Any]], out: Path) -> None:
    from gptrilogy.cli.output import count, print_table, print_text, size

    rows = [("set", "step", "in", "kept", "dropped, most frequent reasons")]
    for row in ledger:
        reasons = sorted(row["dropped"].items(), key=lambda item: -item[1])[:3]
        dropped = ", ".join(f"{number:,} {reason}" for reason, number in reasons)
        rows.append((row["set"], row["step"], f"{row['in']:,}", f"{row['kept']:,}", dropped))
    print_table("Documents", rows)
    sets = [("set", "documents", "characters", "text", "weight")]
    for entry in corpus["sets"]:
        weight = "" if entry["weight"] is None else f"{entry['weight']:.0%}"
        sets.append(
            (entry["name"], f"{entry['documents']:,}", count(entry["characters"]), size(entry["bytes"]), weight)
        )
    print_table("Corpus", sets)
    print_text(f"\nLook at it: gpt corpus card {out}")
    if any(entry["documents"] for entry in corpus["sets"]):
        print_text(f"Train on it: gpt pretrain {out} --out RUN")
