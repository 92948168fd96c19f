"""What scoring few-shot questions took, as claims, a table and a page. Needs no torch."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from bench.comparisons import Row
from bench.few_shot_cases import FIXED, FRESH, Asked, Contender, Precision
from bench.report import claims_table, table, verdict
from gptrilogy.models.config import GPTConfig
from gptrilogy.scaling.compute import n_parameters

FASTER_AT_LEAST = {FRESH: (4.5, 6.0), FIXED: (10.0, 25.0)}  # targets, in fp32
APART_AT_MOST: dict[Precision, float] = {"fp32": 1e-4, "bf16": 0.1}  # nats a token
HEADING = ("contender", "draw", "questions", "s a sample", "questions/s", "peak GB")

METHOD = """\
A model of {parameters:,} parameters with random weights and a context of {n_ctx:,} tokens. Questions are HellaSwag's of
about equal length, each with 4 answers and after {shots} demonstrations: {sizes} tokens of demonstrations, question and
answer, on average. "fresh": demonstrations are drawn anew for every question; "fixed": all questions share
one draw. Each contender gets the same texts, and its time is from texts to log-probabilities, tokenization included;
that of loading the model is not counted.

"lm-eval" is `loglikelihood` of the `hf` model of lm-evaluation-harness {lm_eval} with transformers {transformers}, at
its defaults but for what is said; each question costs it the same, so it is asked the first {their_questions}. Claims
are against its faster batch size. "ours" is what `gpt evaluate` runs. It is asked all questions of a draw at once, as
there; what the fixed demonstrations cost is spread over them, and nothing is kept from one sample to the next. Its
logits in bf16 are turned into log-probabilities in fp32, those of lm-eval in bf16.

Scores of the questions that all are asked are compared token by token's mean, and so are the answers chosen, the
likeliest by the token. Contenders run in processes of their own and take turns; only one works at a time. Figures are
medians of n = {n} samples, after one question each of warm-up. Threads are PyTorch's defaults."""


@dataclass(slots=True)
class Result:
    """What one contender did with the questions of one draw. `nats`: of each answer to each, in its last sample."""

    contender: Contender
    draw: str
    questions: int
    seconds: list[float] = field(default_factory=list[float])
    nats: list[list[float]] = field(default_factory=list[list[float]])
    peak_bytes: int = 0

    @property
    def questions_per_s(self) -> float:
        return self.questions / statistics.median(self.seconds)

    def add(self, sample: dict[str, Any]) -> None:
        """One more timed sample, as the worker tells it."""
        self.seconds.append(sample["seconds"])
        self.nats = sample["nats"]
        self.peak_bytes = sample["peak_bytes"]


@dataclass(slots=True)
class Found:
    """All results of one call."""

    config: GPTConfig
    asked: Asked
    repeats: int
    results: list[Result] = field(default_factory=list[Result])

    @property
    def precisions(self) -> list[Precision]:
        return list(dict.fromkeys(result.contender.precision for result in self.results))

    def rows(self) -> Iterator[Row]:
        """Ours against the faster of theirs, and how far their scores are apart."""
        for precision in self.precisions:
            for draw in self.asked:
                ours, *theirs = self._of(precision, draw)
                peer = max(theirs, key=lambda result: result.questions_per_s)
                yield from _speed_rows(ours, peer)
                yield from (self._score_row(ours, result) for result in theirs)

    def page(self) -> str:
        rows = [*self.rows()]
        return "\n\n".join([f"{verdict(rows)}.", claims_table(rows), table(HEADING, [*self._lines()]), self._method()])

    def numbers(self) -> dict[str, Any]:
        """Every raw sample, and what was made of them."""
        return {
            "tokens": self._sizes(),
            "results": [
                {**asdict(result), "contender": result.contender.name, "questions_per_s": result.questions_per_s}
                for result in self.results
            ],
            "rows": [asdict(row) for row in self.rows()],
        }

    def _of(self, precision: Precision, draw: str) -> list[Result]:
        return [result for result in self.results if (result.contender.precision, result.draw) == (precision, draw)]

    def _score_row(self, ours: Result, theirs: Result) -> Row:
        """How far apart the scores of the questions are that both were asked."""
        tokens = [question.answer_tokens for question in self.asked[ours.draw]]
        means = [_per_token(result.nats, tokens) for result in (ours, theirs)]
        pairs = list(zip(*means, strict=False))
        alike = sum(_likeliest(one) == _likeliest(other) for one, other in pairs)
        apart = max(abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True))
        precision = ours.contender.precision
        met = apart <= APART_AT_MOST[precision] and (alike == len(pairs) or precision != "fp32")
        figures = ("", theirs.contender.name, f"{apart:.1e} nats a token apart at most")
        target = f"<= {APART_AT_MOST[precision]:g}" + (", same answers" if precision == "fp32" else "")
        return Row(f"{_what(ours)}: same answer to {alike} of {len(pairs)}", *figures, target, met)

    def _lines(self) -> Iterator[tuple[str, ...]]:
        for result in self.results:
            seconds = f"{statistics.median(result.seconds):.3f}"
            speed, peak = f"{result.questions_per_s:.3f}", f"{result.peak_bytes / 1e9:.2f}"
            yield result.contender.name, result.draw, str(result.questions), seconds, speed, peak

    def _sizes(self) -> dict[str, float]:
        """Tokens, on average over all questions of both draws."""
        every = [question for asked in self.asked.values() for question in asked]
        return {
            "demonstrations": statistics.mean(question.prefix_tokens for question in every),
            "question": statistics.mean(question.context_tokens for question in every),
            "answer": statistics.mean(n for question in every for n in question.answer_tokens),
        }

    def _method(self) -> str:
        return METHOD.format(
            parameters=n_parameters(self.config),
            n_ctx=self.config.n_ctx,
            shots=self.asked[FRESH][0].shots,
            sizes=" + ".join(f"{size:.0f}" for size in self._sizes().values()),
            lm_eval=version("lm-eval"),
            transformers=version("transformers"),
            their_questions=min(result.questions for result in self.results if result.contender.who == "lm-eval"),
            n=self.repeats,
        )


def _speed_rows(ours: Result, peer: Result) -> Iterator[Row]:
    ratio = ours.questions_per_s / peer.questions_per_s
    figures = (f"{ours.questions_per_s:.3f}", f"{peer.contender.name}: {peer.questions_per_s:.3f}", f"{ratio:.2f}")
    what = f"{_what(ours)}, questions/s"
    if ours.contender.precision != "fp32":
        yield Row(what, *figures)
    else:
        yield from (Row(what, *figures, f">= {least:g}", ratio >= least) for least in FASTER_AT_LEAST[ours.draw])


def _what(result: Result) -> str:
    return f"{result.draw} demonstrations, {result.contender.precision}"


def _per_token(nats: Sequence[Sequence[float]], tokens: Sequence[Sequence[int]]) -> list[list[float]]:
    return [
        [a / n for a, n in zip(answers, counts, strict=True)] for answers, counts in zip(nats, tokens, strict=False)
    ]


def _likeliest(means: Sequence[float]) -> int:
    return max(range(len(means)), key=means.__getitem__)
