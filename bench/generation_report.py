"""What continuing texts took, as claims, a table and a page. Needs no torch."""

import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bench.claims import Findings, Row, Target, at_least
from bench.generation_cases import LIVELIER, MODULES, PREFILL, PROMPT, ROWS, TOKENS, Contender, Work
from bench.report import table
from gptrilogy.models.config import GPTConfig
from gptrilogy.scaling.compute import n_parameters

LLAMA_CPP = {"fp32": "fp32", "bf16": "bf16", "int8": "q8_0"}  # its precisions by ours
CTRANSLATE2 = ("fp32", "int8")
# Targets. llama.cpp has one for one text alone, CTranslate2 none.
ONE_OVER_TRANSFORMERS, ONE_OVER_LLAMA_CPP = (1.5, 5.0), (None, 1.0)
MANY_OVER_TRANSFORMERS, READ_OVER_TRANSFORMERS = (1.5, 3.0), (1.5, 2.0)
HEADING = ("contender", "continue 1", "continue 8", "continue 32", f"read {PREFILL}", "peak GB")

METHOD = """\
A model of {parameters:,} parameters with random weights, the same for all. "continue N": tokens/s of N texts together,
greedy, over {tokens} new tokens each after a prompt of {prompt}, whose mean length is that of a prompt of 64 and 256
new ones; the prompt is not timed, so ours may begin all N alike. "read {prefill}": tokens/s of a prompt up to the first
new token. Blank: not timed; many texts in fp32 take minutes, and llama.cpp's Python binding continues one. The
matrices of the blocks have {livelier:g} times the spread of a fresh model's, with which texts would repeat their last
token for ever, and equal greedy tokens say nothing.

"transformers" is `generate` of {transformers}; "llama.cpp" is `Llama.generate` of llama-cpp-python {llama}, with its
defaults but for fp32 keys and values beside fp32 weights, on files that its own quantizer wrote; its q8_0 runs without
the layouts it has for AMX (`use_extra_bufts`), with which it crashes where there is AMX.
"CTranslate2" is `Generator.generate_batch` of {ctranslate2}, on what its own converter made.
"ours" is the engine behind `gpt generate`; in int8 it reads
prompts in int8 too. Contenders run in processes of their own and take turns; only one works at a time.
Figures are medians of n = {n} samples after one of warm-up. Threads are PyTorch's defaults,
the same for all.{quality}"""

QUALITY = """

What rounding costs a model of {parameters:,} parameters that was trained (`bench.generation_quality`), in nats a token
over {tokens:,} tokens of a real text, decoded a token at a time: {losses}."""


@dataclass(slots=True)
class Result:
    """What one contender did of one kind of work."""

    contender: Contender
    work: Work
    seconds: list[float] = field(default_factory=list[float])
    ids: list[int] = field(default_factory=list[int])
    peak_bytes: int = 0

    @property
    def tokens_per_s(self) -> float:
        return self.work.tokens / statistics.median(self.seconds)

    def add(self, sample: dict[str, Any]) -> None:
        """One more timed sample, as the worker tells it."""
        self.seconds.append(sample["seconds"])
        self.ids = sample["ids"]
        self.peak_bytes = sample["peak_bytes"]


