"""Scores over shared beginnings: equal to each text's own, whatever company, order, pass and path, computed once."""

import math
import random
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gptrilogy.errors import CheckpointError, PromptError
from gptrilogy.generation import prefixes
from gptrilogy.generation.prefixes import PrefixScore, PrefixScorer
from gptrilogy.generation.scoring import score_pairs, score_reference
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.models.cache import KVCache
from tree_models import KINDS, beginnings, model_of

Text = tuple[int, ...]
Pair = tuple[Text, Text]

NATS = 1e-5  # a token, in fp32: the promise
SURE = 1e-4  # by how much the likeliest has to win before rounding cannot choose another


class Truth(NamedTuple):
    """What a text by itself says: nats of each token, whether it was the likeliest by far or by far not, the first."""

    nats: list[float]
    likeliest: list[bool | None]
    first: list[int]


@cache
@torch.inference_mode()
def truth(kind: str, pair: Pair) -> Truth:
    context, continuation = pair
    if not continuation:
        return Truth([], [], [])
    log_p = model_of(kind)(torch.tensor([[*context, *continuation[:-1]]]))[0].double().log_softmax(-1)
    log_p = log_p[len(context) - 1 :]
    nats = [float(row[token]) for row, token in zip(log_p, continuation, strict=True)]
    others = [
        float(row.topk(2).values[int(row.argmax() == token)]) for row, token in zip(log_p, continuation, strict=True)
    ]
    margins = [mine - other for mine, other in zip(nats, others, strict=True)]
    return Truth(nats, [None if abs(m) < SURE else m > 0 for m in margins], log_p[0].topk(3).indices.tolist())


def check(kind: str, pairs: Sequence[Pair], found: Sequence[PrefixScore]) -> None:
    for pair, score in zip(pairs, found, strict=True):
        expected = truth(kind, pair)
        assert score.nats == pytest.approx(math.fsum(expected.nats), abs=NATS * max(1, len(expected.nats)))
        assert score.n_tokens == len(pair[1])
        for is_likeliest, should_be in zip(score.likeliest, expected.likeliest, strict=True):
            assert should_be in {None, is_likeliest}


@st.composite
def pairs_over_few_tokens(draw: st.DrawFn) -> list[Pair]:
    """Texts of up to 13 tokens, some of them beginnings of others, cut anywhere, also at their end."""
    pairs: list[Pair] = []
    for _ in range(draw(st.integers(1, 8))):
        text = tuple(draw(st.lists(st.integers(0, 1), min_size=1, max_size=13)))
        if pairs and draw(st.booleans()):
            text = (sum(draw(st.sampled_from(pairs)), ()) + text)[:13]
        cut = draw(st.integers(1, min(len(text), 12)))
        pairs.append((text[:cut], text[cut:]))
    return pairs


KIND = st.sampled_from([*KINDS])
PASS = st.sampled_from([1, 3, 16, 1024])


@settings(max_examples=50)
@given(kind=KIND, calls=st.lists(pairs_over_few_tokens(), min_size=1, max_size=3), pass_tokens=PASS)
def test_any_tree_any_pass_and_any_path_give_the_score_of_a_text_by_itself(
    kind: str, calls: list[list[Pair]], pass_tokens: int
) -> None:
    scorer = PrefixScorer(model_of(kind), pass_tokens=pass_tokens)
    for pairs in calls:
        check(kind, pairs, scorer.score(pairs))


@settings(max_examples=20)
@given(kind=KIND, pairs=pairs_over_few_tokens(), pass_tokens=PASS)
def test_what_texts_share_is_computed_once(kind: str, pairs: list[Pair], pass_tokens: int) -> None:
    scorer = PrefixScorer(model_of(kind), pass_tokens=pass_tokens)
    scorer.score(pairs)
    read = [(*context, *continuation[:-1]) for context, continuation in pairs if continuation]
    assert scorer.computed_tokens == len(beginnings(read))


@settings(max_examples=20)
@given(pairs=pairs_over_few_tokens(), order=st.randoms())
def test_company_and_order_change_nothing(pairs: list[Pair], order: random.Random) -> None:
    model = model_of("gpt3")
    together = dict(zip(pairs, PrefixScorer(model).score(pairs), strict=True))
    shuffled = order.sample(pairs, len(pairs))
    again = dict(zip(shuffled, PrefixScorer(model, pass_tokens=5).score(shuffled), strict=True))
    for pair in pairs:
        [alone] = PrefixScorer(model).score([pair])
        for score in (together[pair], again[pair]):
            assert score.nats == pytest.approx(alone.nats, abs=NATS * max(1, alone.n_tokens))


