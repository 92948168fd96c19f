"""`python -m bench.decoding`: what one more token costs with a cache, and what the cache holds, as the context grows.

The table goes to stdout, progress to stderr.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.lengths import Lengths
from bench.measure import Say
from bench.pictures import Panel, draw
from bench.record import Log, available_bytes, facts, write_record
from bench.report import table
from gptrilogy.models.config import GPTConfig

if TYPE_CHECKING:
    from gptrilogy.models import GPT, KVCache

PATTERNS: Mapping[str, tuple[str, ...]] = {
    "dense": ("dense",),
    "dense, banded": ("dense", "banded"),
    "banded": ("banded",),
    "strided": ("strided",),
    "fixed": ("fixed",),
}
CONTEXTS = (512, 1024, 2048, 4096, 8192, 16384)
HEADING = ("attention", "context", "ms a token", "of dense", "cache MB", "of dense", "positions a layer")
WARM_UP = 2
MARGIN_BYTES = 1 << 30

METHOD = """\
GPT-3 Small (124M parameters, a longer context) with random weights, which all patterns share, in fp32; rows decoded
together: {rows}. "dense, banded" is GPT-3's; bands are 256 keys wide, strides 128, and fixed layers read 8 keys of
each block in 12 sub-blocks. Contexts count the new token. Each cache has room for the context and is full of random
numbers; nothing is prefilled. A token is one pass through the model with its logits, without sampling; the length is
put back after it. Patterns take turns, token by token; figures are medians of n = {n} tokens, after {warm_up} each of
warm-up. Threads are PyTorch's defaults. A cache's size is what its tensors hold, all rows together."""

app = App(name="bench.decoding", help_format="plaintext", version_flags=[])


@dataclass(slots=True)
class Result:
    """One pattern at one context. `seconds` holds one number a token; `positions` what each layer has room for."""

    attention: str
    context: int
    cache_bytes: int
    positions: list[int]
    seconds: list[float] = field(default_factory=list[float])

    @property
    def median_ms(self) -> float:
        return statistics.median(self.seconds) * 1e3

    @property
    def cache_mb(self) -> float:
        return self.cache_bytes / 1e6


@dataclass(slots=True)
class Found:
    """All results of one call, and why others are missing."""

    rows: int
    tokens: int
    results: list[Result] = field(default_factory=list[Result])
    left_out: list[str] = field(default_factory=list[str])

    def page(self) -> str:
        method = METHOD.format(rows=self.rows, n=self.tokens, warm_up=WARM_UP)
        return "\n\n".join(
            [table(HEADING, self._lines()), *(f"Left out: {reason}." for reason in self.left_out), method]
        )

    def numbers(self) -> dict[str, Any]:
        """Every raw sample, and what was made of them."""
        results = [asdict(result) | {"median_ms": result.median_ms} for result in self.results]
        return {"rows": self.rows, "results": results, "left_out": self.left_out}

    def panels(self) -> list[Panel]:
        times = {name: [(r.context, r.median_ms) for r in self._of(name)] for name in PATTERNS}
        sizes = {name: [(r.context, r.cache_mb) for r in self._of(name)] for name in PATTERNS}
        return [Panel("time of one more token", "ms", times), Panel("size of the cache", "MB", sizes)]

    def _of(self, attention: str) -> list[Result]:
        return [result for result in self.results if result.attention == attention]

    def _lines(self) -> list[tuple[str, ...]]:
        lines: list[tuple[str, ...]] = []
        dense = {result.context: result for result in self._of("dense")}
        for result in self.results:
            whole = dense[result.context]
            time_share, size_share = result.median_ms / whole.median_ms, result.cache_bytes / whole.cache_bytes
            shown = (f"{result.context:,}", f"{result.median_ms:,.1f}", f"{time_share:.2f}", f"{result.cache_mb:,.1f}")
            kept = " and ".join(f"{positions:,}" for positions in dict.fromkeys(result.positions))
            lines.append((result.attention, *shown, f"{size_share:.2f}", kept))
        return lines


@app.default
def decoding(
    *,
    contexts: Lengths = CONTEXTS,
    tokens: Annotated[int, Parameter(validator=Number(gte=1))] = 15,
    rows: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    record: Path | None = None,
) -> None:
    """Measure the decoding of one token with a cache, for dense, banded, strided and fixed attention.

    Args:
        contexts: tokens that the new one sees if dense, itself among them, with commas between.
        tokens: samples of each pattern at each context.
        rows: texts decoded together.
        record: write README.md, results.json, log.txt and decoding.png into this folder.
    """
    log = Log()
    log.say_load()
    config = GPTConfig.preset("gpt3-small").replace(n_ctx=max(*contexts, GPTConfig().n_ctx))
    found = measure(config, contexts, tokens, rows, log.say)
    print(found.page())
    if record:
        numbers = ",".join(map(str, contexts))
        command = f"python -m bench.decoding --contexts {numbers} --tokens {tokens} --rows {rows} --record DIR"
        title = "Decoding: time of a token and size of the cache against context"
        write_record(
            record,
            title,
            f"![{title}](decoding.png)\n\n{found.page()}",
            facts(command, tokens),
            found.numbers(),
            log.lines,
        )
        if not draw([found.panels()], record / "decoding.png", "tokens of context"):
            log.say("no picture: matplotlib is not installed; pip install 'gptrilogy[plot]'")


def measure(config: GPTConfig, contexts: Sequence[int], tokens: int, rows: int, say: Say) -> Found:
    """Time one token of each pattern after the other, over and over, at each context; shortest first."""
    found = Found(rows, tokens)
    models = models_of(config)
    for context in contexts:
        need, free = (
            MARGIN_BYTES + sum(_cache_bytes(model, rows, context) for model in models.values()),
            available_bytes(),
        )
        if need > free:
            reason = f"the caches need about {need / 1e9:.1f} GB, and {free / 1e9:.1f} are free; try fewer rows"
            found.left_out.append(f"context {context:,}: {reason}")
            say(f"left out: {found.left_out[-1]}")
            continue
        caches = {name: full_cache(model, rows, context) for name, model in models.items()}
        results = {
            name: Result(name, context, cache.size_bytes, [slots.n for slots in cache.slots])
            for name, cache in caches.items()
        }
        for number in range(-WARM_UP, tokens):
            for name, model in models.items():
                seconds = token_s(model, caches[name])
                if number >= 0:
                    results[name].seconds.append(seconds)
        for result in results.values():
            say(f"context {context:,}, {result.attention}: {result.median_ms:,.1f} ms, {result.cache_mb:,.1f} MB")
        found.results += results.values()
    return found


def models_of(config: GPTConfig) -> dict[str, "GPT"]:
    """A model of each pattern, all on the same random weights: what a layer sees is no parameter."""
    import torch

    from gptrilogy.models import GPT

    weights = GPT(config, torch.Generator().manual_seed(1)).state_dict()
    models: dict[str, GPT] = {}
    for name, attention in PATTERNS.items():
        with torch.device("meta"):
            models[name] = GPT(config.replace(attention=attention)).eval()
        models[name].load_state_dict(weights, assign=True)
    return models


def full_cache(model: "GPT", rows: int, context: int) -> "KVCache":
    """A cache in which every row has one place left, full of random numbers."""
    from gptrilogy.models import KVCache

    cache = KVCache(model.config, rows, like=model.wte.weight.detach(), capacity=context)
    for tensor in (*cache.keys, *cache.values):
        tensor.normal_()
    cache.lengths = [context - 1] * rows
    return cache


def token_s(model: "GPT", cache: "KVCache") -> float:
    """Seconds of one token more in every row; the cache counts it no longer afterwards."""
    import torch

    ids = torch.zeros(cache.n_rows, 1, dtype=torch.long)
    lengths = list(cache.lengths)
    start = time.perf_counter()
    with torch.inference_mode():
        model.logits(model.hidden(ids, cache))
    seconds = time.perf_counter() - start
    cache.lengths = lengths
    return seconds


def _cache_bytes(model: "GPT", rows: int, context: int) -> int:
    """What a cache will take, from one of shapes alone."""
    import torch

    from gptrilogy.models import KVCache

    return KVCache(model.config, rows, like=torch.empty(0, device="meta"), capacity=context).size_bytes


if __name__ == "__main__":
    app()
