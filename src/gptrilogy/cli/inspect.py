"""`gpt inspect`: what a model is made of, and a picture of its attention."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gptrilogy.cli.options import Flag, Json
from gptrilogy.config import suggest
from gptrilogy.errors import ConfigError
from gptrilogy.models.config import PRESETS, GPTConfig
from gptrilogy.models.patterns import Pattern

if TYPE_CHECKING:  # numpy and torch are imported when the verb begins to work
    from gptrilogy.cli.attention_panels import Inspected

Document: TypeAlias = dict[str, Any]

DEFAULT_OUT = Path("attention.png")


def inspect(
    model: str,
    /,
    *,
    attention: Flag = False,
    out: Path | None = None,
    prompt: str | None = None,
    layers: str | None = None,
    heads: str | None = None,
    json: Json = False,
) -> None:
    """What a model is made of, and a picture of its attention.

    A table says what each layer's pattern of attention costs: the keys that a
    query sees, and what a cache of the whole context keeps of a text. The
    picture has a panel for each layer and head: queries downwards, keys to
    the right, tinted where a query may look, and over it where it does look.

        gpt inspect runs/novels
        gpt inspect gpt3-175b --json
        gpt inspect runs/novels --attention
        gpt inspect models/gpt2 --attention --prompt "To be or" --layers 0,5

    Parameters
    ----------
    model
        A run folder (its best checkpoint), a checkpoint folder, any folder that `gpt import` reads, or a preset.
    attention
        Draw a picture instead. A preset has no weights, and shows what may be seen alone.
    out
        The picture's file, which ends in .png. [default: attention.png]
    prompt
        The text that the model reads for the picture. [default: the beginning of its run's held-out text]
    layers
        Layers to draw, as 0,1,5. [default: the first 12]
    heads
        Heads to draw, as 0,3. [default: the first 12]
    json
        Print one JSON document.

    """
    from gptrilogy.cli.attention_panels import draw
    from gptrilogy.cli.output import print_json, print_text

    if not attention and (unused := _given(out=out, prompt=prompt, layers=layers, heads=heads)):
        raise ConfigError(f"--{unused} is of the picture, so it needs --attention beside it")
    out = out or DEFAULT_OUT
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out must end in .png, got {out}")
    inspected = _inspected(model)
    if attention:
        drawn = draw(inspected, out, prompt=prompt, layers=layers, heads=heads)
        if json:
            print_json(drawn)
        else:
            print_text(str(out))
        return
    document = _document(inspected)
    if json:
        print_json(document)
    else:
        _print_tables(document)


def _given(**options: object) -> str | None:
    return next((name for name, value in options.items() if value is not None), None)


def _inspected(model: str) -> "Inspected":
    from gptrilogy.cli.attention_panels import Inspected

    if model in PRESETS and not Path(model).exists():
        return Inspected(model, GPTConfig.preset(model), None)

    from gptrilogy.interop.transfer import is_foreign
    from gptrilogy.loading import load

    if not Path(model).exists() and not is_foreign(model):
        raise ConfigError(f"{model} is neither a folder with a model nor a preset: {suggest(model, PRESETS)}")
    loaded = load(model)
    return Inspected(model, loaded.model.config, loaded)


def _document(inspected: "Inspected") -> Document:
    """All that is said of a model, as JSON has it."""
    import torch

    from gptrilogy.scaling.compute import parameters_by_part

    config, loaded = inspected.config, inspected.loaded
    parts = parameters_by_part(config)
    dtype = loaded.model.wte.weight.dtype if loaded else torch.float32
    layers = list(_layers(config, dtype.itemsize))
    return {
        "model": inspected.name,
        "source": str(loaded.source or inspected.name) if loaded else None,
        "tokenizer": loaded.tokenizer.name if loaded else None,
        "config": config.model_dump(mode="json"),
        "parameters": sum(parts.values()),
        "parameters_by_part": parts,
        "precision": str(dtype).removeprefix("torch."),
        "layers": layers,
        "cache_bytes": sum(len(row["layers"]) * row["cache_bytes"] for row in layers),
    }


def _layers(config: GPTConfig, itemsize: int) -> Iterator[Document]:
    """A row for each pattern, with the numbers that one of its layers has."""
    from gptrilogy.cli.attention_panels import described
    from gptrilogy.models.slots import slots_of

    of_each: dict[Pattern, list[int]] = {}
    for layer, pattern in enumerate(config.patterns()):
        of_each.setdefault(pattern, []).append(layer)
    for pattern, layers in of_each.items():
        n_keys = [pattern.n_keys(query) for query in range(config.n_ctx)]
        n_slots = slots_of(pattern, config.n_ctx).n
        yield {
            "layers": layers,
            "pattern": described(pattern),
            "mean_keys": sum(n_keys) / config.n_ctx,
            "most_keys": max(n_keys),
            "cache_positions": n_slots,
            "cache_bytes": 2 * n_slots * config.n_embd * itemsize,  # keys and values
        }


def _folded(numbers: Sequence[int]) -> str:
    """Rising numbers in few words.

    >>> _folded([3]), _folded(range(12)), _folded(range(0, 12, 2)), _folded([0, 2, 3, 5, 6])
    ('3', '0-11', '0, 2, 4, ..., 10', '0, 2-3, 5-6')
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return ", ".join(words if len(words) <= 4 else [*words[:3], "...", words[-1]])


def _print_tables(document: Document) -> None:
    from gptrilogy.cli.output import print_table, size

    config, total = document["config"], document["parameters"]
    print_table(f"{document['model']}: {total:,} parameters", _sizes(document))
    parts: dict[str, int] = document["parameters_by_part"]
    print_table("parameters", [(name, f"{n:,}", f"{n / total:.1%}") for name, n in parts.items()])
    rows = [("pattern", "layers", "keys on average", "at most", "kept", "cache a layer")]
    rows += [
        (
            row["pattern"],
            _folded(row["layers"]),
            f"{row['mean_keys']:,.1f}",
            f"{row['most_keys']:,}",
            f"{row['cache_positions']:,}",
            size(row["cache_bytes"]),
        )
        for row in document["layers"]
    ]
    what = f"layers: the keys a query sees, and what a row of the cache keeps of {config['n_ctx']:,} positions"
    print_table(what, [*rows, ("all", _folded(range(config["n_layer"])), "", "", "", size(document["cache_bytes"]))])


def _sizes(document: Document) -> Iterator[tuple[str, str]]:
    config = document["config"]
    yield "from", document["source"] or "a preset, without weights"
    if document["tokenizer"]:
        yield "tokenizer", document["tokenizer"]
    yield "vocabulary", f"{config['n_vocab']:,}"
    yield "context", f"{config['n_ctx']:,}"
    yield "layers", f"{config['n_layer']:,}"
    yield "width", f"{config['n_embd']:,}"
    yield "heads", f"{config['n_head']} of {config['n_embd'] // config['n_head']}"
    yield "layer norm", f"{config['norm']}{', and after the last block' if config['final_norm'] else ''}"
    yield "precision", document["precision"] if document["source"] else f"{document['precision']}, assumed"
