import sys

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU

from gptrilogy.errors import MissingExtraError
from gptrilogy.evaluation.items import Free, Outcome
from gptrilogy.evaluation.measures import Measure
from gptrilogy.evaluation.scores.translation import BLEU_SB, BLEU_SB_FIRST_SENTENCE, bleu_measure, bleu_signature

REFERENCES = [
    "Le chat dort sur le tapis rouge de la maison.",
    "Il pleut depuis ce matin, mais nous sortons quand m\u00eame.",
    "La R\u00e9publique a \u00e9t\u00e9 proclam\u00e9e en 1792.",
    "Vous avez \u00ab raison \u00bb.",
]
WRITTEN = [
    " Le chat dort sur le tapis de la maison.",
    " il pleut depuis ce matin et nous sortons.",
    " La R\u00e9publique \u00e9tait proclam\u00e9e en 1792.",
    "",
]


def translated(texts: list[str]) -> list[Outcome]:
    pairs = zip(texts, REFERENCES, strict=True)
    return [Outcome(Free("x =", (right,)), record, text=text) for record, (text, right) in enumerate(pairs)]


def test_the_score_is_sacrebleus_of_the_whole_corpus() -> None:
    metric = BLEU(tokenize="intl", smooth_method="exp")
    expected = metric.corpus_score([text.strip() for text in WRITTEN], [REFERENCES]).score
    assert BLEU_SB(translated(WRITTEN)).value == pytest.approx(expected / 100, abs=1e-12)
    assert 0.3 < expected / 100 < 0.7


def test_ends_of_the_scale() -> None:
    assert BLEU_SB(translated(REFERENCES)).value == pytest.approx(1.0)
    assert BLEU_SB(translated([""] * 4)).value == 0.0


def test_the_error_is_the_one_that_scoring_each_resample_anew_gives() -> None:
    outcomes = translated(WRITTEN)
    slow = Measure("bleu", BLEU_SB.of)
    assert BLEU_SB(outcomes).stderr == pytest.approx(slow(outcomes).stderr, abs=1e-12)
    assert BLEU_SB(outcomes).stderr > 0
    assert np.isnan(BLEU_SB(outcomes[:1]).stderr)


def test_only_the_first_sentence_counts_for_gpt2() -> None:
    longer = [f"{text} Encore une phrase." for text in REFERENCES]
    assert BLEU_SB_FIRST_SENTENCE(translated(longer)).value == pytest.approx(1.0)
    assert BLEU_SB(translated(longer)).value < 0.9


def test_the_signature_is_the_papers_but_for_the_version() -> None:
    kept = dict(part.split(":") for part in bleu_signature().split("|"))
    version = kept.pop("version")
    assert kept == {"nrefs": "1", "case": "mixed", "eff": "no", "tok": "intl", "smooth": "exp"}
    assert version.startswith("2.")


def test_without_sacrebleu_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(MissingExtraError, match=r"BLEU needs sacrebleu.*gptrilogy\[scores\]"):
        bleu_measure("bleu")(translated(WRITTEN))