def random_pairs(model: GPT, n: int) -> list[tuple[list[int], list[int]]]:
    rng = random.Random(1)
    opening = rng.choices(range(model.config.n_vocab), k=20)
    pairs: list[tuple[list[int], list[int]]] = []
    for _ in range(n):
        ids = opening[: rng.randint(0, 20)]
        ids = [*ids, *rng.choices(range(model.config.n_vocab), k=rng.randint(2, model.config.n_ctx + 1 - len(ids)))]
        cut = rng.randint(1, len(ids) - 1)
        pairs.append((ids[:cut], ids[cut:]))
    return pairs


@pytest.mark.parametrize("pass_tokens", [1, 16, 1024])
def test_dense_scores_are_those_of_both_other_ways(model: GPT, pass_tokens: int) -> None:
    agree_with_both(model, pass_tokens)


def test_sparse_scores_are_those_of_both_other_ways(sparse_model: GPT) -> None:
    agree_with_both(sparse_model, 50)


def agree_with_both(model: GPT, pass_tokens: int) -> None:
    pairs = random_pairs(model, 30)
    found = PrefixScorer(model, pass_tokens=pass_tokens).score(pairs)
    for pair, score, by_itself in zip(pairs, found, score_pairs(model, pairs), strict=True):
        reference = score_reference(model, *pair)
        for other in (by_itself, reference):
            assert abs(score.nats - other.nats) <= NATS * len(pair[1])
            assert all(score.likeliest) == other.greedy


def test_sums_are_kept_in_float64() -> None:
    model = model_of_nothing()
    context, continuation = [0], [1] * 64
    [score] = PrefixScorer(model).score([(context, continuation)])
    one = float(torch.zeros(257).log_softmax(-1)[0])
    assert score.nats == pytest.approx(64 * one, rel=1e-12)


def model_of_nothing() -> GPT:
    """All tokens are equally likely."""
    model = GPT(GPTConfig(n_vocab=257, n_ctx=64, n_embd=4, n_head=1, n_layer=1)).eval()
    torch.nn.init.zeros_(model.wte.weight)
    return model


def test_the_likeliest_first_tokens_are_named_as_many_as_were_asked_for() -> None:
    pairs: list[Pair] = [((0, 1), (2, 3)), ((0, 1), (4,)), ((0,), (1, 2))]
    found = PrefixScorer(model_of("gpt2")).score(pairs, n_first=3)
    assert [list(score.first) for score in found] == [truth("gpt2", pair).first for pair in pairs]
    [every] = PrefixScorer(model_of("gpt2")).score(pairs[:1], n_first=99)
    assert sorted(every.first) == [0, 1, 2, 3, 4]
    assert [score.first for score in PrefixScorer(model_of("gpt2")).score(pairs)] == [()] * 3


def test_no_tokens_are_certain() -> None:
    scorer = PrefixScorer(model_of("gpt2"))
    assert scorer.score([((1,), ()), ((1, 2), ())]) == [PrefixScore(0.0, ())] * 2
    assert scorer.score([]) == []
    assert scorer.computed_tokens == 0


def test_logits_in_several_chunks_give_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs: list[Pair] = [((0,), (1, 2, 3, 4, 0, 1)), ((0,), (1, 2, 4)), ((0, 1, 2), (3, 3, 3))]
    monkeypatch.setattr(prefixes, "CHUNK_ELEMENTS", 2 * 5)
    found = PrefixScorer(model_of("gpt2")).score(pairs, n_first=3)
    check("gpt2", pairs, found)
    assert [list(score.first) for score in found] == [truth("gpt2", pair).first for pair in pairs]


# The path.


def test_the_next_question_begins_where_the_last_one_parted() -> None:
    scorer = PrefixScorer(model_of("gpt2"))
    demonstrations = (0, 1, 2, 3, 4)
    first: list[Pair] = [((*demonstrations, 0), (1, 1)), ((*demonstrations, 0), (2, 1))]
    check("gpt2", first, scorer.score(first))
    assert scorer.computed_tokens == len(demonstrations) + 1 + 2
    second: list[Pair] = [((*demonstrations, 1), (1, 1)), ((*demonstrations, 1), (2, 1))]
    check("gpt2", second, scorer.score(second))
    assert scorer.computed_tokens == len(demonstrations) + 3 + 3


def test_a_text_on_the_path_is_read_again_from_where_it_has_to_predict() -> None:
    scorer = PrefixScorer(model_of("gpt2"))
    pairs: list[Pair] = [((0, 1, 2, 3), (4, 0))]
    scorer.score(pairs)
    before = scorer.computed_tokens
    check("gpt2", pairs, scorer.score(pairs))
    assert scorer.computed_tokens == before + 2
    check("gpt2", [((0,), (1,))], scorer.score([((0,), (1,))]))


