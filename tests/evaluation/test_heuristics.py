"""Zero-shot heuristics give what a plain computation over whole logits gives."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score  # pyright: ignore[reportUnknownVariableType]

from gptrilogy.errors import PromptError
from gptrilogy.evaluation.heuristics import (
    Question,
    Schema,
    acceptability,
    acceptability_threshold,
    choose_answers,
    mean_token_nats,
    resolve_pronouns,
    roc_auc,
    sentiment,
)
from gptrilogy.evaluation.metrics import matthews
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.tokenizers import train_byte_bpe
from tiny_run import write_run

TEXT = "The trophy is very large and the suitcase is very small. Is it positive or negative? Nobody knows. " * 20
SENTENCES = ["The trophy is large.", "Trophy large the is.", "Nobody", "Is it small or is it large?"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """A model of random weights, sure of many things."""
    tokenizer = train_byte_bpe([TEXT], 300)
    return LanguageModel(write_run(tmp_path_factory.mktemp("run"), tokenizer), tokenizer)


def token_nats(model: LanguageModel, context: Sequence[int], continuation: Sequence[int]) -> list[float]:
    """Log P of each token of a continuation, one whole forward pass a token."""
    nats: list[float] = []
    for place, token in enumerate(continuation):
        with torch.inference_mode():
            logits = model.model(torch.tensor([[*context, *continuation[:place]]]))[0, -1]
        nats.append(logits.double().log_softmax(-1)[token].item())
    return nats


def continuation_nats(model: LanguageModel, context: str, continuation: str) -> list[float]:
    """The same for texts whose border is a space."""
    encode = model.tokenizer.encode
    return token_nats(model, encode(context), encode(continuation))


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def test_the_mean_of_a_sentence_counts_its_first_token_after_end_of_text(model: LanguageModel) -> None:
    eot_id = model.tokenizer.eot_id
    assert eot_id is not None
    expected = [mean(token_nats(model, [eot_id], model.tokenizer.encode(text))) for text in SENTENCES]
    assert mean_token_nats(model, SENTENCES) == pytest.approx(expected, abs=1e-5)
    assert mean_token_nats(model, SENTENCES, batch_size=8) == pytest.approx(expected, abs=1e-5)


def test_a_sentence_longer_than_the_context_counts_every_token(model: LanguageModel) -> None:
    text = TEXT[:300]
    n_tokens = len(model.tokenizer.encode(text))
    assert n_tokens > model.model.config.n_ctx
    assert mean_token_nats(model, [text])[0] == pytest.approx(model.loglikelihood_rolling([text])[0] / n_tokens)


def test_an_empty_sentence_has_no_mean(model: LanguageModel) -> None:
    with pytest.raises(PromptError, match="text 2 of 2 has no token"):
        mean_token_nats(model, ["Nobody", ""])


def test_sentences_above_the_threshold_are_acceptable() -> None:
    assert acceptability([-3.0, -2.0, -1.0], threshold=-2.0) == [False, False, True]


@given(st.lists(st.tuples(st.integers(-20, 0), st.integers(0, 1)), min_size=2, max_size=30))
def test_no_other_threshold_has_a_higher_matthews(rows: list[tuple[int, int]]) -> None:
    scores, labels = [row[0] / 2 for row in rows], [row[1] for row in rows]

    def quality(threshold: float) -> float:
        return matthews(np.array(labels), np.array(acceptability(scores, threshold=threshold)).astype(np.int64))

    found = quality(acceptability_threshold(scores, labels))
    assert found == max(quality(threshold / 4) for threshold in range(-45, 5))


def test_where_scores_say_nothing_every_sentence_is_accepted() -> None:
    assert acceptability_threshold([-2.0, -2.0], [0, 1]) == -math.inf
    assert acceptability_threshold([-1.0, -2.0], [0, 1]) == -math.inf


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=40), st.data())
def test_roc_auc_is_scikit_learns(scores: list[int], data: st.DataObject) -> None:
    labels = [0, 1, *data.draw(st.lists(st.integers(0, 1), min_size=len(scores) - 2, max_size=len(scores) - 2))]
    assert roc_auc([float(score) for score in scores], labels) == pytest.approx(roc_auc_score(labels, scores))


def test_sentiment_compares_two_words_after_very(model: LanguageModel) -> None:
    texts = ["The trophy is large", "nobody knows the trophy "]  # a space at the end makes no difference
    expected: list[float] = []
    for text in texts:
        context = f"{text.strip()} very"
        positive, negative = (math.exp(sum(continuation_nats(model, context, f" {w}"))) for w in WORDS)
        expected.append(positive / (positive + negative))
    assert sentiment(model, texts) == pytest.approx(expected, abs=1e-5)


WORDS = ("positive", "negative")


def test_a_text_too_long_for_the_context_is_judged_by_its_end_with_a_warning(model: LanguageModel) -> None:
    with pytest.warns(UserWarning, match="2 of 2 texts have more than 33 tokens and lost their first ones"):
        found = sentiment(model, [TEXT[:300]])
    assert 0 < found[0] < 1


def test_the_answer_with_the_highest_mean_is_chosen_not_the_highest_sum(model: LanguageModel) -> None:
    contexts = [sentence + " Is it" for sentence in SENTENCES]
    answers = ("large", "very large and positive", "small", "nobody knows the trophy")
    nats = [[continuation_nats(model, context, f" {answer}") for answer in answers] for context in contexts]
    by_mean = [max(range(4), key=lambda place: mean(row[place])) for row in nats]
    by_sum = [max(range(4), key=lambda place: sum(row[place])) for row in nats]
    assert choose_answers(model, [Question(context, answers) for context in contexts]) == by_mean
    assert by_mean != by_sum


def test_questions_may_have_different_numbers_of_answers(model: LanguageModel) -> None:
    few, many = Question("Is it", ("large", "small")), Question("Is it", ("large", "small", "positive", "negative"))
    assert choose_answers(model, [few, many, few]) == [
        choose_answers(model, [question])[0] for question in (few, many, few)
    ]


def test_a_pronoun_is_resolved_by_what_follows_it(model: LanguageModel) -> None:
    befores = [f"{sentence} {word}" for sentence in SENTENCES for word in ("Nobody knows ", "Is it ")]
    referents, rest = ("the trophy", "the suitcase"), " is large."
    expected = [
        max((0, 1), key=lambda place: mean(continuation_nats(model, before + referents[place], rest)))
        for before in befores
    ]
    assert resolve_pronouns(model, [Schema(before, referents, rest) for before in befores]) == expected
    assert set(expected) == {0, 1}


def test_a_pronoun_may_be_the_first_word(model: LanguageModel) -> None:
    referents, rest = ("The trophy", "The suitcase"), " is very small."
    nats = [mean(continuation_nats(model, referent, rest)) for referent in referents]
    assert resolve_pronouns(model, [Schema("", referents, rest)]) == [nats.index(max(nats))]
