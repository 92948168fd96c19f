"""What scoring few-shot questions took, as claims, a table and a page. Needs no torch."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from bench.claims import Findings, Row, Target, at_least
from bench.few_shot_cases import FIXED, FRESH, Asked, Contender, Precision, Question
from bench.report import table
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
its defaults but for what is said; each question costs it the same, so a sample asks it {their_questions}, and the next
sample others.{claimed} "ours" is what `gpt evaluate` runs. It is asked all questions of a draw at once, as there; what
the fixed demonstrations cost is spread over them, and nothing is kept from one sample to the next. Its logits in bf16
are turned into log-probabilities in fp32, those of lm-eval in bf16.

Scores of the questions that both were asked are compared token by token's mean, and so are the answers chosen, the
likeliest by the token. Contenders run in processes of their own and take turns; only one works at a time. Figures are
medians of n = {n} samples, after one question each of warm-up. Threads are PyTorch's defaults."""


@dataclass(slots=True)
class Result:
    """What one contender did with so many questions of one draw in each sample. `nats`: of each answer, by question."""

    contender: Contender
    draw: str
    questions: int
    seconds: list[float] = field(default_factory=list[float])
    nats: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    peak_bytes: int = 0

    @property
    def questions_per_s(self) -> float:
        return self.questions / statistics.median(self.seconds)

    def add(self, first: int, sample: dict[str, Any]) -> None:
        """One more timed sample, of questions from `first` on, as the worker tells it."""
        self.seconds.append(sample["seconds"])
        self.nats |= dict(enumerate(sample["nats"], first))
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
                yield _speed_row(ours, peer)
                yield from (self._score_row(ours, result) for result in theirs)

    def findings(self) -> Findings:
        results = [
            {**asdict(result), "contender": result.contender.name, "questions_per_s": result.questions_per_s}
            for result in self.results
        ]
        details = f"{table(HEADING, [*self._lines()])}\n\n{self._method()}"
        return Findings([*self.rows()], details, {"tokens": self._sizes(), "results": results})

    def _of(self, precision: Precision, draw: str) -> list[Result]:
        return [result for result in self.results if (result.contender.precision, result.draw) == (precision, draw)]

    def _score_row(self, ours: Result, theirs: Result) -> Row:
        """How far apart the scores of the questions are that both were asked."""
        asked = self.asked[ours.draw]
        pairs = [
            [_per_token(result.nats[number], asked[number]) for result in (ours, theirs)]
            for number in sorted(ours.nats.keys() & theirs.nats.keys())
        ]
        alike = sum(_likeliest(one) == _likeliest(other) for one, other in pairs)
        apart = max(abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True))
        precision = ours.contender.precision
        met = apart <= APART_AT_MOST[precision] and (alike == len(pairs) or precision != "fp32")
        figures = (f"same answer to {alike} of {len(pairs)}", theirs.contender.name, f"{apart:.1e} nats a token apart")
        target = Target(f"<= {APART_AT_MOST[precision]:g}" + (", same answers" if precision == "fp32" else ""), met)
        return Row(f"{_what(ours)}, scores", *figures, target)

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
        theirs = [result for result in self.results if result.contender.who == "lm-eval"]
        return METHOD.format(
            parameters=n_parameters(self.config),
            n_ctx=self.config.n_ctx,
            shots=self.asked[FRESH][0].shots,
            sizes=" + ".join(f"{size:.0f}" for size in self._sizes().values()),
            lm_eval=version("lm-eval"),
            transformers=version("transformers"),
            their_questions=theirs[0].questions,
            claimed=" Claims are against its faster batch size." if len({r.contender.name for r in theirs}) > 1 else "",
            n=self.repeats,
        )


def _speed_row(ours: Result, peer: Result) -> Row:
    ratio = ours.questions_per_s / peer.questions_per_s
    figures = (f"{ours.questions_per_s:.3f}", f"{peer.contender.name}: {peer.questions_per_s:.3f}", f"{ratio:.2f}")
    limits = FASTER_AT_LEAST[ours.draw] if ours.contender.precision == "fp32" else ()
    return Row(f"{_what(ours)}, questions/s", *figures, *at_least(ratio, *limits, form="g"))


def _what(result: Result) -> str:
    return f"few-shot, {result.draw} demonstrations, {result.contender.precision}"


def _per_token(nats: Sequence[float], question: Question) -> list[float]:
    return [one / n for one, n in zip(nats, question.answer_tokens, strict=True)]


def _likeliest(means: Sequence[float]) -> int:
    return max(range(len(means)), key=means.__getitem__)