@dataclass(slots=True)
class Found:
    """All results of one call."""

    config: GPTConfig
    repeats: int
    absent: dict[str, str] = field(default_factory=dict[str, str])  # contenders, and why
    results: list[Result] = field(default_factory=list[Result])
    quality: dict[str, Any] | None = None

    def speed(self, contender: str, work: str) -> float | None:
        return next(
            (r.tokens_per_s for r in self.results if (r.contender.name, r.work.name) == (contender, work)), None
        )

    def rows(self) -> Iterator[Row]:
        best = max(
            (name for name in ("ours fp32", "ours bf16", "ours int8") if self.speed(name, ONE)),
            key=lambda name: self.speed(name, ONE) or 0,
        )
        yield from self._claim(best, "transformers fp32", ONE, *ONE_OVER_TRANSFORMERS)
        yield from self._claim("ours fp32", "transformers fp32", ONE)
        for ours, theirs in LLAMA_CPP.items():
            yield from self._claim(f"ours {ours}", f"llama.cpp {theirs}", ONE, *ONE_OVER_LLAMA_CPP)
        yield from self._claim("ours bf16", "transformers bf16", EIGHT)
        yield from self._claim("ours bf16", "transformers bf16", MANY, *MANY_OVER_TRANSFORMERS)
        yield from self._claim("ours int8", "transformers bf16", MANY)
        yield from self._claim("ours bf16", "transformers bf16", READ, *READ_OVER_TRANSFORMERS)
        for ours, theirs in LLAMA_CPP.items():
            yield from self._claim(f"ours {ours}", f"llama.cpp {theirs}", READ)
        for precision in CTRANSLATE2:
            for work in WORKS:
                yield from self._claim(f"ours {precision}", f"CTranslate2 {precision}", work)
        yield from self._same_tokens()

    def findings(self) -> Findings:
        results = [
            {**asdict(r), "contender": r.contender.name, "work": r.work.name, "tokens_per_s": r.tokens_per_s}
            for r in self.results
        ]
        details = f"{table(HEADING, [*self._lines()])}\n\n{self._method()}"
        return Findings([*self.rows()], details, {"quality": self.quality, "absent": self.absent, "results": results})

    def _claim(self, ours: str, theirs: str, work: str, *limits: float | None) -> Iterator[Row]:
        """Tokens/s of both, or why the peer has none; nothing where nobody was asked."""
        speed, peer = self.speed(ours, work), self.speed(theirs, work)
        reason = self.absent.get(theirs)
        if speed is None or (peer is None and reason is None):
            return
        ratio = None if peer is None else speed / peer
        said = f"{theirs}: not measured, {reason}" if peer is None else f"{theirs}: {peer:,.1f}"
        figures = (f"{speed:,.1f}", said, "" if ratio is None else f"{ratio:.2f}")
        yield Row(f"{work}, {ours}, tokens/s", *figures, *at_least(ratio, *limits, form="g"))

    def _same_tokens(self) -> Iterator[Row]:
        """Greedy tokens in fp32, ours against each peer's; llama.cpp rounds its GELU to half precision."""
        ids = {r.contender.name: r.ids for r in self.results if r.work.name == ONE}
        for peer in MODULES:
            name = f"{peer} fp32"
            if "ours fp32" in ids and name in ids:
                pairs = list(zip(ids["ours fp32"], ids[name], strict=True))
                equal = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
                said = f"first {equal} of {len(pairs)}, {len(set(ids[name]))} different"
                target = None if peer == "llama.cpp" else Target("all", equal == len(pairs))
                yield Row("greedy tokens equal, fp32", said, name, "", target)

    def _lines(self) -> Iterator[tuple[str, ...]]:
        for contender in dict.fromkeys(result.contender.name for result in self.results):
            own = {r.work.name: r for r in self.results if r.contender.name == contender}
            speeds = [f"{own[work].tokens_per_s:,.1f}" if work in own else "" for work in WORKS]
            yield contender, *speeds, f"{max(r.peak_bytes for r in own.values()) / 1e9:.2f}"

    def _method(self) -> str:
        return METHOD.format(
            parameters=n_parameters(self.config),
            tokens=TOKENS,
            prompt=PROMPT,
            prefill=PREFILL,
            transformers=version("transformers"),
            llama=_version("llama-cpp-python"),
            ctranslate2=_version("ctranslate2"),
            livelier=LIVELIER,
            n=self.repeats,
            quality="" if self.quality is None else _quality(self.quality),
        )


ONE, EIGHT, MANY = (f"continue {rows} at once" for rows in ROWS)
READ = f"read {PREFILL}"
WORKS = (ONE, EIGHT, MANY, READ)


def _quality(quality: dict[str, Any]) -> str:
    nats = quality["nats_per_token"]
    exact = nats["fp32"]
    others = [f"{name} {loss - exact:+.5f}" for name, loss in nats.items() if name != "fp32"]
    losses = f"fp32 {exact:.4f}, {', '.join(others)}"
    return QUALITY.format(parameters=quality["parameters"], tokens=quality["tokens"], losses=losses)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
