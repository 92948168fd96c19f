"""What a picture of attention shows: of which layers and heads, and what text they read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gptrilogy.cli.attention_picture import Layout, Panel, Row, draw_attention, largest, share_visible
from gptrilogy.cli.output import print_note
from gptrilogy.errors import ConfigError, PromptError, RunError
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.patterns import Banded, Fixed, Pattern, Strided

if TYPE_CHECKING:  # torch is imported when a model reads
    from gptrilogy.generation.language_model import LanguageModel

MOST_TOKENS = 2048  # a layer's probabilities are n_head x tokens x tokens
MOST_PANELS = 12  # rows and columns of a picture, unless more are chosen


@dataclass(frozen=True, slots=True)
class Inspected:
    """A model, or a preset that has no weights."""

    name: str
    config: GPTConfig
    loaded: "LanguageModel | None"


@dataclass(frozen=True, slots=True)
class _Text:
    """What the model reads, and where it is from."""

    ids: list[int]
    origin: str
    words: str


def draw(
    inspected: Inspected, out: Path, *, prompt: str | None, layers: str | None, heads: str | None
) -> dict[str, Any]:
    """Draw what was asked for; what is in the picture, as JSON has it.

    Raises: ConfigError, PromptError: a choice or a text that cannot be drawn; MissingExtraError; RunError where the
    picture cannot be written.
    """
    config = inspected.config
    chosen_layers = _chosen("layers", layers, config.n_layer)
    chosen_heads = _chosen("heads", heads, config.n_head)
    text = _text(inspected, prompt)
    n_tokens = len(text.ids) if text else min(config.n_ctx, MOST_TOKENS)
    layout = Layout(n_tokens, len(chosen_layers), len(chosen_heads))
    if text:
        title, line = f"{inspected.name}: where each head looks", f'{text.origin}, {n_tokens} tokens: "{text.words}"'
    else:
        title, line = f"{inspected.name}: where each head may look", f"a preset, without weights: {n_tokens} positions"
    rows = _rows(inspected, text, layout, chosen_layers, chosen_heads)
    try:
        draw_attention(rows, out, layout=layout, heads=chosen_heads, title=title, text=line)
    except OSError as error:
        raise RunError(f"cannot write {out}: {error.strerror or error}; choose another --out") from None
    patterns = config.patterns()
    return {
        "picture": str(out),
        "model": inspected.name,
        "layers": [{"layer": layer, "pattern": described(patterns[layer])} for layer in chosen_layers],
        "heads": chosen_heads,
        "positions": n_tokens,
        "text": text.origin if text else None,
    }


def described(pattern: Pattern) -> str:
    """A pattern in a few words.

    >>> described(Banded(256)), described(Fixed(128, 8, 4))
    ('banded, 256 keys', 'fixed, blocks of 128, 8 keys of each (4 sets)')
    """
    match pattern:
        case Banded(width):
            return f"banded, {width} keys"
        case Strided(stride):
            return f"strided, stride {stride}"
        case Fixed(stride, summary, sub_blocks):
            sets = f" ({sub_blocks} sets)" if sub_blocks > 1 else ""
            return f"fixed, blocks of {stride}, {summary} keys of each{sets}"
        case _:
            return "dense"


def visible_panels(pattern: Pattern, heads: Sequence[int], layout: Layout) -> list[Panel]:
    """What each head of a pattern may see, by its definition. Shapes: -> n_heads x (n, n)."""
    position = np.arange(layout.n_tokens)
    return [share_visible(pattern.sees(position[:, None], position, head), layout.pooled) for head in heads]


def _chosen(what: str, wanted: str | None, n: int) -> list[int]:
    """The numbers that were asked for, or the first.

    >>> _chosen("layers", "0,1,5", 6), _chosen("heads", None, 2)
    ([0, 1, 5], [0, 1])
    """
    if wanted is None:
        if n > MOST_PANELS:
            print_note(f"note: the first {MOST_PANELS} of {n} {what} are drawn; --{what} chooses others")
        return list(range(min(n, MOST_PANELS)))
    words = [word.strip() for word in wanted.split(",")]
    for word in words:
        if word not in map(str, range(n)):
            raise ConfigError(f"--{what} takes numbers from 0 to {n - 1} with commas between them, got {word!r}")
    return list(dict.fromkeys(map(int, words)))


def _rows(
    inspected: Inspected, text: _Text | None, layout: Layout, layers: Sequence[int], heads: Sequence[int]
) -> list[Row]:
    patterns = [inspected.config.patterns()[layer] for layer in layers]
    visible = {pattern: visible_panels(pattern, heads, layout) for pattern in dict.fromkeys(patterns)}
    probabilities = _probabilities(inspected, text, layout, layers, heads)
    return [
        Row(f"layer {layer}: {described(pattern)}", visible[pattern], panels)
        for layer, pattern, panels in zip(layers, patterns, probabilities, strict=True)
    ]


def _probabilities(
    inspected: Inspected, text: _Text | None, layout: Layout, layers: Sequence[int], heads: Sequence[int]
) -> Sequence[list[Panel] | None]:
    """Of each layer, what its heads make of the text; None without one. Shapes: n_layers x n_heads x (n, n)."""
    if inspected.loaded is None or text is None:
        return [None] * len(layers)

    import torch

    from gptrilogy.models.probabilities import probabilities_by_layer

    model = inspected.loaded.model
    ids = torch.tensor(text.ids, device=model.wte.weight.device)
    of_layers = probabilities_by_layer(model, ids, layers)
    return [[largest(P[head].cpu().numpy(), layout.pooled) for head in heads] for P in of_layers]


def _text(inspected: Inspected, prompt: str | None) -> _Text | None:
    """The prompt or the held-out text, cut to what fits; None for a preset."""
    loaded, n_ctx = inspected.loaded, inspected.config.n_ctx
    most = min(n_ctx, MOST_TOKENS)
    if loaded is None and prompt is not None:
        raise ConfigError(f"{inspected.name} is a preset, without weights that could read a --prompt; leave it out")
    if prompt is None and n_ctx > most:
        print_note(f"note: at most the first {most} of {n_ctx} positions are drawn")
    if loaded is None:
        return None
    if prompt is None:
        ids, origin = _held_out(loaded, inspected.name, most), "held-out text"
    else:
        ids, origin = loaded.prompt_ids(prompt), "prompt"
        if len(ids) > most:
            print_note(f"note: the prompt has {len(ids)} tokens; the first {most} are drawn")
    ids = ids[:most]
    if len(ids) < 2:
        raise PromptError(f"a picture needs at least 2 tokens, got {len(ids)} of the {origin}; give a longer --prompt")
    return _Text(ids, origin, " ".join(loaded.tokenizer.decode(ids).split()))


def _held_out(loaded: "LanguageModel", name: str, most: int) -> list[int]:
    """The beginning of the text that the model's run has not trained on."""
    from gptrilogy.data.index import INDEX
    from gptrilogy.data.shards import open_shards
    from gptrilogy.runs import Run

    folder = Run(loaded.source.parent.parent).data_folder if loaded.source else None
    if folder is None or not (folder / INDEX).is_file():
        raise ConfigError(f"{name} has no run's held-out text beside it: give it something to read with --prompt TEXT")
    valid = open_shards(folder, fingerprint=loaded.tokenizer.fingerprint).valid
    return valid.window(0, min(len(valid), most)).tolist()