@pytest.mark.parametrize("order", [1, -1])
def test_equal_texts_on_the_path_are_read_from_the_first_place_that_any_has_to_predict(order: int) -> None:
    scorer = PrefixScorer(model_of("gpt2"))
    scorer.score([((0, 1, 2, 3, 4, 0), (1,))])
    pairs: list[Pair] = [((0, 1), (2, 3, 4, 0)), ((0, 1, 2, 3, 4), (1,))]
    check("gpt2", pairs[::order], scorer.score(pairs[::order]))


def test_what_is_on_the_path_is_used_before_it_is_left() -> None:
    scorer = PrefixScorer(model_of("gpt2"))
    scorer.score([((3, 1, 2, 0), (4,))])
    pairs: list[Pair] = [((0, 0), (1,)), ((3, 1, 2, 1), (0,)), ((4,), (0,))]
    check("gpt2", pairs, scorer.score(pairs))
    assert scorer.computed_tokens == 4 + 2 + 1 + 1


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_pass_that_fails_leaves_no_wrong_path(failing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("gpt2")
    scorer = PrefixScorer(model, pass_tokens=3)
    pairs: list[Pair] = [((0, 1, 2, 3, 4, 0, 1, 2), (3,)), ((0, 1, 2, 4), (4, 3, 2))]
    scorer.score([((0, 1, 2, 3, 3), (1, 2))])
    passes = 0
    block = model.h[1].forward

    def fails_within(x: Tensor, past: KVCache | None = None) -> Tensor:
        nonlocal passes
        passes += 1
        if passes == failing:
            raise MemoryError
        return block(x, past)

    with monkeypatch.context() as patch:
        patch.setattr(model.h[1], "forward", fails_within)
        with pytest.raises(MemoryError):
            scorer.score(pairs)
    computed = scorer.computed_tokens
    check("gpt2", pairs, scorer.score(pairs))
    assert scorer.computed_tokens - computed == 8 + 3, "all is computed again"


def test_in_memory_are_one_path_and_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("gpt2")
    scorer = PrefixScorer(model, pass_tokens=7)
    path = vars(scorer)["_path"]
    widths: list[int] = []
    hidden = model.hidden

    def watched(ids: Tensor, memory: KVCache) -> Tensor:
        widths.append(ids.shape[1])
        return hidden(ids, memory)

    monkeypatch.setattr(model, "hidden", watched)
    heard: list[int] = []
    rng = random.Random(0)
    scorer.score(
        [((*rng.choices(range(5), k=9),), (*rng.choices(range(5), k=3),)) for _ in range(40)], on_computed=heard.append
    )
    assert widths == heard
    assert sum(heard) == scorer.computed_tokens > 100
    assert max(heard) == 7
    assert vars(scorer)["_path"] is path
    assert {tuple(kept.shape) for kept in (*path.keys, *path.values)} == {(3, 12, 4)}


# What cannot be scored.


def test_weights_that_are_not_numbers_are_said_in_one_line() -> None:
    model = GPT(KINDS["gpt2"], torch.Generator().manual_seed(0)).eval()
    torch.nn.init.constant_(model.get_parameter("h.0.mlp.c_proj.bias"), math.nan)
    with pytest.raises(CheckpointError, match="are not numbers; its weights are damaged") as error:
        PrefixScorer(model).score([((0, 1), (2,))])
    assert "\n" not in str(error.value)


def test_what_exceeds_the_context_is_refused_or_loses_its_beginning() -> None:
    scorer = PrefixScorer(model_of("gpt2"))
    pair: Pair = ((4, 3, 0, 1, 2, 3, 4, 0, 1, 2, 3), (4, 0, 1))
    with pytest.raises(PromptError, match="14 tokens, the model can score 13; shorten"):
        scorer.score([pair])
    cut: Pair = (pair[0][1:], pair[1])
    check("gpt2", [cut], scorer.score([pair], truncate=True))
    with pytest.raises(PromptError, match="an answer has 13 tokens, the model can score 12"):
        scorer.score([((0,), (1,) * 13)], truncate=True)
    with pytest.raises(PromptError, match="at least 1 token, got none"):
        scorer.score([((), (1,))])


def test_a_model_in_training_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="dropout"):
        PrefixScorer(GPT(KINDS["gpt2"]))


def test_bf16_scores_are_near() -> None:
    model = GPT(KINDS["gpt2"], torch.Generator().manual_seed(0)).eval().to(torch.bfloat16)
    pairs: list[Pair] = [((0, 1, 2), (3, 4)), ((0, 1), (2, 2, 2))]
    for pair, score in zip(pairs, PrefixScorer(model, pass_tokens=2).score(pairs), strict=True):
        assert score.nats == pytest.approx(math.fsum(truth("gpt2", pair).nats), abs=2e-2 * len(pair[1]))
