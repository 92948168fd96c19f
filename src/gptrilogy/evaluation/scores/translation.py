"""BLEU as SacreBLEU computes it, over counts that are taken once. Needs the extra `scores`, and no torch.

Source: GPT3 §3.3 and Table H.1, "BLEU-sb": case.mixed, numrefs.1, smooth.exp, tok.intl, version 1.2.20. The paper's
"BLEU-mb" is multi-bleu.perl over XLM's tokenisation, which is a Perl toolchain with rules for each language; it is not
offered.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gptrilogy.data.permutation import draw
from gptrilogy.evaluation.items import Free, Outcomes
from gptrilogy.evaluation.measures import RESAMPLES, Measure
from gptrilogy.evaluation.scores.sentences import first_sentences
from gptrilogy.extras import needs

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

Counts: TypeAlias = NDArray[
    np.int64
]  # right n-grams of order 1..4, all n-grams of order 1..4, words written, words right
ORDERS = 4


@dataclass(frozen=True, slots=True)
class CorpusBleu(Measure):
    """BLEU of all translations together, whose standard error resamples their counts instead of scoring anew."""

    counts: Callable[[Outcomes], Counts] = lambda _: np.zeros((0, 2 * ORDERS + 2), dtype=np.int64)

    def _stderr(self, records: Sequence[Outcomes]) -> float:
        if len(records) < 2:
            return float("nan")
        table = np.stack([self.counts(record).sum(0) for record in records])  # (records, counts)
        index, n = np.arange(len(records), dtype=np.uint64), np.uint64(len(records))
        draws = ((draw(0, number, index) % n).astype(np.intp) for number in range(RESAMPLES))
        return float(np.std([bleu_of(table[chosen].sum(0)) for chosen in draws], ddof=1))


def bleu_measure(name: str, cut: Callable[[str], str] = str.strip) -> CorpusBleu:
    """BLEU as a fraction of 1; `cut` says what of a written text is the translation."""

    def counts(outcomes: Outcomes) -> Counts:
        return np.stack([_counts(cut(outcome.text), outcome.item) for outcome in outcomes])

    return CorpusBleu(name, lambda outcomes: bleu_of(counts(outcomes).sum(0)), counts=counts)


def bleu_of(counts: Counts) -> float:
    """BLEU, as a fraction, of counts summed over a corpus.

    Raises: MissingExtraError without `sacrebleu`.
    """
    with needs("scores", purpose="BLEU"):
        from sacrebleu.metrics.bleu import BLEU
    right, written = counts[:ORDERS].tolist(), counts[ORDERS : 2 * ORDERS].tolist()
    return BLEU.compute_bleu(right, written, *counts[2 * ORDERS :].tolist(), smooth_method="exp").score / 100


def bleu_signature() -> str:
    """SacreBLEU's own description of the score, its version with it.

    Raises: MissingExtraError without `sacrebleu`.
    """
    metric = _metric(effective_order=False)
    metric.corpus_score(["a"], [["a"]])  # the number of references is part of it
    return str(metric.get_signature())


def _counts(text: str, item: object) -> Counts:
    assert isinstance(item, Free)
    score = _metric(effective_order=True).sentence_score(text, item.answers[:1])
    return np.array([*score.counts, *score.totals, score.sys_len, score.ref_len], dtype=np.int64)


def _metric(*, effective_order: bool) -> "BLEU":
    """Mixed case, international tokenisation; `effective_order` moves no count, but sentences are scored with it."""
    with needs("scores", purpose="BLEU"):
        from sacrebleu.metrics.bleu import BLEU
    return BLEU(tokenize="intl", smooth_method="exp", effective_order=effective_order)


BLEU_SB = bleu_measure("bleu_sb")
BLEU_SB_FIRST_SENTENCE = bleu_measure("bleu_sb", cut=lambda text: "".join(first_sentences(text, 1)))
